"""What workers do with a folder or a volume, one module for each kind."""
