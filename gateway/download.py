"""Answering with bytes that can be asked for in parts."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from aiohttp import web

from backends.contract import FileStat
from domain.errors import BackendFaultError
from domain.ids import VFolderId
from domain.paths import RelativePath
from gateway.gate import Gate
from gateway.protocol.digest import repr_digest, wants_sha256
from gateway.protocol.disposition import attachment
from gateway.protocol.download import DownloadPlan, Representation, file_representation, plan_download
from gateway.protocol.ranges import ByteRange
from gateway.transfer.pace import UNLIMITED, Pace
from gateway.transfer.send import Outlet

#: Answers up to this length are read in one go and sent with their head, in bytes.
_SMALL_BYTES: Final = 256 << 10
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
    pace: Pace = UNLIMITED,
) -> web.StreamResponse:
    """Send a file, or what the request's conditions and range ask of it.

    Args:
        whole: pass over conditions and range; for requests that are no GET.
        headers: more header fields of the answer.
        pace: how fast.

    Raises:
        NotFoundError, ConflictError, InvalidPathError: nothing that could be sent.
    """
    more = {**(headers or {}), "Content-Disposition": attachment(path.name)}
    small = _Small(request, whole=whole)
    known, found = await gate.files(volume, folder).open_or_read(path, small.wanted)
    if isinstance(found, bytes):
        gate.observer.sent(volume, len(found))
        await pace.after(len(found))
        return small.response(found, more)
    handle = found

    async def send(response: web.StreamResponse, part: ByteRange, out: Outlet) -> None:
        await gate.sender.send(response, handle, part, out)

    try:
        offloaded = None if whole else await gate.offload.fields(gate.volume(volume).name, handle)
        if offloaded is not None:
            return _handed_over({**more, **offloaded})
        if wants_sha256(request.headers) and (sha256 := await handle.sha256()) is not None:
            more["Repr-Digest"] = repr_digest(sha256)
        out = Outlet(request, volume, pace)
        return await respond(request, file_representation(known), send, out, more, whole=whole)
    finally:
        await handle.close()


def _handed_over(headers: Mapping[str, str]) -> web.Response:
    """An answer whose body comes from the server in front."""
    response = web.Response(headers={**headers, "X-Content-Type-Options": "nosniff"})
    response.content_type = "application/octet-stream"
    return response


class _Small:
    """A request that few bytes answer: they are read where the file is opened, and sent with the head."""

    def __init__(self, request: web.Request, *, whole: bool) -> None:
        self._request = request
        self._whole = whole
        self._plan: DownloadPlan | None = None

    def wanted(self, known: FileStat) -> tuple[int, int] | None:
        """Which bytes; None: it is no such request."""
        headers = {} if self._whole else self._request.headers
        if self._request.method == "HEAD" or wants_sha256(self._request.headers):
            return None
        self._plan = plan_download(file_representation(known), headers, self._request.method)
        if len(self._plan.body) != 1:
            return None
        part = self._plan.body[0]
        return (part.start, part.count) if isinstance(part, ByteRange) and part.count <= _SMALL_BYTES else None

    def response(self, data: bytes, headers: Mapping[str, str]) -> web.Response:
        """The answer.

        Raises:
            ConnectionError: the file became shorter since it was opened.
        """
        assert self._plan is not None, "what was not planned was not read"
        if len(data) != self._plan.content_length:
            Outlet(self._request, "").cut()
            raise ConnectionResetError("the file became shorter while it was read")
        response = web.Response(status=self._plan.status, headers={**headers, **self._plan.headers}, body=data)
        response.headers["X-Content-Type-Options"] = "nosniff"
        return response


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
