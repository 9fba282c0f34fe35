"""A file descriptor used by several threads and closed when the last of them is done.

Closing a number that a stuck thread still uses would let its write land in whatever file gets the number next.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from domain.errors import BackendUnavailableError


class SharedDescriptor:
    """Owns one descriptor. All methods may be called from any thread and never block for long."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._lock = threading.Lock()
        self._users = 0
        self._closing = False

    @property
    def is_closed(self) -> bool:
        """Whether it is closed, or will be as soon as nobody uses it."""
        return self._closing

    @contextmanager
    def use(self) -> Iterator[int]:
        """The descriptor, kept open meanwhile."""
        with self._lock:
            if self._closing:
                raise BackendUnavailableError("the file was closed meanwhile")
            self._users += 1
        try:
            yield self._fd
        finally:
            self._leave()

    def close(self) -> None:
        """Close now, or when the last user leaves. Repeat-safe."""
        with self._lock:
            if self._closing:
                return
            self._closing = True
            if self._users:
                return
        os.close(self._fd)

    def __del__(self) -> None:
        """Close a descriptor whose opener was cancelled before it could take it."""
        self.close()

    def _leave(self) -> None:
        with self._lock:
            self._users -= 1
            if self._users or not self._closing:
                return
        os.close(self._fd)
