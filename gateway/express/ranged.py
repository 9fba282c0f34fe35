"""One range of a file, of which a request asks nothing else: the commonest request of who reads large files.

All that is said of a file is said of each of its ranges, but for where it begins and ends. So it is planned, as for
every request, and written once, and remembered as long as the file is the same.
"""

from __future__ import annotations

import re
import time
from functools import lru_cache
from typing import Final

from backends.contract import FileStat
from gateway.download import ONE_GO_BYTES
from gateway.express.answer import field_lines, head_of
from gateway.express.request import SimpleRequest
from gateway.protocol.download import file_representation, plan_download

_RANGE: Final = re.compile(r"bytes=([0-9]{1,18})-([0-9]{1,18})")
#: Fields such a request has at most.
_FIELDS: Final = frozenset({"Range", "X-Request-ID"})
#: Files of which what is said is remembered.
_REMEMBERED: Final = 1000
_PARTIAL: Final = 206


class Ranged:
    """The answer to such a request, decided where the file is opened."""

    def __init__(self, request: SimpleRequest, first: int, last: int) -> None:
        self._request = request
        self._first = first
        self._last = last
        self._fields = ""

    @classmethod
    def of(cls, request: SimpleRequest) -> Ranged | None:
        """Answer a request; None if it is another one."""
        match = _RANGE.fullmatch(request.fields.get("Range", ""))
        if match is None or not _FIELDS.issuperset(request.fields):
            return None
        return cls(request, int(match[1]), int(match[2]))

    def few(self, known: FileStat) -> tuple[int, int] | None:
        """Which bytes are wanted, start and count; None if they are many, or there is more to decide."""
        size = known.size_bytes
        end = min(self._last + 1, size)
        count = end - self._first
        if file_representation(known).modified > time.time() or not 0 < count <= ONE_GO_BYTES:
            return None
        place = f"bytes {self._first}-{end - 1}/{size}"
        self._fields = f"{_said(known)}Content-Range: {place}\r\nContent-Length: {count}\r\n"
        return self._first, count

    def head(self, same: bytes) -> tuple[int, bytes]:
        """Status and head of the answer with those bytes; `same` are fields of all answers, as `written`."""
        return _PARTIAL, head_of(_PARTIAL, self._fields, self._request, same)


@lru_cache(_REMEMBERED)
def _said(known: FileStat) -> str:
    """Fields of all answers with one range of a file that was not changed in a time to come."""
    plan = plan_download(file_representation(known), {"Range": "bytes=0-0"}, "GET")
    return field_lines({name: value for name, value in plan.headers.items() if name != "Content-Range"})
