"""A volume in memory, for tests: once like a mounted file system, once like an object store.

The second kind has no rename and no directories of its own, and stages uploads in parts; that both pass the
same suite is what keeps the contract open for arrays and object stores alike.
"""

from backends.memory.volume import MemoryVolume

__all__ = ["MemoryVolume"]
