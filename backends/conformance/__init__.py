"""The suite every backend passes. A driver's test file subclasses `BackendConformance` and gives `open_volume`.

Powers are tested where they are there. Needs pytest and anyio's pytest plugin; nothing of the product imports it.
"""

from backends.conformance.suite import BackendConformance

__all__ = ["BackendConformance"]
