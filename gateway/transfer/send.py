"""Sending files, and what is made of files, to a connection.

On plain TCP the volume's threads send: from file to socket inside the kernel, a few MiB at a time, or what they
have just made of many small files. So a disk that has to be waited for never holds up the event loop, and a slow
receiver is waited for on the loop, not on a thread. With TLS, or from storage without local files, all is read and
written in pieces.

A file that is written to meanwhile is noticed by its handle before the last bytes of it have left.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator
from contextlib import aclosing, asynccontextmanager, contextmanager
from functools import partial
from typing import Final, TypeAlias

import anyio
from aiohttp import web
from anyio import to_thread
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream

from backends.buffers import Piece
from backends.contract import ReadHandle
from backends.outlet import SocketOutlet
from backends.powers import SendsToSocket
from domain.errors import BackendFaultError, PenstockError, Subject
from gateway.observer import GatewayObserver
from gateway.protocol.ranges import ByteRange
from gateway.transfer.pace import UNLIMITED, Pace
from gateway.transfer.standing import Standing
from gateway.transfer.tail import LAST_BYTES, RECEIVER_BYTES, TAIL_BYTES, CopiesToSocket, unacknowledged

#: Takes pieces, all or some; returns those it has left.
Take: TypeAlias = Callable[[list[Piece]], list[Piece]]
#: Passes bytes of a file from an offset on to a socket, as many as it takes now; returns how many.
PassOn: TypeAlias = Callable[[SocketOutlet, int, int], Awaitable[int]]
#: Makes pieces, has them taken where they are made, and tells which are left to be sent.
Make: TypeAlias = Callable[[Take], AsyncGenerator[list[Piece]]]

#: Bytes one call of the kernel sends at most; bounds how long a thread is taken.
_SEND_BYTES: Final = 8 << 20
#: How often it is looked, in the time a receiver may stand still, whether one that takes no more is only slow.
_LOOKS: Final = 4
#: How often it is looked whether a receiver is still there, while nothing is sent.
_LOST_SECONDS: Final = 1.0
#: Pieces, most of them of a MiB, that are made before they can be sent.
_PIECES_AHEAD: Final = 4


class Sender:
    """Sends bodies of prepared responses."""

    def __init__(self, read_bytes: int, idle_seconds: float, observer: GatewayObserver) -> None:
        self._read_bytes = read_bytes
        self._idle_seconds = idle_seconds
        self._observer = observer

    async def send(self, response: web.StreamResponse, handle: ReadHandle, part: ByteRange, out: Outlet) -> None:
        """Send a part of a file as the body of a prepared response.

        Raises:
            ConnectionError: the receiver is gone or stands still.
            BackendFaultError: the file failed, was changed, or became shorter than announced; the connection has to
                be cut.
        """
        with self._transferring():
            if out.socket_fd is not None and isinstance(handle, SendsToSocket):
                async with self._straight(out, out.socket_fd) as outlet:
                    await self._by_kernel(handle, part, out, outlet)
            else:
                await self._by_pieces(response, handle, part, out)

    async def send_pieces(self, response: web.StreamResponse, pieces: AsyncGenerator[bytes], out: Outlet) -> None:
        """Send bytes that are made on the way; the next ones are made while some are sent.

        Raises:
            ConnectionError: the receiver is gone or stands still.
            PenstockError: what makes them failed; the connection has to be cut.
        """
        made, ready = anyio.create_memory_object_stream[bytes](_PIECES_AHEAD)
        failures: list[Exception] = []
        with self._transferring():
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(_make_ahead, pieces, made, failures)
                try:
                    await self._write_all(response, ready, out)
                except OSError as error:
                    failures.append(error)
                    tasks.cancel_scope.cancel()
            if failures:
                raise failures[0]

    async def send_made(self, response: web.StreamResponse, make: Make, out: Outlet) -> None:
        """Send bytes that are made on threads, which on plain TCP send them as well: nobody hands them on.

        Raises:
            ConnectionError: the receiver is gone or stands still.
            PenstockError: what makes them failed; the connection has to be cut.
        """
        if out.socket_fd is None or out.pace.is_limited:
            await self.send_pieces(response, _joined(make), out)
            return
        with self._transferring():
            async with self._straight(out, out.socket_fd) as outlet, aclosing(make(outlet.put)) as made:
                told = 0
                async for left in made:
                    await self._put(outlet, left, out)
                    self._observer.sent(out.volume, outlet.sent - told)
                    told = outlet.sent

    @contextmanager
    def _transferring(self) -> Iterator[None]:
        """Count a download, and tell who stands still as one that is gone."""
        self._observer.transferring("download", 1)
        try:
            yield
        except TimeoutError as error:
            raise ConnectionResetError(f"the receiver took nothing for {self._idle_seconds:g} s") from error
        finally:
            self._observer.transferring("download", -1)

    @asynccontextmanager
    async def _straight(self, out: Outlet, socket_fd: int) -> AsyncIterator[SocketOutlet]:
        """The connection's socket, past the HTTP library, when all that library has written has left."""
        await self._drained(out)
        outlet = SocketOutlet(socket_fd)
        try:
            yield outlet
        finally:
            outlet.close()

    async def _put(self, outlet: SocketOutlet, left: list[Piece], out: Outlet) -> None:
        while left:
            await self._writable(outlet, out)
            left = await to_thread.run_sync(partial(outlet.put, left, patient=False))
        if outlet.failure is not None:
            raise outlet.failure

    async def _writable(self, outlet: SocketOutlet, out: Outlet) -> None:
        if outlet.failure is not None:
            raise outlet.failure
        standing = Standing(self._idle_seconds)
        while True:
            with anyio.move_on_after(self._idle_seconds / _LOOKS):
                await outlet.writable()
                return
            await standing.saw(out.unacknowledged())

    async def _drained(self, out: Outlet) -> None:
        """Wait until what was written before has left, so that it stays before what is sent past it."""
        standing = Standing(self._idle_seconds)
        while out.buffered():
            await standing.saw(out.waiting())

    async def _write_all(
        self, response: web.StreamResponse, pieces: MemoryObjectReceiveStream[bytes], out: Outlet
    ) -> None:
        async with pieces:
            async for piece in pieces:
                step = out.pace.step(len(piece))
                for start in range(0, len(piece), max(step, 1)):
                    part = piece[start : start + step]
                    await out.pace.turn(len(part))
                    await self._write(response, part, out)
                    self._observer.sent(out.volume, len(part))

    async def _write(self, response: web.StreamResponse, part: bytes, out: Outlet) -> None:
        with anyio.move_on_after(self._idle_seconds / _LOOKS) as soon:
            await response.write(part)
        if soon.cancelled_caught:
            await self._drained(out)  # all of it is written; what it waited for was this

    async def _by_kernel(self, handle: SendsToSocket, part: ByteRange, out: Outlet, outlet: SocketOutlet) -> None:
        """Send the pages of the file, and copies of its last bytes where the handle has that power."""
        if not isinstance(handle, CopiesToSocket):
            await self._passed_on(handle.send, part, out, outlet)
            return
        pages = ByteRange(part.start, max(part.count - TAIL_BYTES, 0))
        await self._passed_on(handle.send, pages, out, outlet)
        copied = ByteRange(pages.end, part.count - pages.count - LAST_BYTES if pages.count else part.count)
        await self._passed_on(handle.copy, copied, out, outlet)
        if pages.count:
            await self._read_up_to(copied.count - RECEIVER_BYTES, out)
            await self._passed_on(handle.copy, ByteRange(copied.end, LAST_BYTES), out, outlet)

    async def _passed_on(self, pass_on: PassOn, part: ByteRange, out: Outlet, outlet: SocketOutlet) -> None:
        done = 0
        while done < part.count:
            wanted = out.pace.step(min(_SEND_BYTES, part.count - done))
            await out.pace.turn(wanted)
            sent = await pass_on(outlet, part.start + done, wanted)
            out.pace.give_back(wanted - sent)
            done += sent
            self._observer.sent(out.volume, sent)
            if sent < wanted:
                await self._writable(outlet, out)

    async def _read_up_to(self, most: int, out: Outlet) -> None:
        """Wait until so many bytes at most are not acknowledged. Raises TimeoutError: the receiver stands still."""
        standing = Standing(self._idle_seconds)
        while (waiting := out.unacknowledged()) > most:
            await standing.saw(waiting)

    async def _by_pieces(
        self, response: web.StreamResponse, handle: ReadHandle, part: ByteRange, out: Outlet
    ) -> None:
        done = 0
        while done < part.count:
            wanted = out.pace.step(min(self._read_bytes, part.count - done))
            piece = await handle.read(part.start + done, wanted)
            if not piece:
                raise BackendFaultError("the file became shorter while it was sent", subject=Subject.FILE)
            await out.pace.turn(len(piece))
            await self._write(response, piece, out)
            done += len(piece)
            self._observer.sent(out.volume, len(piece))


