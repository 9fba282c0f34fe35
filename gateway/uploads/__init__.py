"""Resumable uploads: sessions, their bytes, and the step that makes a file of them."""
