"""Interim answers (104) before the last one, which the standard library takes for that."""

from __future__ import annotations

import http.client
from email.message import Message

_UPLOAD_RESUMPTION = 104


class Interims(http.client.HTTPConnection):
    """A connection that keeps fields of interim answers, also where no other answer comes."""

    def __init__(self, host: str, port: int, timeout: float) -> None:
        super().__init__(host, port, timeout=timeout)
        interims: list[Message] = []

        class Response(http.client.HTTPResponse):
            def _read_status(self) -> tuple[str, int, str]:
                found = super()._read_status()  # type: ignore[misc]  # there is no other place to go on from
                while found[1] == _UPLOAD_RESUMPTION:
                    interims.append(http.client.parse_headers(self.fp))
                    found = super()._read_status()  # type: ignore[misc]
                return found  # type: ignore[no-any-return]

        self.interims = interims
        self.response_class = Response
