"""Recorded exchanges with Backend.AI's storage proxy 26.3, and how they are held again with Penstock.

`tests/wire/exchanges.jsonl` has one exchange a line, in the order of the recording. `{token:071}` stands for the
token that exchange 071 answered, `{etag:146}` and `{modified:146}` for that answer's validators, `{made}` for a
token made here from `made`. Bytes of files are `(7 * i + i // 256) % 256`.
"""

from __future__ import annotations

import http.client
import json
import re
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

import jwt
from harness.processes import SECRET, TOKEN_SECRET, Answer

_PLACEHOLDER = re.compile(r"\{(token|etag|modified):(\d+)\}")


def pattern(count: int, at: int = 0) -> bytes:
    """Bytes of the recorded files."""
    return bytes((7 * i + i // 256) % 256 for i in range(at, at + count))


@dataclass(frozen=True)
class Exchange:
    """One request and what the reference answered."""

    name: str
    port: str
    method: str
    target: str
    answer: dict[str, Any]
    secret: str | None = None
    headers: dict[str, str] = field(default_factory=dict)
    body: Any = ""
    chunked: bool = False
    made: dict[str, Any] | None = None

    @property
    def number(self) -> str:
        return self.name[:3]

    @property
    def data(self) -> bytes:
        return self.body.encode() if isinstance(self.body, str) else pattern(self.body["count"], self.body["at"])


def load(path: Path) -> list[Exchange]:
    """Read the recording."""
    return [Exchange(**json.loads(line)) for line in path.read_text().splitlines()]


@dataclass
class Replay:
    """Holds exchanges with the ports of a running site, and remembers the answers."""

    ports: Mapping[str, int]
    answers: dict[str, Answer] = field(default_factory=dict)

    def hold(self, exchange: Exchange) -> Answer:
        """Send one request."""
        headers = {name: self._filled(value) for name, value in exchange.headers.items()}
        if exchange.secret is not None:
            headers["X-BackendAI-Storage-Auth-Token"] = SECRET if exchange.secret == "right" else "wrong"
        target = self._filled(exchange.target).replace("{made}", made_token(exchange.made))
        body: bytes | Iterator[bytes] | None = exchange.data or None
        if exchange.chunked:
            body = iter([exchange.data[:5000], exchange.data[5000:]])
            headers["Transfer-Encoding"] = "chunked"
        connection = http.client.HTTPConnection("127.0.0.1", self.ports[exchange.port], timeout=30)
        try:
            connection.request(
                exchange.method, quote(target, safe="/?&=:%.-_~"), body, headers, encode_chunked=exchange.chunked
            )
            response = connection.getresponse()
            fields = {name.lower(): value for name, value in response.getheaders()}
            answer = Answer(response.status, fields, response.read())
        finally:
            connection.close()
        self.answers[exchange.number] = answer
        return answer

    def _filled(self, text: str) -> str:
        return _PLACEHOLDER.sub(self._value, text)

    def _value(self, match: re.Match[str]) -> str:
        kind, number = match.groups()
        answer = self.answers[number]
        if kind == "token":
            return str(answer.json.get("token", "none was given"))
        return answer.headers["etag" if kind == "etag" else "last-modified"]


def made_token(how: Mapping[str, Any] | None) -> str:
    """A token as the recording's client made them: rightly signed, forged, unsigned, expired, or without an end."""
    if how is None:
        return ""
    claims = dict(how["claims"])
    if how["valid_seconds"] is not None:
        claims["exp"] = int(time.time()) + int(how["valid_seconds"])
    if how["alg"] == "none":
        return jwt.encode(claims, None, algorithm="none")
    key = "somebody else's key, of the same length as ours" if how["alg"] == "forged" else TOKEN_SECRET
    return jwt.encode(claims, key, algorithm="HS256")
