"""Reads the settings of Backend.AI's storage proxy (`storage-proxy.toml`, 26.3) and says them in ours.

What is taken over, and into which key, is told; so is everything that is not, with what to do about it.
"""

from ops.importing.found import Imported
from ops.importing.reading import read_settings
from ops.importing.writing import write_settings

__all__ = ["Imported", "read_settings", "write_settings"]