async def _joined(make: Make) -> AsyncGenerator[bytes]:
    """Whatever is made, for somebody else to send."""
    async with aclosing(make(lambda pieces: [b"".join(pieces)])) as made:
        async for pieces in made:
            yield b"".join(pieces)


async def _make_ahead(
    pieces: AsyncGenerator[bytes], made: MemoryObjectSendStream[bytes], failures: list[Exception]
) -> None:
    """Make pieces for somebody who sends them. A failure ends them, and is told when those before it are sent."""
    async with made, aclosing(pieces):
        try:
            async for piece in pieces:
                await made.send(piece)
        except PenstockError as error:
            failures.append(error)
        except anyio.BrokenResourceError:
            return  # nobody sends them any more


class Outlet:
    """Where the bytes go: a connection, and the volume they are counted for."""

    def __init__(self, request: web.Request, volume: str, pace: Pace = UNLIMITED) -> None:
        self._transport = request.transport
        self.volume = volume
        self.pace = pace

    @property
    def socket_fd(self) -> int | None:
        """The connection's descriptor if it is plain TCP, else None."""
        transport = self._transport
        if transport is None or transport.get_extra_info("sslcontext") is not None:
            return None
        plain = transport.get_extra_info("socket")
        return None if plain is None or plain.fileno() < 0 else plain.fileno()

    def buffered(self) -> int:
        """Bytes that were written and are not the system's yet. Raises ConnectionError: the receiver is gone."""
        return self._open_transport().get_write_buffer_size()

    def unacknowledged(self) -> int:
        """Bytes that were sent and not acknowledged. Raises ConnectionError: the receiver is gone."""
        plain = self._open_transport().get_extra_info("socket")
        return 0 if plain is None else unacknowledged(plain.fileno())

    def waiting(self) -> int:
        """Bytes that were written and not acknowledged. Raises ConnectionError: the receiver is gone."""
        return self.buffered() + self.unacknowledged()

    async def lost(self) -> ConnectionResetError:
        """Wait until the receiver is gone, for work during which nothing is sent. Returns what to say of it."""
        while True:
            try:
                self._open_transport()
            except ConnectionResetError as error:
                return error
            await anyio.sleep(_LOST_SECONDS)

    def _open_transport(self) -> asyncio.Transport:
        if self._transport is None or self._transport.is_closing():
            raise ConnectionResetError("the connection was lost")
        return self._transport

    def cut(self) -> None:
        """Break the connection, so that a body that is too short is not taken for whole."""
        if self._transport is not None:
            self._transport.abort()
