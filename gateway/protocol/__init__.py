"""Protocols without I/O: a request's head in, a decision out."""
