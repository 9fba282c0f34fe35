"""`GET /download?token=`: a file's bytes that can be had without waiting for anything."""

from __future__ import annotations

import asyncio
import re
import time
from collections import OrderedDict
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Final

from backends.powers import ReadsAtOnce
from domain.errors import PenstockError
from domain.foreign_names import read_path
from domain.paths import RelativePath
from domain.spans import NoSpans
from gateway.download import Planned
from gateway.express.head import SimpleHead
from gateway.gate import Gate
from gateway.middlewares import request_id_of, server_name
from gateway.observer import Answered
from gateway.peers import peer_of
from gateway.protocol.disposition import offered
from gateway.protocol.validators import http_date
from gateway.tokens import DownloadClaims

_ENDPOINT: Final = "/download"
#: Long tokens are left to who does not remember them.
_TARGET: Final = re.compile(r"/download\?token=([A-Za-z0-9_.-]{1,4096})")
#: What a planned answer that sends bytes can begin with.
_STATUS_LINES: Final = {200: "HTTP/1.1 200 OK", 206: "HTTP/1.1 206 Partial Content"}
#: Tokens remembered at most.
_REMEMBERED: Final = 2000


@dataclass(frozen=True, slots=True)
class _Source:
    """What a token names."""

    claims: DownloadClaims
    files: ReadsAtOnce
    path: RelativePath
    #: Header fields of all answers, and the end of the head.
    fields: str


class ExpressDownloads:
    """Answers requests at once, or not at all."""

    def __init__(self, gate: Gate) -> None:
        self._gate = gate
        self._sources: OrderedDict[str, _Source] = OrderedDict()

    @classmethod
    def offered(cls, gate: Gate) -> ExpressDownloads | None:
        """Offer to answer, unless every request has to pass somebody else: a tracer, or a server in front."""
        return cls(gate) if isinstance(gate.spans, NoSpans) and not gate.offload.is_used else None

    def answer(self, head: SimpleHead, transport: asyncio.Transport | None) -> bool:
        """Answer a request; False if that needs more than this, and nothing was sent or counted."""
        target = _TARGET.fullmatch(head.target)
        if target is None or transport is None or transport.get_write_buffer_size():
            return False
        started = time.monotonic()
        try:
            answer = self._answer(target[1], head)
            if answer is None:
                return False
            with self._admitted(transport):
                status, volume, fields, data = answer
                self._gate.observer.sent(volume, len(data))
                self._gate.observer.answered(Answered("GET", _ENDPOINT, status, time.monotonic() - started))
                transport.writelines((fields, data))
        except PenstockError:
            return False  # said again, in the right words, on the ordinary way
        return True

    def _admitted(self, transport: asyncio.Transport) -> AbstractContextManager[None]:
        """Count who asks, if that may be too much; heads with X-Forwarded-For are not simple."""
        peers = self._gate.client_peers
        if not peers.are_limited:
            return nullcontext()
        address = transport.get_extra_info("peername")
        remote = address[0] if isinstance(address, tuple) else ""
        return peers.admitted(peer_of(remote, (), self._gate.settings.trusted_proxies))

    def _answer(self, token: str, head: SimpleHead) -> tuple[int, str, bytes, bytes | bytearray] | None:
        source = self._source(token)
        if source is None:
            return None
        planned = Planned(head.fields, "GET")
        data = source.files.read_at_once(source.path, planned.few)
        if data is None or len(data) != planned.plan.content_length:
            return None
        plan = planned.plan
        lines = [_STATUS_LINES[plan.status]]
        lines += [f"{name}: {value}" for name, value in plan.headers.items()]
        lines += [f"Content-Length: {len(data)}", f"Date: {http_date(time.time())}"]
        lines += [f"X-Request-ID: {request_id_of(head.fields)}", source.fields]
        fields = "\r\n".join(lines)
        return plan.status, source.claims.volume, fields.encode("latin-1"), data

    def _source(self, token: str) -> _Source | None:
        """What a token names; None if it is not for a file that can be had at once, at full speed.

        Raises:
            PenstockError: the token is not good.
        """
        source = self._sources.get(token)
        if source is not None:
            self._gate.tokens.check_time(source.claims)
            return source
        claims = self._gate.tokens.read(token, DownloadClaims)
        files = self._gate.files(claims.volume, claims.vfid)
        if claims.archive or claims.rate or not isinstance(files, ReadsAtOnce):
            return None
        path = read_path(claims.relpath)
        fields = {**offered(path.name), "Server": server_name(self._gate.version)}
        text = "".join(f"{name}: {value}\r\n" for name, value in fields.items()) + "\r\n"
        source = self._sources[token] = _Source(claims, files, path, text)
        while len(self._sources) > _REMEMBERED:
            self._sources.popitem(last=False)
        return source
