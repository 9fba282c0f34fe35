"""Answering with bytes that can be asked for in parts."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

from aiohttp import web

from domain.errors import BackendFaultError
from domain.ids import VFolderId
from domain.paths import RelativePath
from gateway.gate import Gate
from gateway.protocol.digest import repr_digest, wants_sha256
from gateway.protocol.disposition import attachment
from gateway.protocol.download import Representation, file_representation, plan_download
from gateway.protocol.ranges import ByteRange
from gateway.transfer.send import Outlet

#: Sends a part of a representation as the body of a prepared response.
SendPart = Callable[[web.StreamResponse, ByteRange, Outlet], Awaitable[None]]


async def send_file(
    gate: Gate,
    request: web.Request,
    volume: str,
    folder: VFolderId,
    path: RelativePath,
    *,
    whole: bool = False,
    headers: Mapping[str, str] | None = None,
) -> web.StreamResponse:
    """Send a file, or what the request's conditions and range ask of it.

    Args:
        whole: pass over conditions and range; for requests that are no GET.
        headers: more header fields of the answer.

    Raises:
        NotFoundError, ConflictError, InvalidPathError: nothing that could be sent.
    """
    handle = await gate.files(volume, folder).open_read(path)

    async def send(response: web.StreamResponse, part: ByteRange, out: Outlet) -> None:
        await gate.sender.send(response, handle, part, out)

    try:
        more = {**(headers or {}), "Content-Disposition": attachment(path.name)}
        if wants_sha256(request.headers) and (sha256 := await handle.sha256()) is not None:
            more["Repr-Digest"] = repr_digest(sha256)
        known = file_representation(handle.stat)
        return await respond(request, known, send, Outlet(request, volume), more, whole=whole)
    finally:
        await handle.close()


async def respond(
    request: web.Request,
    known: Representation,
    send: SendPart,
    out: Outlet,
    headers: Mapping[str, str],
    *,
    whole: bool = False,
) -> web.StreamResponse:
    """Answer a request for a representation. A body that cannot be sent to its end breaks the connection."""
    plan = plan_download(known, {} if whole else request.headers, request.method)
    response = web.StreamResponse(status=plan.status, headers={**headers, **plan.headers})
    response.headers["X-Content-Type-Options"] = "nosniff"
    if plan.content_length is not None:
        response.content_length = plan.content_length
    await response.prepare(request)
    try:
        for item in plan.body:
            if isinstance(item, bytes):
                await response.write(item)
            else:
                await send(response, item, out)
    except BackendFaultError as error:
        out.cut()
        raise ConnectionResetError(str(error)) from error
    await response.write_eof()
    return response
