"""Hashing beside other work: one core takes bytes in and writes them while another hashes those before."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Final

from backends.contract import Hasher

#: Hashing needs a core and nothing else; more threads than cores would only wait for each other.
_pool: Final = ThreadPoolExecutor(max(os.cpu_count() or 1, 1), thread_name_prefix="hashing")


class Hashing:
    """Feeds hashers in order, one buffer behind.

    Rules: the buffer given to `update` stays as it is until the next `update`, or `finish`, has returned.
    """

    def __init__(self, hashers: Sequence[Hasher]) -> None:
        self._hashers = hashers
        self._running: Future[None] | None = None

    def update(self, data: memoryview) -> None:
        """Have bytes hashed; waits until those before them are. Blocking."""
        if not self._hashers:
            return
        self.finish()
        self._running = _pool.submit(self._hash, data)

    def finish(self) -> None:
        """Wait until everything is hashed. Blocking."""
        if self._running is not None:
            self._running.result()
            self._running = None

    def _hash(self, data: memoryview) -> None:
        for hasher in self._hashers:
            hasher.update(data)
