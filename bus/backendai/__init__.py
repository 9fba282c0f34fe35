"""Backend.AI's events: what its manager expects of a storage proxy, in its own streams and words."""
