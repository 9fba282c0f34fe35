"""Answering with an archive."""

from __future__ import annotations

import socket
import struct
from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import partial
from typing import Final

import anyio
from aiohttp import web

from domain.errors import ConflictError, PenstockError
from gateway.archive.composition import Composition, tag
from gateway.archive.contents import Contents, UnreadableError
from gateway.archive.crew import packers
from gateway.archive.deflate import gzip
from gateway.archive.flowing import Flow, compressed_tar, deflated_zip, zstd
from gateway.archive.layout import Format, Layout, Source
from gateway.archive.manifest import Manifest, Member
from gateway.archive.tar import Tar
from gateway.archive.zip import Zip
from gateway.download import respond
from gateway.gate import Gate
from gateway.protocol.disposition import offered
from gateway.protocol.download import DownloadPlan, Representation, plan_download, plan_unnamed
from gateway.protocol.fields import field_value
from gateway.protocol.ranges import ByteRange
from gateway.protocol.validators import EntityTag
from gateway.stock import Stock
from gateway.transfer.pace import UNLIMITED, Pace
from gateway.transfer.send import Outlet


class Packing(StrEnum):
    """Formats of archives, as their file names end."""

    ZIP = "zip"
    DEFLATED_ZIP = "deflated.zip"
    TAR = "tar"
    TAR_GZ = "tar.gz"
    TAR_ZST = "tar.zst"

    @property
    def suffix(self) -> str:
        """What the archive's name ends on."""
        return ".zip" if self is Packing.DEFLATED_ZIP else f".{self.value}"

    @property
    def is_portable(self) -> bool:
        """Whether programs of all systems unpack it, and not only those that know links and any name."""
        return self.suffix == ".zip"


_SIZED: Final[dict[Packing, type[Format]]] = {Packing.ZIP: Zip, Packing.TAR: Tar}
_MEDIA_TYPES: Final = {
    Packing.DEFLATED_ZIP: "application/zip",
    Packing.TAR_GZ: "application/gzip",
    Packing.TAR_ZST: "application/zstd",
}
#: Part of every tag: another way to write archives down is other bytes.
_SALT: Final = "2"
#: Fields of a request that matter, by the names under which they are looked up.
_HEARD: Final = ("Range", "If-Range", "If-Match", "If-None-Match")
#: Linger (socket(7)): a connection that is closed is reset, and what was not sent yet is dropped.
_AT_ONCE: Final = struct.pack("ii", 1, 0)
#: What is told of an archive that may not leave anything out, at most so many lines of it.
_TOLD: Final = 3


@dataclass(frozen=True, slots=True)
class ArchiveOf:
    """What is packed, how, and under which name it is offered.

    Args:
        strict: there is to be no archive if something cannot be put in.
        no_cache: nobody is to keep it.
    """

    stock: Stock
    manifest: Manifest
    packing: Packing
    #: Without its ending.
    name: str
    pace: Pace = UNLIMITED
    strict: bool = False
    no_cache: bool = False


async def send_archive(gate: Gate, request: web.Request, archive: ArchiveOf) -> web.StreamResponse:
    """Send an archive, if its conditions say so; one with a fixed layout also by ranges.

    Raises:
        ConflictError: something cannot be put in, where nothing is to be left out.
        BusyError: too many archives of the volume are being made.
        TooLargeError: it would be longer than any file can be.
    """
    headers = offered(f"{archive.name}{archive.packing.suffix}")
    if archive.no_cache:
        headers["Cache-Control"] = "no-store"
    crew = packers(archive.stock.volume)
    composition = await crew.run(partial(Composition.of, archive.manifest, portable=archive.packing.is_portable))
    if archive.packing in _SIZED:
        composition = await gate.faults[archive.stock.volume].left_out(composition, archive.stock.files, crew)
    if archive.strict and composition.errors:
        raise _incomplete(composition)
    out = Outlet(request, archive.stock.volume, archive.pace)
    if archive.packing in _SIZED:
        laid_out = await crew.run(_laid_out, composition, archive.packing)
        return await _sized(gate, request, archive, laid_out, out, headers)
    unsent = plan_unnamed(request.headers)
    if unsent is not None:
        return web.Response(status=unsent.status, headers=headers)
    flow = Flow(composition, Contents(archive.stock.files, composition.members), crew, archive.strict)
    return await _flowing(gate, request, _compressed(flow, archive.packing), archive.packing, out, headers)


