"""Answers as they are: with the interim ones (104) before the last, and none that broke off in its head.

The standard library takes the first for the last, and what came of a broken one for all of it.
"""

from __future__ import annotations

import http.client
from email.message import Message
from typing import BinaryIO

_UPLOAD_RESUMPTION = 104


class _Head:
    """Lines of a head, as the library reads them."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._last = b""

    def readline(self, limit: int) -> bytes:
        self._last = self._file.readline(limit)
        return self._last

    def close(self) -> None:
        self._file.close()

    def check(self) -> None:
        """Raise if it broke off."""
        if self._last.strip(b"\r\n") or not self._last:
            raise http.client.IncompleteRead(self._last)


class Interims(http.client.HTTPConnection):
    """A connection that keeps fields of interim answers, also where no other answer comes."""

    def __init__(self, host: str, port: int, timeout: float) -> None:
        super().__init__(host, port, timeout=timeout)
        interims: list[Message] = []

        class Response(http.client.HTTPResponse):
            def begin(self) -> None:
                file = self.fp
                self.fp = head = _Head(file)  # type: ignore[assignment]
                try:
                    super().begin()
                    head.check()
                finally:
                    if self.fp is head:
                        self.fp = file

            def _read_status(self) -> tuple[str, int, str]:
                found = super()._read_status()  # type: ignore[misc]  # there is no other place to go on from
                while found[1] == _UPLOAD_RESUMPTION:
                    fields = http.client.parse_headers(self.fp)
                    self.fp.check()  # type: ignore[attr-defined]
                    interims.append(fields)
                    found = super()._read_status()  # type: ignore[misc]
                return found  # type: ignore[no-any-return]

        self.interims = interims
        self.response_class = Response
