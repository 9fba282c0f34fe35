"""aiohttp's connection handler, but for the simplest requests, which are answered before it wakes up.

A range of some KiB, or a small file that is put at its place, costs an HTTP library more than the bytes do: a
parser, a task, a request, middlewares, a response, a writer, each of them worth having for other requests. What
needs none of that is answered where it arrives: a download in the page cache in one call, an upload when the volume
has it. Whatever is not exactly of that kind goes the ordinary way, which gives the same answers.

aiohttp has no public way to do this. What is used of its inside is named here and nowhere else; where a release
lacks it, everything goes the ordinary way.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, Final

from aiohttp import web
from aiohttp.web_protocol import RequestHandler
from loguru import logger

from gateway.client.connection import ClientHandler, unreadable
from gateway.connection import of_connections
from gateway.cors import Cors
from gateway.express.answer import send
from gateway.express.downloads import ExpressDownloads
from gateway.express.request import SimpleRequest, read_simple_request
from gateway.express.uploads import ExpressUploads
from gateway.gate import Gate

#: How long the rest of a small body is waited for, in seconds: many clients send a head, and then its body.
_REST_SECONDS: Final = 0.01
_USED: Final = (
    *("_waiter", "_messages", "_next_keepalive_close_time", "_keepalive_timeout", "_loop", "_close"),
    "_process_keepalive",
)

#: Makes the protocol of a new connection.
Protocols = Callable[[], asyncio.BaseProtocol]


def express(gate: Gate, options: Mapping[str, Any]) -> Callable[[web.Server], Protocols]:
    """Makes protocols of the clients' port that answer what they can, and leave the rest to the server.

    Args:
        options: how the server was told to run.
    """

    def protocols(server: web.Server) -> Protocols:
        loop = asyncio.get_running_loop()
        known = of_connections(options)
        fields = unreadable(Cors(gate.settings.allow_origins), gate.version)
        downloads, uploads = ExpressDownloads.offered(gate), ExpressUploads.offered(gate)
        if not (downloads or uploads) or not all(hasattr(RequestHandler, name) for name in _USED):
            return lambda: ClientHandler(server, loop, fields, known)
        return lambda: ExpressHandler(server, loop, fields, known, downloads, uploads)

    return protocols


class ExpressHandler(ClientHandler):
    """One connection."""

    __slots__ = (
        "_answering",
        "_downloads",
        "_held",
        "_is_closing",
        "_is_simple",
        "_part",
        "_part_held",
        "_rest_until",
        "_uploads",
        "_waiting",
    )

    def __init__(
        self,
        server: web.Server,
        loop: asyncio.AbstractEventLoop,
        fields: Mapping[str, str],
        options: Mapping[str, Any],
        downloads: ExpressDownloads | None,
        uploads: ExpressUploads | None,
    ) -> None:
        super().__init__(server, loop, fields, options)
        self._downloads = downloads
        self._uploads = uploads
        #: Whether all that came so far were whole requests: then the library waits for none.
        self._is_simple = True
        #: The beginning of a request, what is held of memory for all of it, until when the rest is waited for, and
        #: what ends that.
        self._part = b""
        self._part_held = 0
        self._rest_until = 0.0
        self._waiting: asyncio.TimerHandle | None = None
        #: An answer on its way, and what came behind its request.
        self._answering: asyncio.Task[None] | None = None
        self._held = b""
        #: Whether it ends when that answer is given.
        self._is_closing = False

    def data_received(self, data: bytes) -> None:
        """Answer, or hand over."""
        if self._waiting is not None:
            data = self._take_part() + data
        if self._answering is not None:
            self._hold(data)
        elif not (data and self._is_simple and self._answered(data)):  # the library calls this with nothing as well
            super().data_received(data)
            self._end_if_closing()

    def _end_if_closing(self) -> None:
        """Go on with closing once nothing is waited for any more."""
        if self._is_closing and self._answering is None and self._waiting is None:
            super().close()

    def _hold(self, data: bytes) -> None:
        """Keep what came until the answer before it is given; no more than what comes at once."""
        self._held += data
        if self.transport is not None:
            self.transport.pause_reading()

    def _answered(self, data: bytes) -> bool:
        request = read_simple_request(data)
        if request is not None and request.missing and self._waits(request, data):
            return True
        self._rest_until = 0.0
        if request is None or request.missing:
            self._is_simple = False
            return False
        if not self._is_idle() or not self._tried(request, data):
            return False
        self._next_keepalive_close_time = self._loop.time() + self._keepalive_timeout
        return True

    def _waits(self, request: SimpleRequest, data: bytes) -> bool:
        """Wait a moment for the rest of a request, if it may be answered then."""
        if self._uploads is None or not self._is_idle() or not self._uploads.may_take(request):
            return False
        now = self._loop.time()
        self._rest_until = self._rest_until or now + _REST_SECONDS
        if self._rest_until <= now or not self._uploads.hold(size := len(data) + request.missing):
            return False
        self._part, self._part_held = data, size
        self._next_keepalive_close_time = now + self._keepalive_timeout
        self._waiting = self._loop.call_at(self._rest_until, self._leave_part)
        return True

    def _leave_part(self) -> None:
        """Leave a request to the library of which the rest did not come in time."""
        if self._waiting is None:
            return
        self._is_simple, self._rest_until = False, 0.0
        part = self._take_part()
        # On a connection that was broken off in this moment the library would begin when it has ended already.
        if self.transport is not None and not self.transport.is_closing():
            super().data_received(part)
            self._end_if_closing()

    def _take_part(self) -> bytes:
        """What has come of a request of which the rest is not waited for any more."""
        if self._waiting is not None:
            self._waiting.cancel()
        if self._uploads is not None:
            self._uploads.release(self._part_held)
            self._part_held = 0
        part, self._waiting, self._part = self._part, None, b""
        return part

    def eof_received(self) -> None:
        """No more comes."""
        self._leave_part()
        super().eof_received()

    def connection_lost(self, exc: BaseException | None) -> None:
        """Nothing can be answered any more; of what came a moment ago nobody has taken note yet."""
        self._take_part()
        super().connection_lost(exc)

    def _tried(self, request: SimpleRequest, data: bytes) -> bool:
        try:
            if request.method == "GET":
                return self._downloads is not None and self._downloads.answer(request, self.transport)
            answer = self._begun(request)
        except Exception:  # noqa: BLE001  a defect here is no reason not to be answered
            _log_defect(request)
            return False
        if answer is None:
            return False
        self._answering = self._loop.create_task(self._finish(answer, request, data))
        return True

    def _begun(self, request: SimpleRequest) -> Coroutine[None, None, bytes | None] | None:
        if self._uploads is None or self.transport is None or self.transport.get_write_buffer_size():
            return None
        return self._uploads.begin(request, self.transport)

    async def _finish(
        self, answer: Coroutine[None, None, bytes | None], request: SimpleRequest, data: bytes
    ) -> None:
        """Send an answer when it is there, then go on with what came behind its request."""
        try:
            found = await answer
        except Exception:  # noqa: BLE001  likewise
            _log_defect(request)
            found = None
        transport = self.transport
        if transport is None or transport.is_closing():
            if found is None:
                await self._keep(request)
            self._answering = None
            return
        self._answering = None
        if found is None:
            super().data_received(data)
        else:
            self._next_keepalive_close_time = self._loop.time() + self._keepalive_timeout
            send(transport, found)
        self._go_on(transport)

    async def _keep(self, request: SimpleRequest) -> None:
        """Have stored what has come with a request that nobody can be answered any more."""
        try:
            if self._uploads is not None:
                await self._uploads.keep(request)
        except Exception:  # noqa: BLE001  likewise
            _log_defect(request)

    def _go_on(self, transport: asyncio.Transport) -> None:
        held, self._held = self._held, b""
        if held:
            transport.resume_reading()
            self.data_received(held)
        self._end_if_closing()

    def _process_keepalive(self) -> None:
        """End a connection nothing comes on; the library knows nothing of what is answered here."""
        if self._answering is not None:
            self._next_keepalive_close_time = self._loop.time() + self._keepalive_timeout
        super()._process_keepalive()

    def close(self) -> None:
        """Take no more requests, and end once those that came are answered; who stops the server waits for that."""
        if self._answering is None and self._waiting is None:
            super().close()
        else:
            self._is_closing = True

    async def shutdown(self, timeout: float | None = 15.0) -> None:
        """End, after some time whether what came is answered or not.

        The library takes no more from then on, also not what turns out to be its business only now.
        """
        end = None if timeout is None else self._loop.time() + timeout
        while self._waiting is not None:
            await asyncio.sleep(_REST_SECONDS)
        while self._answering is not None and (left := _left(end, self._loop.time())) != 0:
            await asyncio.wait([self._answering], timeout=left)
        if self._answering is not None:
            self._answering.cancel()
        await super().shutdown(_left(end, self._loop.time()))

    def _is_idle(self) -> bool:
        """Whether the library has answered everything it was handed."""
        return self._waiter is not None and not self._waiter.done() and not self._messages and not self._close


def _left(end: float | None, now: float) -> float | None:
    """Seconds until a time; None: there is none."""
    return None if end is None else max(end - now, 0)


def _log_defect(request: SimpleRequest) -> None:
    logger.exception("{} {} failed by a defect", request.method, request.target.partition("?")[0])
