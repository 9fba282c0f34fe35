"""What operations answer as JSON: one noun a file. Handlers write these documents; nothing makes them from here."""
