"""Letting the web server in front send a file: nginx by `X-Accel-Redirect`, Apache and lighttpd by `X-Sendfile`.

The gateway checks the token and finds the file; the server in front, which sees the volume as well, sends it and
answers ranges and conditions by its own lights. It is told where the file really is, after all links were followed,
and how fast it may be sent, where it can be told that.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final
from urllib.parse import quote

from backends.contract import ReadHandle
from backends.powers import KnowsItsPlace
from domain.ids import VolumeName
from gateway.transfer.pace import Pace

#: By which nginx is told how many bytes a second a connection may have.
_LIMIT: Final = "X-Accel-Limit-Rate"


class OffloadHeader(StrEnum):
    """How the server in front is told."""

    NONE = ""
    ACCEL = "X-Accel-Redirect"
    SENDFILE = "X-Sendfile"


class Offload:
    """Where the server in front finds files of volumes.

    Args:
        prefix: what stands before `<volume>/<path>`: a location (X-Accel-Redirect) or a directory (X-Sendfile).
    """

    def __init__(self, header: OffloadHeader, prefix: str) -> None:
        self._header = header
        self._prefix = prefix.rstrip("/")

    @property
    def is_used(self) -> bool:
        """Whether there is a server in front that sends files."""
        return self._header is not OffloadHeader.NONE

    async def fields(self, volume: VolumeName, handle: ReadHandle, pace: Pace) -> dict[str, str] | None:
        """Header fields that hand an open file over; None: it is sent from here."""
        if not self.is_used or not isinstance(handle, KnowsItsPlace):
            return None
        if pace.is_limited and self._header is not OffloadHeader.ACCEL:
            return None
        place = await handle.place()
        if place is None:
            return None
        path = f"{volume}/{place}"
        if self._header is OffloadHeader.SENDFILE:
            # Some of them decode a name as URLs are: one with a `%` could become that of any other file.
            return None if "%" in path else {self._header.value: f"{self._prefix}/{path}"}
        limit = {} if pace.rate is None else {_LIMIT: str(pace.rate)}
        return {self._header.value: f"{self._prefix}/{quote(path)}", **limit}
