"""One connection to the clients' port, by hand: what is sent, and when, is up to the test."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from typing import Protocol, Self

import anyio
from aiohttp import web
from harness.world import Answer
from multidict import CIMultiDict

#: How long an answer, or the end of a connection, is waited for, in seconds.
PATIENCE = 20.0
#: Statuses of answers that have no body, whatever they say.
_BODILESS = (204, 304)


class Place(Protocol):
    """Where there is a gateway."""

    client_port: int


class Line:
    """A connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    @asynccontextmanager
    async def open(cls, place: Place) -> AsyncIterator[Self]:
        """A connection that is closed at the end."""
        reader, writer = await asyncio.open_connection("127.0.0.1", place.client_port)
        try:
            yield cls(reader, writer)
        finally:
            writer.transport.abort()

    def head(self, method: str, target: str, fields: Mapping[str, str] | Iterable[tuple[str, str]] = ()) -> None:
        """Send a request's head. Fields may be given twice, and have any bytes, one a letter."""
        pairs = fields.items() if isinstance(fields, Mapping) else fields
        lines = [f"{method} {target} HTTP/1.1", "Host: x", *[f"{name}: {value}" for name, value in pairs], "", ""]
        self.send("\r\n".join(lines).encode("latin-1"))

    def send(self, data: bytes) -> None:
        """Send some bytes."""
        self._writer.write(data)

    def end(self) -> None:
        """Say that nothing more comes; answers can still be read."""
        self._writer.write_eof()

    def reset(self) -> None:
        """Break the connection off, as a process that is killed with bytes unread."""
        sock = self._writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._writer.transport.abort()

    async def drain(self) -> None:
        """Wait until nearly all that was sent is the system's."""
        await self._writer.drain()

    @property
    def unsent(self) -> int:
        """Bytes that wait because the other end does not read."""
        return self._writer.transport.get_write_buffer_size()

    def pause(self) -> None:
        """Read nothing for now."""
        self._transport.pause_reading()

    def resume(self) -> None:
        """Read again."""
        self._transport.resume_reading()

    @property
    def _transport(self) -> asyncio.ReadTransport:
        # What a stream has is both in one.
        transport: asyncio.Transport = self._writer.transport  # type: ignore[assignment]
        return transport

    async def answer(self, to: str = "", patience: float = PATIENCE) -> Answer:
        """The next answer, interim ones included; that to a HEAD has no body whatever it says."""
        with anyio.fail_after(patience):
            first, *lines = (await self._reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")[:-2]
            headers = CIMultiDict(line.split(": ", 1) for line in lines)
            status = int(first.split()[1])
            is_bodiless = to == "HEAD" or status in _BODILESS
            body = await self._reader.readexactly(0 if is_bodiless else int(headers.get("Content-Length", 0)))
        return Answer(status, headers, body)

    async def has_ended(self) -> bool:
        """Whether nothing more comes, and the other end has closed."""
        with anyio.fail_after(PATIENCE):
            try:
                return await self._reader.read() == b""
            except ConnectionError:
                return True


def told(answer: Answer | web.Response, name: str) -> list[str]:
    """Items of a field that is a list."""
    return [item.strip() for item in answer.headers[name].split(",")]
