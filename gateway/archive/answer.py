"""Answering with an archive."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from typing import Final

from aiohttp import web
from anyio import to_thread

from backends.contract import EntryKind
from domain.errors import BackendFaultError
from domain.ids import VFolderId
from gateway.archive.contents import Contents
from gateway.archive.deflate import gzip
from gateway.archive.flowing import compressed_tar, deflated_zip, zstd
from gateway.archive.layout import Format, Layout
from gateway.archive.manifest import ERRORS_NAME, Manifest, Member, errors_member
from gateway.archive.tar import Tar
from gateway.archive.zip import Zip
from gateway.download import respond
from gateway.gate import Gate
from gateway.protocol.disposition import offered
from gateway.protocol.download import Representation, plan_download
from gateway.protocol.ranges import ByteRange
from gateway.protocol.validators import EntityTag
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


_SIZED: Final[dict[Packing, type[Format]]] = {Packing.ZIP: Zip, Packing.TAR: Tar}
_MEDIA_TYPES: Final = {
    Packing.DEFLATED_ZIP: "application/zip",
    Packing.TAR_GZ: "application/gzip",
    Packing.TAR_ZST: "application/zstd",
}
#: Part of every tag: another way to write archives down is other bytes.
_SALT: Final = "1"


@dataclass(frozen=True, slots=True)
class ArchiveOf:
    """What is packed, how, and under which name it is offered."""

    volume: str
    folder: VFolderId
    manifest: Manifest
    packing: Packing
    #: Without its ending.
    name: str
    pace: Pace = UNLIMITED


async def send_archive(gate: Gate, request: web.Request, archive: ArchiveOf) -> web.StreamResponse:
    """Send an archive; one with a fixed layout also by ranges, and only as its conditions say."""
    headers = offered(f"{archive.name}{archive.packing.suffix}")
    out = Outlet(request, archive.volume, archive.pace)
    if archive.packing in _SIZED:
        return await _sized(gate, request, archive, out, headers)
    return await _flowing(gate, request, archive, out, headers)


async def _sized(
    gate: Gate, request: web.Request, archive: ArchiveOf, out: Outlet, headers: dict[str, str]
) -> web.StreamResponse:
    form = _SIZED[archive.packing]()
    members = _without_links(archive.manifest) if archive.packing is Packing.ZIP else archive.manifest.members
    layout = await Layout.plan(members, form)
    contents = Contents(gate.files(archive.volume, archive.folder), members)
    known = await to_thread.run_sync(_representation, archive, layout.size, form.media_type)
    checksums = gate.checksums[gate.volume(archive.volume).name]

    async def send(response: web.StreamResponse, part: ByteRange, out: Outlet) -> None:
        make = partial(layout.pieces, contents, checksums, part.start, part.end)
        await gate.sender.send_made(response, make, out)

    return await respond(request, plan_download(known, request.headers, request.method), send, out, headers)


def _representation(archive: ArchiveOf, size: int, media_type: str) -> Representation:
    tag = EntityTag(archive.manifest.tag(f"{_SALT} {archive.packing}"))
    return Representation(tag, archive.manifest.modified, size, media_type)


async def _flowing(
    gate: Gate, request: web.Request, archive: ArchiveOf, out: Outlet, headers: dict[str, str]
) -> web.StreamResponse:
    response = web.StreamResponse(headers=headers)
    response.content_type = _MEDIA_TYPES[archive.packing]
    response.enable_chunked_encoding()
    await response.prepare(request)
    if request.method != "HEAD":
        try:
            await gate.sender.send_pieces(response, _compressed(gate, archive), out)
        except BackendFaultError as error:
            out.cut()
            raise ConnectionResetError(str(error)) from error
    await response.write_eof()
    return response


def _compressed(gate: Gate, archive: ArchiveOf) -> AsyncGenerator[bytes]:
    files = gate.files(archive.volume, archive.folder)
    if archive.packing is Packing.DEFLATED_ZIP:
        members = _without_links(archive.manifest)
        return deflated_zip(members, Contents(files, members))
    members = archive.manifest.members
    return compressed_tar(members, Contents(files, members), gzip if archive.packing is Packing.TAR_GZ else zstd)


def _without_links(manifest: Manifest) -> Sequence[Member]:
    """ZIP knows no links all programs agree on: they are told, not packed."""
    links = [member for member in manifest.members if member.stat.kind is EntryKind.SYMLINK]
    if not links:
        return manifest.members
    kept = [
        member
        for member in manifest.members
        if member.stat.kind is not EntryKind.SYMLINK and member.name != ERRORS_NAME
    ]
    told = [*manifest.errors, *(f"{member.name}: a link to {member.target}" for member in links)]
    return [*kept, errors_member(told, 0)]
