"""A PATCH whose bytes come one after the other."""

from __future__ import annotations

import socket
from types import TracebackType

from harness.processes import PATIENCE, Api


class Sender:
    """Sends the body of one upload request as its user likes."""

    def __init__(self, api: Api, token: str, offset: int, length: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", api.client_port), timeout=30 * PATIENCE)
        head = (
            f"PATCH /upload?token={token} HTTP/1.1\r\nHost: penstock\r\nContent-Length: {length}\r\n"
            f"Tus-Resumable: 1.0.0\r\nUpload-Offset: {offset}\r\n"
            "Content-Type: application/offset+octet-stream\r\n\r\n"
        )
        self.send(head.encode())

    def send(self, data: bytes) -> None:
        """Send some more. Raises OSError if nobody is there any more."""
        self._socket.sendall(data)

    def __enter__(self) -> Sender:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._socket.close()
