"""Answers to the simplest downloads without the HTTP library; see `handler.py` for what it leaves to that."""
