"""A directory's entries as JSON, in the form Backend.AI's clients know.

Written by hand because of directories with very many entries: the same text from `json.dumps` takes four times as
long. It is made on a thread, so that a huge directory holds up nobody else's request, and one such text after the
other: side by side each of them would be ready when all are.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from json.encoder import encode_basestring_ascii as quoted
from typing import Final

from aiohttp import web
from anyio import CapacityLimiter, to_thread

from backends.contract import Entry, EntryKind, Listing

#: Entries of one piece. Fewer are told on the event loop, in about a millisecond.
_PIECE: Final = 1000
_TYPES: Final = {
    EntryKind.FILE: "FILE",
    EntryKind.DIRECTORY: "DIRECTORY",
    EntryKind.SYMLINK: "SYMLINK",
    EntryKind.OTHER: "FILE",
}


async def send_listing(request: web.Request, listing: Listing, turns: CapacityLimiter) -> web.StreamResponse:
    """Answer with a listing; a long one is sent piece by piece.

    Args:
        turns: how many long ones are told at once.
    """
    headers = {"X-Penstock-Truncated": "true"} if listing.truncated else {}
    entries = listing.entries
    if len(entries) <= _PIECE:
        body = f'{{"items": [{_told(entries)}]}}'
        return web.Response(text=body, content_type="application/json", headers=headers)
    response = web.StreamResponse(headers={**headers, "Content-Type": "application/json; charset=utf-8"})
    await response.prepare(request)
    pieces = await to_thread.run_sync(_pieces, entries, limiter=turns)
    del listing, entries  # three times as large as its text, which may take long to be sent
    for piece in pieces:
        await response.write(piece)
    await response.write_eof(b"]}")
    return response


def _pieces(entries: Sequence[Entry]) -> list[bytes]:
    """The text of a long listing, but for its end."""
    starts = range(0, len(entries), _PIECE)
    return [
        ((", " if start else '{"items": [') + _told(entries[start : start + _PIECE])).encode() for start in starts
    ]


def _told(entries: Sequence[Entry]) -> str:
    seconds: dict[int, str] = {}

    def time(nanoseconds: int) -> str:
        whole, rest = divmod(nanoseconds, 1_000_000_000)
        text = seconds.get(whole)
        if text is None:
            # Files made together share their second, and making its text is the dearest part.
            text = seconds[whole] = datetime.fromtimestamp(whole, UTC).isoformat()[:19]
        return f"{text}.{rest // 1000:06}+00:00"

    told = []
    for name, (kind, size, mode, modified_ns, changed_ns, _), link_target in entries:
        modified = time(modified_ns)
        # Most files were written once: both of their times are the same.
        created = modified if changed_ns == modified_ns else time(changed_ns)
        target = quoted(link_target) if link_target else '""'
        told.append(
            f'{{"name": {quoted(name)}, "type": "{_TYPES[kind]}", "stat": {{"mode": {mode}, "size": {size}, '
            f'"created": "{created}", "modified": "{modified}"}}, "symlink_target": {target}}}'
        )
    return ", ".join(told)
