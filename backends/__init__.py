"""Reading and changing one volume's storage.

Rules of this room: a backend is composed of a file plane (bytes and names) and a control plane (scopes,
quotas, trash); it never publishes, never reads settings files, never logs a secret; what its vendor raises is
translated at the driver's edge. `backends.contract` says what every volume does, `backends.powers` what some
can do besides, `backends.conformance` is the suite all pass.
"""
