"""`GET /download?token=`: a file's bytes that can be had without waiting for anything."""

from __future__ import annotations

import asyncio
import re
import time
from dataclasses import dataclass
from typing import Final

from backends.powers import ReadsAtOnce
from domain.errors import PenstockError
from domain.foreign_names import read_path
from domain.paths import RelativePath
from domain.recent import Recent
from domain.spans import NoSpans
from gateway.download import Planned
from gateway.express.answer import admitted, head, written
from gateway.express.ranged import Ranged
from gateway.express.request import SimpleRequest
from gateway.gate import Gate
from gateway.middlewares import server_name
from gateway.observer import Answered
from gateway.protocol.disposition import offered
from gateway.tokens import DownloadClaims

_ENDPOINT: Final = "/download"
#: Long tokens are left to who does not remember them.
_TARGET: Final = re.compile(r"/download\?token=([A-Za-z0-9_.-]{1,4096})")
#: Tokens remembered at most.
_REMEMBERED: Final = 2000


@dataclass(frozen=True, slots=True)
class _Source:
    """What a token names."""

    claims: DownloadClaims
    files: ReadsAtOnce
    path: RelativePath
    #: Header fields of all answers, and the end of the head.
    fields: bytes


class _Other:
    """The answer to whatever else may be asked."""

    def __init__(self, request: SimpleRequest) -> None:
        self._request = request
        self._planned = Planned(request.fields, request.method)
        self.few = self._planned.few

    def head(self, same: bytes) -> tuple[int, bytes]:
        """As `Ranged.head`."""
        plan = self._planned.plan
        return plan.status, head(plan.status, self._request, plan.headers, plan.content_length or 0, same)


class ExpressDownloads:
    """Answers requests at once, or not at all."""

    def __init__(self, gate: Gate) -> None:
        self._gate = gate
        self._sources = Recent[str, _Source](_REMEMBERED)

    @classmethod
    def offered(cls, gate: Gate) -> ExpressDownloads | None:
        """Offer to answer, unless every request has to pass somebody else: a tracer, or a server in front."""
        return cls(gate) if isinstance(gate.spans, NoSpans) and not gate.offload.is_used else None

    def answer(self, request: SimpleRequest, transport: asyncio.Transport | None) -> bool:
        """Answer a request; False if that needs more than this, and nothing was sent or counted."""
        if transport is None or transport.get_write_buffer_size():
            return False
        started = time.monotonic()
        try:
            answer = self._answer(request)
            if answer is None:
                return False
            with admitted(self._gate, transport):
                status, volume, fields, data = answer
                self._gate.observer.sent(volume, len(data))
                self._gate.observer.answered(Answered("GET", _ENDPOINT, status, time.monotonic() - started))
                transport.writelines((fields, data))
        except PenstockError:
            return False  # said again, in the right words, on the ordinary way
        return True

    def _answer(self, request: SimpleRequest) -> tuple[int, str, bytes, bytes | bytearray] | None:
        source = self._source(request.target)
        if source is None:
            return None
        answer = Ranged.of(request) or _Other(request)
        data = source.files.read_at_once(source.path, answer.few)
        if data is None:
            return None
        status, fields = answer.head(source.fields)
        return status, source.claims.volume, fields, data

    def _source(self, target: str) -> _Source | None:
        """What a target's token names; None if it is not for a file that can be had at once, at full speed.

        Raises:
            PenstockError: the token is not good.
        """
        source = self._sources.get(target)
        if source is not None:
            self._gate.tokens.check_time(source.claims)
            return source
        match = _TARGET.fullmatch(target)
        if match is None:
            return None
        claims = self._gate.tokens.read(match[1], DownloadClaims)
        if claims.archive or claims.rate or claims.unmanaged_path is not None:
            return None
        files = self._gate.files(claims.volume, claims.vfid)
        if not isinstance(files, ReadsAtOnce):
            return None
        path = read_path(claims.relpath)
        fields = written({**offered(path.name), "Server": server_name(self._gate.version)})
        source = self._sources[target] = _Source(claims, files, path, fields)
        return source
