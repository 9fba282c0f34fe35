"""The manager's API (port 6022), as Backend.AI's manager speaks it, and what it can ask besides."""
