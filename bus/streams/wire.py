"""A connection to Redis after its handshake: bytes out, answers in as they arrive.

redis-py makes the connection (Sentinels, TLS, users) and reads answers by a task that waits for them. Here they are
read where the event loop hands their bytes over, which saves each of them a change of tasks and half of its time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final, cast

import hiredis
from redis import exceptions
from redis._parsers.base import BaseParser
from redis.asyncio.connection import AbstractConnection

#: What the parser says where an answer is not there whole.
_NOT_YET: Final = object()


class Wire(asyncio.Protocol):
    """Takes a connection over from redis-py, which closes it in the end.

    Args:
        heard: called with each answer; one that is an error is an exception. What it raises ends the connection.
        lost: called once, when the connection is lost; nothing is heard after that. What came behind the answer
            that ended it would be taken for the answers to other commands.
    """

    def __init__(
        self, connection: AbstractConnection, heard: Callable[[Any], None], lost: Callable[[Exception], None]
    ) -> None:
        self._heard = heard
        self._lost = lost
        self._is_lost = False
        self._reader = hiredis.Reader(
            protocolError=exceptions.InvalidResponse,
            replyError=BaseParser.parse_error,
            notEnoughData=_NOT_YET,
        )
        # redis-py has no name for it that is meant for others.
        writer: asyncio.StreamWriter = connection._writer  # type: ignore[assignment]  # noqa: SLF001
        self._transport = cast("asyncio.Transport", writer.transport)
        self._transport.set_protocol(self)

    def write(self, data: bytes) -> None:
        """Send bytes; nothing if the connection is lost already, which who waits for the answer is told."""
        # One event loop swallows what is written to a closed one, another raises what no reader reckons with.
        if not (self._is_lost or self._transport.is_closing()):
            self._transport.write(data)

    def pause(self) -> None:
        """Leave what Redis says with Redis for now."""
        if self._transport.is_reading():
            self._transport.pause_reading()

    def resume(self) -> None:
        """Go on hearing."""
        if not self._transport.is_reading() and not self._transport.is_closing():
            self._transport.resume_reading()

    def data_received(self, data: bytes) -> None:
        """Hand out the answers that are there whole."""
        if self._is_lost:
            return
        try:
            self._reader.feed(data)
            while (answer := self._reader.gets()) is not _NOT_YET:
                self._heard(answer)
        except exceptions.RedisError as error:
            self._lose(error)

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell that nothing more will come."""
        self._lose(exceptions.ConnectionError(f"the connection was closed: {exc or 'by the server'}"))

    def _lose(self, error: Exception) -> None:
        if not self._is_lost:
            self._is_lost = True
            self._lost(error)
