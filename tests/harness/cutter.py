"""A TCP proxy that cuts connections in the middle, holds their bytes back, or leads elsewhere."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

_PIECE = 64 * 1024
#: Directions, as seen by who connects.
ASKED, ANSWERED = "asked", "answered"
BOTH = (ASKED, ANSWERED)


class Cutter:
    """Passes bytes to a port and back. While `budget` is set, cuts the connection that uses it up."""

    def __init__(self, port: int) -> None:
        self._target = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self._lock = threading.Lock()
        self._free = threading.Condition()
        self._held: frozenset[str] = frozenset()
        self._open: set[socket.socket] = set()
        self.budget: int | None = None
        self.cuts = 0

    def cut_after(self, count: int) -> None:
        """Cut once, after so many bytes in either direction."""
        self.budget = count

    def hold(self, *directions: str) -> None:
        """Pass nothing on in these directions, and what waited in the others."""
        with self._free:
            self._held = frozenset(directions)
            self._free.notify_all()

    def lead_to(self, port: int) -> None:
        """Have connections go elsewhere from now on; those that are open end."""
        self._target = port
        self._cut_all()

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
                with self._lock:
                    self._open |= {client, server}
                for source, target, direction in ((client, server, ASKED), (server, client, ANSWERED)):
                    threading.Thread(target=self._pump, args=(source, target, direction), daemon=True).start()

    def close(self) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.hold()
        self._cut_all()

    def _cut_all(self) -> None:
        with self._lock:
            ends, self._open = self._open, set()
        for end in ends:
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def _pump(self, source: socket.socket, target: socket.socket, direction: str) -> None:
        with suppress(OSError):
            while data := source.recv(_PIECE):
                with self._free:
                    self._free.wait_for(lambda: direction not in self._held)
                allowed = self._allow(len(data))
                target.sendall(data[:allowed])
                if allowed < len(data):
                    break
        with self._lock:
            self._open -= {source, target}
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
