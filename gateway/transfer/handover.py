"""Taking a request's body from its socket, past the HTTP library.

An HTTP library hands a body over in pieces of some KiB, each a Python object that is parsed, queued and copied. A
plain TCP body of known length needs none of that: its bytes are whatever the socket delivers next. So the library
is stopped, what it has read already is taken from it, a thread moves the rest from the socket to the storage, and
then the library goes on behind the body.

aiohttp has no public way to do this. What is used of its inside is named here and nowhere else; where a release
lacks it, nothing is offered and bodies come the ordinary way.
"""

# ruff: noqa: SLF001  see above

from __future__ import annotations

from typing import Any, Final

from aiohttp import web
from aiohttp.http import HttpRequestParser

_FILLER: Final = bytes(1 << 18)
_USED: Final = ("_parser", "_loop", "_read_bufsize", "_reading_paused", "_max_msg_queue_size", "max_line_size")


class Handover:
    """The rest of one request's body, straight from the socket.

    Rules: between `begin` and `end` nobody else may read the request's body. `end` is told how many bytes were
    taken, or the connection is broken with `cut`.
    """

    def __init__(self, request: web.Request, transport: Any) -> None:
        self._request = request
        self._protocol: Any = request.protocol
        self._transport = transport
        #: Bytes that are still in the socket, or yet to come.
        self.left = 0

    @classmethod
    def offered(cls, request: web.Request, least: int) -> Handover | None:
        """Offer to take a body over; None if that cannot be done, or less than `least` bytes are to come."""
        transport = request.transport
        length = request.content_length
        if transport is None or length is None or length - request.content.total_bytes < least:
            return None
        plain = transport.get_extra_info("socket")
        if transport.get_extra_info("sslcontext") is not None or plain is None or plain.fileno() < 0:
            return None
        if "Transfer-Encoding" in request.headers or request.content.exception() is not None:
            return None
        if not all(hasattr(request.protocol, name) for name in _USED):
            return None
        return cls(request, transport)

    def begin(self) -> list[bytes]:
        """Stop the library; returns what it has read of the body already."""
        early: list[bytes] = []
        content = self._request.content
        # A library that holds data back has not counted it yet; taking what it has makes it go on.
        while (piece := content.read_nowait()) or self._protocol._reading_paused:
            if piece:
                early.append(piece)
            else:
                self._protocol.resume_reading()
        self._transport.pause_reading()
        self.left = (self._request.content_length or 0) - content.total_bytes
        return early

    @property
    def socket_fd(self) -> int:
        """The connection's socket, for reading."""
        number: int = self._transport.get_extra_info("socket").fileno()
        return number

    def end(self, taken: int) -> None:
        """Let the library go on behind the bytes that were taken."""
        if self._transport.is_closing():
            return
        if taken == self.left:
            self._protocol._parser = self._fresh_parser()
            self._request.content.feed_eof()
        else:
            self._pretend(taken)
        self._transport.resume_reading()

    def cut(self) -> None:
        """Break the connection: nobody knows where in the body it is."""
        self._transport.abort()

    def _fresh_parser(self) -> HttpRequestParser:
        protocol = self._protocol
        return HttpRequestParser(
            protocol,
            protocol._loop,
            protocol._read_bufsize,
            max_line_size=protocol.max_line_size,
            max_field_size=protocol.max_field_size,
            max_headers=protocol.max_headers,
            payload_exception=web.RequestPayloadError,
            auto_decompress=False,
            max_msg_queue_size=protocol._max_msg_queue_size,
        )

    def _pretend(self, taken: int) -> None:
        """Tell the parser it had seen the bytes, so that it knows how many are still to come."""
        while taken > 0:
            part = min(taken, len(_FILLER))
            self._protocol.data_received(_FILLER[:part])
            taken -= part
            while self._request.content.read_nowait():
                pass
