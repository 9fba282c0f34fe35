"""A directory's entries as JSON, in the form Backend.AI's clients know.

Written by hand because of directories with very many entries: the same text from `json.dumps` takes four times as
long. It is made on a thread, so that a huge directory holds up nobody else's request, and one such text after the
other: side by side each of them would be ready when all are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from json.encoder import encode_basestring_ascii as quoted
from typing import Final

from aiohttp import web
from anyio import CapacityLimiter, to_thread

from backends.contract import Entry, EntryKind, FileAccess, Volume
from domain.foreign_names import sendable
from domain.ids import VFolderId
from domain.paths import RelativePath
from gateway.manager.sharing import Shared

#: Entries of one piece. Fewer are told on the event loop, in about a millisecond.
_PIECE: Final = 1000
#: The first and the last second there is a date of (0001-01-01, 9999-12-31), since 1970.
_FIRST: Final = -62_135_596_800
_LAST: Final = 253_402_300_799
_TYPES: Final = {
    EntryKind.FILE: "FILE",
    EntryKind.DIRECTORY: "DIRECTORY",
    EntryKind.SYMLINK: "SYMLINK",
    EntryKind.OTHER: "FILE",
}


@dataclass(frozen=True, slots=True)
class Told:
    """A listing's text, in pieces."""

    pieces: Sequence[bytes]
    #: Whether there is more than it tells.
    truncated: bool

    async def send(self, request: web.Request) -> web.StreamResponse:
        """Answer with it; a long one is sent piece by piece."""
        headers = {"X-Penstock-Truncated": "true"} if self.truncated else {}
        headers["Content-Type"] = "application/json; charset=utf-8"
        if len(self.pieces) == 1:
            return web.Response(body=self.pieces[0], headers=headers)
        response = web.StreamResponse(headers=headers)
        await response.prepare(request)
        for piece in self.pieces:
            await response.write(piece)
        await response.write_eof()
        return response


class Listings:
    """Directories, told to whoever asks; several who ask for the same one at the same time get the same text."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._turns = CapacityLimiter(1)
        self._shared: Shared[Told] = Shared()

    async def tell(self, volume: Volume, folder: VFolderId, path: RelativePath) -> Told:
        """What is in a directory, as `FileAccess.listing` finds it; raises what that raises."""
        return await self._shared.get((volume.name, folder, path), partial(self._tell, volume.files(folder), path))

    async def _tell(self, files: FileAccess, path: RelativePath) -> Told:
        listing = await files.listing(path, limit=self._limit)
        if len(listing.entries) <= _PIECE:
            return Told(_pieces(listing.entries), listing.truncated)
        pieces = await to_thread.run_sync(_pieces, listing.entries, limiter=self._turns)
        return Told(pieces, listing.truncated)


def _pieces(entries: Sequence[Entry]) -> list[bytes]:
    told = [_told(entries[start : start + _PIECE]) for start in range(0, len(entries), _PIECE)] or [""]
    told[0] = '{"items": [' + told[0]
    told[1:] = [f", {piece}" for piece in told[1:]]
    told[-1] += "]}"
    return [piece.encode() for piece in told]


def _second(since_1970: int) -> str:
    """A second, or the nearest one calendars have: some file systems keep any time of 64 bits."""
    known = min(max(since_1970, _FIRST), _LAST)
    return datetime.fromtimestamp(known, UTC).isoformat()[:19]


def _told(entries: Sequence[Entry]) -> str:
    seconds: dict[int, str] = {}

    def time(nanoseconds: int) -> str:
        whole, rest = divmod(nanoseconds, 1_000_000_000)
        text = seconds.get(whole)
        if text is None:
            # Files made together share their second, and making its text is the dearest part.
            text = seconds[whole] = _second(whole)
        return f"{text}.{rest // 1000:06}+00:00"

    told = []
    for name, (kind, size, mode, modified_ns, changed_ns, _), link_target in entries:
        modified = time(modified_ns)
        # Most files were written once: both of their times are the same.
        created = modified if changed_ns == modified_ns else time(changed_ns)
        target = quoted(sendable(link_target)) if link_target else '""'
        shown = name if name.isascii() else sendable(name)
        told.append(
            f'{{"name": {quoted(shown)}, "type": "{_TYPES[kind]}", "stat": {{"mode": {mode}, "size": {size}, '
            f'"created": "{created}", "modified": "{modified}"}}, "symlink_target": {target}}}'
        )
    return ", ".join(told)
