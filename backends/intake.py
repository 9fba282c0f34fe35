"""A connection's socket that storage takes bytes from by itself."""

from __future__ import annotations

import os
import select
import socket
from typing import Final

import anyio

from backends.descriptor import SharedDescriptor

#: How long a thread waits for more before it gives itself back, in milliseconds.
_PATIENCE_MS: Final = 2


class SocketIntake:
    """Bytes to come from one non-blocking socket.

    Rules: one thread at a time takes; the event loop waits. It has a descriptor of its own, which stays open until
    the last thread has left, whoever closes the connection meanwhile.
    """

    def __init__(self, socket_fd: int, left: int) -> None:
        self._descriptor = SharedDescriptor(os.dup(socket_fd))
        #: Bytes that may still be taken.
        self.left = left
        #: Whether the sender has closed the connection.
        self.ended = False
        #: Whether the socket had nothing more at the last look.
        self.is_dry = False

    def take(self, buffer: memoryview) -> int:
        """Read into a buffer; 0 if nothing comes for a moment, or never again. Blocking, for threads.

        Raises:
            ConnectionError: the connection is broken.
        """
        with self._descriptor.use() as fd:
            ready = select.poll()
            ready.register(fd, select.POLLIN)
            self.is_dry = not ready.poll(_PATIENCE_MS)
            if self.is_dry:
                return 0
            try:
                count = os.readv(fd, [buffer[: self.left]])
            except BlockingIOError:  # readiness that was taken back, e.g. by a bad checksum
                self.is_dry = True
                return 0
        self.ended = count == 0
        self.left -= count
        return count

    async def wait(self, least: int) -> None:
        """Wait until that many bytes are there, or all that are to come, or the connection ended."""
        with self._descriptor.use() as fd:
            self._wake_at(fd, min(self.left, least))
            try:
                await anyio.wait_readable(fd)
            finally:
                self._wake_at(fd, 1)

    @staticmethod
    def _wake_at(fd: int, count: int) -> None:
        with socket.socket(fileno=fd) as borrowed:
            borrowed.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, count)
            borrowed.detach()

    def close(self) -> None:
        """Give the descriptor back, or leave that to the thread that still reads."""
        self._descriptor.close()
