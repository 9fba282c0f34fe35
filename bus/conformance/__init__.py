"""The suite every bus passes. A new transport's test file subclasses `BusConformance` and gives `open_bus`.

Needs pytest and anyio's pytest plugin; nothing of the product imports it.
"""

from bus.conformance.suite import BusConformance

__all__ = ["BusConformance"]
