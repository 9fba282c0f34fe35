"""HTTP to commands and events, and bytes to and from storage.

Rules of this room: it is the only one that knows an HTTP status; protocols are modules without I/O in
`gateway.protocol`; whether folders exist is the actors' business, so here it is only asked for by commands;
bytes and names inside a folder go straight to the volume.
"""
