"""A request's body as it arrives from the connection."""

from __future__ import annotations

import asyncio
from typing import Final, Protocol

import anyio
from aiohttp import ClientError, web
from aiohttp.http_exceptions import HttpProcessingError

from domain.errors import InvalidRequestError
from gateway.transfer.handover import Handover

#: A body that has no more than this to come is not worth a change of hands, in bytes.
_HANDOVER_BYTES: Final = 512 << 10


class Body(Protocol):
    """A request's body as it arrives."""

    @property
    def idle_seconds(self) -> float:
        """How long its sender may stand still."""

    @property
    def length(self) -> int | None:
        """Its length in bytes, if that was announced."""

    async def read(self) -> bytes:
        """The next bytes; empty at the end. Raises ConnectionError if the sender is gone or stands still."""

    def at_hand(self, most: int) -> bytes | None:
        """All of it, if it has come already and has no more than so many bytes; None: `read` it."""

    def handover(self) -> Handover | None:
        """Offer what is still to come as it comes from the socket."""


class RequestBody:
    """Reads a body chunk by chunk, as the connection delivered them, without joining them."""

    def __init__(self, request: web.Request, idle_seconds: float) -> None:
        self._request = request
        self._content = request.content
        #: How long a sender may stand still, in seconds.
        self.idle_seconds = idle_seconds

    @property
    def length(self) -> int | None:
        """Its length in bytes, if that was announced."""
        return None if "Transfer-Encoding" in self._request.headers else self._request.content_length

    def at_hand(self, most: int) -> bytes | None:
        """All of it, if it has come already and has no more than so many bytes; None: `read` it."""
        return self._come() if self._is_whole and self._content.total_bytes <= most else None

    def handover(self) -> Handover | None:
        """Offer the rest of the body as it comes from the socket, where that can be done and is worth it."""
        return Handover.offered(self._request, _HANDOVER_BYTES)

    async def read(self) -> bytes:
        """The next bytes; empty at the end.

        Raises:
            ConnectionError: the connection is lost, or no byte came for too long; nobody is to be answered.
            InvalidRequestError: the body breaks HTTP, e.g. a bad chunk size.
        """
        try:
            with anyio.fail_after(self.idle_seconds):
                return await self._next()
        except TimeoutError as error:
            raise ConnectionAbortedError(f"no byte came for {self.idle_seconds:g} s") from error
        except HttpProcessingError as error:
            raise InvalidRequestError(f"the body breaks HTTP: {error.message}", field="body") from error
        except (OSError, ClientError, web.RequestPayloadError, asyncio.IncompleteReadError) as error:
            raise ConnectionAbortedError(f"the connection was lost: {type(error).__name__}") from error

    async def _next(self) -> bytes:
        """The next bytes, as the library gives them out; those as well that came before the connection was lost."""
        try:
            while True:
                chunk, _ = await self._content.readchunk()
                if chunk or self._content.at_eof():
                    return chunk
        except Exception as error:
            come = self._come()
            if come or self._is_whole:
                return come
            if isinstance(error, RuntimeError) and self._request.transport is None:
                # So the library puts it if that was before anybody had begun to read.
                raise ConnectionResetError("the connection was lost") from error
            raise

    @property
    def _is_whole(self) -> bool:
        """Whether all of it has come. What became of the connection afterwards is nothing to it."""
        return self._content.is_eof() and not isinstance(self._content.exception(), HttpProcessingError)

    def _come(self) -> bytes:
        """What has come and was not read. Once a stream has failed the library would keep it."""
        content = self._content
        failure = content.exception()
        if failure is None:
            return content.read_nowait()
        content.set_exception(None)  # type: ignore[arg-type]  # as in the beginning
        try:
            return content.read_nowait()
        finally:
            content.set_exception(failure)


class BodyAtHand:
    """A body that has been read already."""

    #: Nobody is waited for.
    idle_seconds: Final = 0.0

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.length: Final = len(data)

    def at_hand(self, most: int) -> bytes | None:
        """All of it, if it has no more than so many bytes."""
        return self._data if self.length <= most else None

    def handover(self) -> None:
        """Nothing is still to come."""

    async def read(self) -> bytes:
        """All of it, then nothing."""
        data, self._data = self._data, b""
        return data


def waits_to_be_asked(request: web.Request) -> bool:
    """Whether a sender keeps its body until it is asked for it (`Expect: 100-continue`)."""
    return request.headers.get("Expect", "").lower() == "100-continue" and request.version >= (1, 1)


async def ask_for_body(request: web.Request) -> None:
    """Tell a sender that waits for it to send the body; call when it is wanted."""
    if waits_to_be_asked(request):
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")


async def expect_later(request: web.Request) -> None:
    """Expect handler of routes that decide on the head first: says nothing yet.

    Raises:
        web.HTTPExpectationFailed: something else than 100-continue is expected.
    """
    if request.headers.get("Expect", "").lower() != "100-continue":
        raise web.HTTPExpectationFailed(text="Unknown Expect")
