"""Reading back what was uploaded, at the URL it was uploaded to."""

from __future__ import annotations

from typing import Final

from aiohttp import web

from domain.errors import ConflictError, GoneError, NotFoundError, Subject
from gateway.download import send_file
from gateway.gate import Gate
from gateway.problems import Problem
from gateway.tokens import CollectionClaims, UploadClaims
from gateway.uploads.session import UploadSession, UploadState

_UNFINISHED: Final = Problem(
    409,
    "urn:penstock:problem:upload-unfinished",
    "Conflict",
    "storage-proxy_read_conflict",
    {"msg": "some of its bytes are still to come", "retry": "later"},
    {"Retry-After": "1"},
)


async def send_finished(
    gate: Gate, request: web.Request, claims: UploadClaims | CollectionClaims, session_id: str
) -> web.StreamResponse:
    """Send the file a finished upload has become, as a download does.

    The token is good for this upload, and not for what may stand at its place by now.

    Raises:
        NotFoundError (subject upload): never begun, or not the token's.
        GoneError: dropped, or the file is another one now.
    """
    session = await gate.uploads.look_up(claims, session_id)
    if session.state is not UploadState.COMMITTED:
        return _UNFINISHED.response()
    if session.destination is None or not await _is_still_there(gate, session):
        raise GoneError("the file is not there any more, or was changed", subject=Subject.UPLOAD)
    return await send_file(gate, request, gate.stock(session.volume, session.folder), session.destination)


async def _is_still_there(gate: Gate, session: UploadSession) -> bool:
    assert session.destination is not None
    if session.unpack:
        return False
    try:
        handle = await gate.files(session.volume, session.folder).open_read(session.destination)
    except (NotFoundError, ConflictError):
        return False
    try:
        kept = await handle.sha256() if session.sha256 else None
        return handle.stat.size_bytes == session.length and (kept.hex() if kept else "") == session.sha256
    finally:
        await handle.close()
