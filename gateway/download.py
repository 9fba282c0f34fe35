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
from gateway.protocol.disposition import offered
from gateway.protocol.download import DownloadPlan, file_representation, plan_download
from gateway.protocol.ranges import ByteRange
from gateway.transfer.pace import UNLIMITED, Pace
from gateway.transfer.send import Outlet

#: Answers up to this length are read in one go and sent with their head, in bytes.
_SMALL_BYTES: Final = 256 << 10
#: The only field that matters to a request that is no GET.
_WANTED: Final = "Want-Repr-Digest"
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
    heard = {_WANTED: request.headers.get(_WANTED, "")} if whole else request.headers
    planned = Planned(heard, request.method)
    more = {**(headers or {}), **offered(path.name)}
    _, found = await gate.files(volume, folder).open_or_read(path, planned.few)
    if isinstance(found, bytes):
        gate.observer.sent(volume, len(found))
        await pace.after(len(found))
        return _small_answer(request, planned.plan, found, more)
    handle = found

    async def send(response: web.StreamResponse, part: ByteRange, out: Outlet) -> None:
        await gate.sender.send(response, handle, part, out)

    try:
        offloaded = None if whole else await gate.offload.fields(gate.volume(volume).name, handle)
        if offloaded is not None:
            return _handed_over({**more, **offloaded})
        if wants_sha256(request.headers) and (sha256 := await handle.sha256()) is not None:
            more["Repr-Digest"] = repr_digest(sha256)
        return await respond(request, planned.plan, send, Outlet(request, volume, pace), more)
    finally:
        await handle.close()


def _handed_over(headers: Mapping[str, str]) -> web.Response:
    """An answer whose body comes from the server in front."""
    response = web.Response(headers=headers)
    response.content_type = "application/octet-stream"
    return response


class Planned:
    """The answer to a request for a file, decided where it is opened, so that few bytes are read there.

    Args:
        headers: its header fields; case-insensitive, or by the names that HTTP's documents use.
    """

    def __init__(self, headers: Mapping[str, str], method: str) -> None:
        self._headers = headers
        self._method = method
        self.plan = DownloadPlan(200, {})

    def few(self, known: FileStat) -> tuple[int, int] | None:
        """Plan; returns which bytes are all that is wanted of the file, None if it has to be opened."""
        self.plan = plan_download(file_representation(known), self._headers, self._method)
        if len(self.plan.body) != 1 or wants_sha256(self._headers):
            return None
        part = self.plan.body[0]
        return (part.start, part.count) if isinstance(part, ByteRange) and part.count <= _SMALL_BYTES else None


def _small_answer(
    request: web.Request, plan: DownloadPlan, data: bytes, headers: Mapping[str, str]
) -> web.Response:
    """The answer with the bytes that were read.

    Raises:
        ConnectionError: the file became shorter since it was opened.
    """
    if len(data) != plan.content_length:
        Outlet(request, "").cut()
        raise ConnectionResetError("the file became shorter while it was read")
    return web.Response(status=plan.status, headers={**headers, **plan.headers}, body=data)


async def respond(
    request: web.Request,
    plan: DownloadPlan,
    send: SendPart,
    out: Outlet,
    headers: Mapping[str, str],
) -> web.StreamResponse:
    """Answer as planned. A body that cannot be sent to its end breaks the connection."""
    response = web.StreamResponse(status=plan.status, headers={**headers, **plan.headers})
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
