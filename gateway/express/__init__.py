"""The simplest downloads and uploads, without the HTTP library; see `handler.py` for what is left to that."""