def _incomplete(composition: Composition) -> ConflictError:
    count = len(composition.errors)
    told = "; ".join(composition.errors[:_TOLD])
    more = f"; and {count - _TOLD} more" if count > _TOLD else ""
    return ConflictError(f"not all of it can be put in: {told}{more}", reason="incomplete", left_out=count)


@dataclass(frozen=True, slots=True)
class _LaidOut:
    """An archive of which it is known where everything is."""

    members: Sequence[Member]
    layout: Layout
    known: Representation


def _laid_out(composition: Composition, packing: Packing) -> _LaidOut:
    members, form = composition.whole(), _SIZED[packing]()
    layout = Layout(members, form)
    # Of its dates see `_planned`.
    known = Representation(EntityTag(tag(members, f"{_SALT} {packing}")), 0, layout.size, form.media_type)
    return _LaidOut(members, layout, known)


async def _sized(
    gate: Gate,
    request: web.Request,
    archive: ArchiveOf,
    laid_out: _LaidOut,
    out: Outlet,
    headers: dict[str, str],
) -> web.StreamResponse:
    layout, stock = laid_out.layout, archive.stock

    def source() -> Source:
        contents = Contents(stock.files, laid_out.members, exact=True)
        return Source(contents, gate.checksums[stock.volume], packers(stock.volume))

    async def send(response: web.StreamResponse, part: ByteRange, out: Outlet) -> None:
        failure: Exception | None = None

        async def leave_off() -> None:
            nonlocal failure
            failure = await out.lost()
            tasks.cancel_scope.cancel()

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(leave_off)  # much may be read for a checksum while nothing is sent
            tasks.start_soon(_look_ahead, layout, source(), part)
            try:
                await gate.sender.send_made(response, partial(layout.pieces, source(), part.start, part.end), out)
            except (PenstockError, OSError) as error:
                failure = error
            tasks.cancel_scope.cancel()
        if isinstance(failure, UnreadableError):
            gate.faults[stock.volume].keep(failure)
        if failure is not None:
            raise failure

    return await respond(request, _planned(laid_out.known, request), send, out, headers)


async def _look_ahead(layout: Layout, source: Source, part: ByteRange) -> None:
    try:
        await layout.look_ahead(source, part.start, part.end)
    except PenstockError:
        return  # who needs it comes upon it by himself


def _planned(known: Representation, request: web.Request) -> DownloadPlan:
    """Decide on a request by its entity tags alone.

    An archive has no date: a file that goes, or an older one that comes, makes another archive of it and moves the
    time of no member. So dates in conditions are passed over (RFC 9110 sections 13.1.3 and 13.1.4); and whoever has
    nothing but a date to tell which archive his part is of gets all of it (13.1.5, 14.2).
    """
    heard = {name: value for name in _HEARD if (value := field_value(request.headers, name)) is not None}
    if "If-Unmodified-Since" in request.headers or not _names_tag(heard.get("If-Range")):
        heard.pop("Range", None)
    plan = plan_download(known, heard, request.method)
    return replace(plan, headers={name: value for name, value in plan.headers.items() if name != "Last-Modified"})


def _names_tag(if_range: str | None) -> bool:
    return if_range is None or if_range.lstrip().startswith(('"', "W/"))


async def _flowing(
    gate: Gate,
    request: web.Request,
    pieces: AsyncGenerator[bytes],
    packing: Packing,
    out: Outlet,
    headers: Mapping[str, str],
) -> web.StreamResponse:
    response = web.StreamResponse(headers=headers)
    response.content_type = _MEDIA_TYPES[packing]
    if request.version >= (1, 1):
        response.enable_chunked_encoding()
    else:
        response.force_close()  # before HTTP/1.1 a body of unknown length ends with its connection
    await response.prepare(request)
    if request.method != "HEAD":
        try:
            await gate.sender.send_pieces(response, pieces, out)
        except PenstockError as error:
            _have_reset(request)
            out.cut()
            raise ConnectionResetError(str(error)) from error
    await response.write_eof()
    return response


def _have_reset(request: web.Request) -> None:
    """See that a connection that is cut does not look like one that is closed: to some that is the body's end."""
    end = None if request.transport is None else request.transport.get_extra_info("socket")
    if end is not None:
        end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _AT_ONCE)


def _compressed(flow: Flow, packing: Packing) -> AsyncGenerator[bytes]:
    if packing is Packing.DEFLATED_ZIP:
        return deflated_zip(flow)
    return compressed_tar(flow, gzip if packing is Packing.TAR_GZ else zstd)
