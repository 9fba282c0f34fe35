"""Directories and selections as archives: streamed in constant memory, and resumable where the format allows."""
