"""The clients' API (port 6021): downloads by token, uploads by token URL or by the tus collection."""
