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

    def fill(self, buffer: memoryview) -> int:
        """Read what is there into a buffer; 0 if nothing comes for a moment, or never again. Blocking, for threads.

        Raises:
            ConnectionError: the connection is broken.
        """
        filled = 0
        with self._descriptor.use() as fd:
            ready = select.poll()
            ready.register(fd, select.POLLIN)
            self.is_dry = not ready.poll(_PATIENCE_MS)
            while not self.is_dry and (room := min(self.left, len(buffer) - filled)):
                try:
                    count = os.readv(fd, [buffer[filled : filled + room]])
                except BlockingIOError:
                    self.is_dry = filled == 0  # else there may be more by the time these bytes are dealt with
                    break
                filled += count
                self.left -= count
                if count == 0:
                    self.ended = True
                    break
        return filled

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
