"""A TCP proxy that cuts connections in the middle."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

_PIECE = 64 * 1024


class Cutter:
    """Passes bytes to a port and back. While `budget` is set, cuts the connection that uses it up."""

    def __init__(self, port: int) -> None:
        self._target = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self._lock = threading.Lock()
        self.budget: int | None = None
        self.cuts = 0

    def cut_after(self, count: int) -> None:
        """Cut once, after so many bytes in either direction."""
        self.budget = count

    def run(self) -> None:
        """Accept until closed."""
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                try:
                    server = socket.create_connection(("127.0.0.1", self._target))
                except OSError:
                    client.close()  # the target is away for now
                    continue
                for source, target in ((client, server), (server, client)):
                    threading.Thread(target=self._pump, args=(source, target), daemon=True).start()

    def close(self) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _pump(self, source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(_PIECE):
                allowed = self._allow(len(data))
                target.sendall(data[:allowed])
                if allowed < len(data):
                    break
        for end in (source, target):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()

    def _allow(self, count: int) -> int:
        with self._lock:
            if self.budget is None:
                return count
            allowed = min(count, self.budget)
            self.budget -= allowed
            if allowed < count:
                self.budget = None
                self.cuts += 1
            return allowed


@contextmanager
def open_cutter(port: int) -> Iterator[Cutter]:
    """A proxy in front of a port of this machine."""
    cutter = Cutter(port)
    thread = threading.Thread(target=cutter.run, daemon=True)
    thread.start()
    try:
        yield cutter
    finally:
        cutter.close()
        thread.join(5)
