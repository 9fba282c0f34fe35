"""HTTP/1.1 by hand on one kept connection: the cheapest client there is, the same for everybody."""

from __future__ import annotations

import os
import re
import socket
import struct
from collections.abc import Mapping
from typing import BinaryIO, Self

_BUFFER = 1 << 20
_TIMEOUT_SECONDS = 120
_CONTENT_LENGTH = re.compile(rb"\r\nContent-Length: *([0-9]+)", re.IGNORECASE)


class Connection:
    """One connection; requests one after the other."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port))
        # os.sendfile wants a blocking socket, so the kernel and not Python watches the time.
        for option in (socket.SO_RCVTIMEO, socket.SO_SNDTIMEO):
            self._socket.setsockopt(socket.SOL_SOCKET, option, struct.pack("ll", _TIMEOUT_SECONDS, 0))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._buffer = bytearray(_BUFFER)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def ask(
        self, method: str, target: str, headers: Mapping[str, str], body: bytes = b""
    ) -> tuple[int, str, bytes]:
        """A request with a small body; gives status, head and body."""
        self._socket.sendall(self._head(method, target, headers, len(body)) + body)
        return self._answer()

    def send_file(self, target: str, headers: Mapping[str, str], file: BinaryIO, offset: int, count: int) -> int:
        """A PATCH with a part of a file as its body; gives the status."""
        self._socket.sendall(self._head("PATCH", target, headers, count))
        end = offset + count
        while offset < end:
            offset += os.sendfile(self._socket.fileno(), file.fileno(), offset, end - offset)
        return self._answer()[0]

    def fetch(self, target: str, headers: Mapping[str, str] | None = None) -> int:
        """A GET whose body is thrown away; gives its length."""
        self._socket.sendall(self._head("GET", target, headers or {}, 0))
        come = end = 0
        while not end:  # the body's first bytes come with the head, and need not be taken apart
            come += self._receive(come)
            end = self._buffer.find(b"\r\n\r\n", 0, come) + 1
        head = bytes(self._buffer[:end])
        length = _CONTENT_LENGTH.search(head)
        if head[9:12] not in (b"200", b"206") or length is None:
            raise RuntimeError(head)
        left = int(length[1]) - (come - end - 3)
        while left > 0:
            left -= self._receive(0)
        if left:
            raise RuntimeError("more came than the head said")
        return int(length[1])

    def _receive(self, place: int) -> int:
        """Take what came into the buffer at a place; gives its length."""
        with memoryview(self._buffer) as buffer:
            count = self._socket.recv_into(buffer[place:])
        if not count:
            raise RuntimeError("the connection was closed")
        return count

    @staticmethod
    def _head(method: str, target: str, headers: Mapping[str, str], length: int) -> bytes:
        lines = [f"{method} {target} HTTP/1.1", "Host: localhost", *(f"{k}: {v}" for k, v in headers.items())]
        if method != "GET":
            lines.append(f"Content-Length: {length}")
        return ("\r\n".join(lines) + "\r\n\r\n").encode()

    def _answer(self) -> tuple[int, str, bytes]:
        head, body = self._read_head()
        if header(head, "Transfer-Encoding") == "chunked":
            # Nobody measured sends trailers, and no text that is asked for ends like this before its end.
            while not (b"\r\n" + body).endswith(b"\r\n0\r\n\r\n"):
                body += self._more()
            return int(head.split(" ", 2)[1]), head, body
        length = _length(head)
        while len(body) < length:
            body += self._more()
        return int(head.split(" ", 2)[1]), head, body

    def _more(self) -> bytes:
        """Some more bytes. Raises ConnectionError when there are none to come."""
        if not (data := self._socket.recv(_BUFFER)):
            raise ConnectionError("the server closed the connection")
        return data

    def _read_head(self) -> tuple[str, bytes]:
        data = b""
        while b"\r\n\r\n" not in data:
            piece = self._socket.recv(_BUFFER)
            if not piece:
                raise RuntimeError(f"the connection was closed after {data[:200]!r}")
            data += piece
        head, _, rest = data.partition(b"\r\n\r\n")
        return head.decode("latin-1"), rest


def header(head: str, name: str) -> str:
    """A field of an answer's head; empty if it is not there."""
    for line in head.split("\r\n")[1:]:
        field, _, value = line.partition(":")
        if field.lower() == name.lower():
            return value.strip()
    return ""


def _length(head: str) -> int:
    return int(header(head, "Content-Length") or 0)
