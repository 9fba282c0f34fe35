"""Answering with a file."""

from __future__ import annotations

from collections.abc import Mapping

from aiohttp import web

from backends.contract import ReadHandle
from domain.errors import BackendFaultError
from domain.ids import VFolderId
from domain.paths import RelativePath
from gateway.gate import Gate
from gateway.protocol.disposition import attachment
from gateway.protocol.download import DownloadPlan, plan_download
from gateway.transfer.send import Outlet


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
    try:
        plan = plan_download(handle.stat, {} if whole else request.headers, request.method)
        return await _respond(gate, request, handle, plan, Outlet(request, volume), path, headers or {})
    finally:
        await handle.close()


async def _respond(
    gate: Gate,
    request: web.Request,
    handle: ReadHandle,
    plan: DownloadPlan,
    out: Outlet,
    path: RelativePath,
    headers: Mapping[str, str],
) -> web.StreamResponse:
    response = web.StreamResponse(status=plan.status, headers={**plan.headers, **headers})
    response.content_type = "application/octet-stream"
    response.headers["Content-Disposition"] = attachment(path.name)
    response.headers["X-Content-Type-Options"] = "nosniff"
    if plan.content_length is not None:
        response.content_length = plan.content_length
    await response.prepare(request)
    if plan.body is not None:
        try:
            await gate.sender.send(response, handle, plan.body, out)
        except BackendFaultError as error:
            out.cut()
            raise ConnectionResetError(str(error)) from error
    await response.write_eof()
    return response
