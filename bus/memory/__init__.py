"""The bus in one process's memory, for tests and for one-process trials: same promises, no durability.

Every message is encoded and decoded as over the wire, so what passes here has a wire form.
"""

from bus.memory.bus import open_memory_bus
from bus.memory.store import MemoryStore

__all__ = ["MemoryStore", "open_memory_bus"]
