"""A connection's socket that storage sends bytes to by itself."""

from __future__ import annotations

import os
import select
from collections.abc import Callable, Sequence
from typing import Final

import anyio

from backends.buffers import IOV_MAX, Piece, behind
from backends.descriptor import SharedDescriptor

#: How long a thread waits for the socket to take more before it gives itself back, in milliseconds.
_PATIENCE_MS: Final = 20


class SocketOutlet:
    """Sends to one non-blocking socket.

    Rules: one thread at a time sends; the event loop waits. It has a descriptor of its own, which stays open until
    the last thread has left, whoever closes the connection meanwhile: what a stuck thread sends later never comes
    to another connection.
    """

    def __init__(self, socket_fd: int) -> None:
        self._descriptor = SharedDescriptor(os.dup(socket_fd))
        #: Bytes the socket has taken.
        self.sent = 0
        #: Why it takes no more at all.
        self.failure: OSError | None = None

    def put(self, pieces: Sequence[Piece], *, patient: bool = True) -> list[Piece]:
        """Send as much as the socket takes now, or in a moment; returns what is left. Blocking, for threads.

        What is put behind a failure is dropped.
        """
        left = [piece for piece in pieces if len(piece)]

        def some(fd: int) -> int:
            try:
                count = os.writev(fd, left[:IOV_MAX])
            except BlockingIOError:
                raise
            except OSError as error:
                raise ConnectionResetError(error.errno, error.strerror) from error
            left[:] = behind(left, count)
            return count

        self.pass_on(some, lambda: not left, patient=patient)
        return [] if self.failure else left

    def pass_on(self, send: Callable[[int], int], is_done: Callable[[], bool], *, patient: bool = True) -> None:
        """Call something that sends to a descriptor, again and again until it is done or the socket takes no more.

        Blocking, for threads. Raises what `send` raises; but that the receiver is gone is kept (`failure`).
        """
        with self._descriptor.use() as fd:
            ready = select.poll()
            ready.register(fd, select.POLLOUT)
            while not self.failure and not is_done():
                try:
                    self.sent += send(fd)
                except BlockingIOError:
                    # A fast receiver is worth a moment of this thread; a slow one is waited for elsewhere.
                    if not patient or not ready.poll(_PATIENCE_MS):
                        return
                except (ConnectionError, TimeoutError) as error:
                    self.failure = error

    async def writable(self) -> None:
        """Wait until the socket takes more."""
        with self._descriptor.use() as fd:
            await anyio.wait_writable(fd)

    def close(self) -> None:
        """Give the descriptor back, or leave that to the thread that still sends."""
        self._descriptor.close()
