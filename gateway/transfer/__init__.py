"""Moving bytes between connections and storage."""
