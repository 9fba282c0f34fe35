"""Answering with bytes that can be asked for in parts."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from aiohttp import web

from backends.contract import FileStat, ReadHandle
from domain.errors import PenstockError
from domain.paths import RelativePath
from gateway.gate import Gate
from gateway.protocol.digest import WISHES, digest_field, whole_fields, wishes
from gateway.protocol.disposition import offered
from gateway.protocol.download import BYTES, DownloadPlan, file_representation, plan_download
from gateway.protocol.fields import field_value
from gateway.protocol.ranges import ByteRange
from gateway.stock import Stock
from gateway.transfer.pace import UNLIMITED, Pace
from gateway.transfer.send import Outlet

#: Answers up to this length are read in one go and sent with their head, in bytes.
ONE_GO_BYTES: Final = 256 << 10
#: Fields of answers that come from here in any case: a server in front passes on few of those it is given.
_NOT_OFFLOADED: Final = frozenset({"Content-Type", "Content-Security-Policy", "Repr-Digest", "Content-Digest"})
#: Before the file was looked at.
_UNPLANNED: Final = DownloadPlan(200, {})
#: Sends a part of a representation as the body of a prepared response.
SendPart = Callable[[web.StreamResponse, ByteRange, Outlet], Awaitable[None]]


async def send_file(
    gate: Gate,
    request: web.Request,
    stock: Stock,
    path: RelativePath,
    *,
    whole: bool = False,
    headers: Mapping[str, str] | None = None,
    pace: Pace = UNLIMITED,
) -> web.StreamResponse:
    """Send a file, or what the request's conditions and range ask of it.

    Args:
        whole: pass over conditions and range; for requests that are no GET.
        headers: more header fields of the answer, before those of anything that is offered to be saved.
        pace: how fast.

    Raises:
        NotFoundError, ConflictError, InvalidPathError: nothing that could be sent.
        BusyError: it is written to all the time.
    """
    heard = {name: field_value(request.headers, name) or "" for name in WISHES} if whole else request.headers
    more = {**offered(path.name), **(headers or {})}
    in_front = gate.offload.is_used and not whole and _NOT_OFFLOADED.isdisjoint(more)
    planned = Planned(
        heard, request.method, more.get("Content-Type", BYTES), in_one_go=not pace.is_limited, in_front=in_front
    )
    _, found = await stock.files.open_or_read(path, planned.few)
    if isinstance(found, bytes):
        gate.observer.sent(stock.volume, len(found))
        return _small_answer(request, planned, found, more)
    try:
        more |= await planned.digests(found)
        may_offload = planned.is_for_front and _NOT_OFFLOADED.isdisjoint(more)
        if may_offload and (place := await gate.offload.fields(stock.volume, found, pace)) is not None:
            return _handed_over({**more, **place})
        return await _from_file(gate, request, found, planned, Outlet(request, stock.volume, pace), more)
    finally:
        await found.close()


def _handed_over(headers: Mapping[str, str]) -> web.Response:
    """An answer whose body comes from the server in front."""
    response = web.Response(headers=headers)
    response.content_type = BYTES
    return response


class Planned:
    """The answer to a request for a file, decided where it is opened, so that few bytes are read there.

    Args:
        headers: its header fields; case-insensitive, or by the names that HTTP's documents use.
        media_type: what the file is sent as.
        in_one_go: whether few bytes may be sent at once.
        in_front: whether a server in front sends files that are not small: whatever is asked of them, for it tells
            other tags than this one, and those of one file have to be the same.
    """

    def __init__(
        self,
        headers: Mapping[str, str],
        method: str,
        media_type: str = BYTES,
        *,
        in_one_go: bool = True,
        in_front: bool = False,
    ) -> None:
        self._headers = headers
        self._method = method
        self._media_type = media_type
        self._in_one_go = in_one_go
        self._in_front = in_front
        self._wishes = wishes(headers)
        self.plan = _UNPLANNED
        #: Whether a server in front is to send it.
        self.is_for_front = False

    def few(self, known: FileStat) -> tuple[int, int] | None:
        """Plan; returns which bytes are all that is wanted of the file, None if it has to be opened."""
        representation = file_representation(known, self._media_type)
        self.plan = plan_download(representation, self._headers, self._method)
        part = self.small_part
        has_digest = self.wants_content_digest and part is not None
        self.is_for_front = self._in_front and known.size_bytes > ONE_GO_BYTES and not has_digest
        if part is None or self._wishes.whole or self.is_for_front:
            return None
        return part.start, part.count

    @property
    def small_part(self) -> ByteRange | None:
        """The part that is all of the body, if it may be sent in one go."""
        if len(self.plan.body) != 1 or not self._in_one_go:
            return None
        part = self.plan.body[0]
        return part if isinstance(part, ByteRange) and part.count <= ONE_GO_BYTES else None

    @property
    def wants_content_digest(self) -> bool:
        """Whether the digest of what is sent is wanted, where something is."""
        return self._wishes.content and bool(self.plan.body)

    async def digests(self, handle: ReadHandle) -> dict[str, str]:
        """Header fields with the digest that was kept with an open file, if there is one."""
        if self.plan.status not in (200, 206) or (self.plan.status == 206 and not self._wishes.whole):
            return {}
        sha256 = await handle.sha256()
        return {} if sha256 is None else whole_fields(sha256, self._wishes, self.plan.status, self._method)


def _small_answer(request: web.Request, planned: Planned, data: bytes, headers: Mapping[str, str]) -> web.Response:
    """The answer with the bytes that were read.

    Raises:
        ConnectionError: the file became shorter since it was opened.
    """
    plan = planned.plan
    if len(data) != plan.content_length:
        Outlet(request, "").cut()
        raise ConnectionResetError("the file became shorter while it was read")
    told = {**headers, **plan.headers}
    if planned.wants_content_digest:
        told["Content-Digest"] = digest_field(hashlib.sha256(data).digest())
    return web.Response(status=plan.status, headers=told, body=data)


async def _from_file(
    gate: Gate,
    request: web.Request,
    handle: ReadHandle,
    planned: Planned,
    out: Outlet,
    headers: Mapping[str, str],
) -> web.StreamResponse:
    """The answer with bytes of an open file."""
    part = planned.small_part
    if part is not None and planned.wants_content_digest:
        data = await handle.read(part.start, part.count)
        gate.observer.sent(out.volume, len(data))
        return _small_answer(request, planned, data, headers)

    async def send(response: web.StreamResponse, part: ByteRange, out: Outlet) -> None:
        await gate.sender.send(response, handle, part, out)

    return await respond(request, planned.plan, send, out, headers)


async def respond(
    request: web.Request,
    plan: DownloadPlan,
    send: SendPart,
    out: Outlet,
    headers: Mapping[str, str],
) -> web.StreamResponse:
    """Answer as planned. A body that cannot be sent to its end, for whatever reason, breaks the connection."""
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
    except PenstockError as error:
        out.cut()
        raise ConnectionResetError(str(error)) from error
    await response.write_eof()
    return response
