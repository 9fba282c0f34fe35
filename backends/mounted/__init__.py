"""The file plane of mounted file systems, shared by every driver whose bytes lie behind a mount point."""
