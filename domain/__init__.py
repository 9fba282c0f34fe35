"""Words and rules of Penstock: identifiers, paths, permissions, commands, events, errors.

Rules of this room: values are frozen; parsing and formatting stand beside each other; no I/O, no clock,
no environment, no Redis, no HTTP. Everything here can be tested without a socket or a temporary folder.
"""
