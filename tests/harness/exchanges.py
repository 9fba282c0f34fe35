"""Recorded exchanges with Backend.AI's storage proxy 26.3, and how they are held again with Penstock.

`tests/wire/exchanges.jsonl` has one exchange a line, in the order of the recording. `{token:071}` stands for the
token that exchange 071 answered, `{etag:146}` and `{modified:146}` for that answer's validators, `{made}` for a
token made here from `made`. Bytes of files are `(7 * i + i // 256) % 256`.
"""

from __future__ import annotations

import hashlib
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
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
#: Members whose values differ from run to run, or tell of the program and not of its API.
_VOLATILE = frozenset({"created", "modified", "timestamp", "last_checked_at", "version", "storage-proxy", "token"})
#: Answers that tell what a file system says of itself.
_MEASURED = ("/folder/fs-usage", "/folder/used-bytes")


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


def differences(exchange: Exchange, answer: Answer, root: str) -> list[str]:
    """What is other than it was with the reference; `root` is where the volume is mounted."""
    expected = exchange.answer
    found = []
    if answer.status != expected["status"]:
        found.append(f"status {answer.status}, not {expected['status']}: {answer.body[:300]!r}")
    for name, value in expected.get("headers", {}).items():
        if name == "Content-Type" and _has_no_body(exchange):
            continue
        given = answer.headers.get(name.lower())
        if given is None or not _same_field(name.lower(), given, value):
            found.append(f"{name}: {given!r}, not {value!r}")
    if exchange.method != "HEAD" and not exchange.target.startswith(_MEASURED):
        found += _bodies(expected, answer, root)
    return found


def _has_no_body(exchange: Exchange) -> bool:
    return exchange.method == "HEAD" or not exchange.answer.keys() & {"json", "text", "bytes"}


def _same_field(name: str, given: str, recorded: str) -> bool:
    match name:
        case "content-type":
            # A problem document is JSON with a name; whoever reads the one reads the other.
            words = [field.partition(";")[0].replace("problem+", "") for field in (given, recorded)]
            return words[0] == words[1]
        case "etag":
            return re.fullmatch(r'"[0-9a-f]+-[0-9a-f]+.*"', given) is not None
        case "last-modified":
            return given.endswith(" GMT")
        case "allow" | "access-control-allow-headers" | "access-control-expose-headers":
            return _words(recorded) <= _words(given)
        case "access-control-allow-methods":
            return recorded == "*" or _words(recorded) <= _words(given)
        case _:
            return given == recorded


def _words(text: str) -> set[str]:
    return {word.strip().lower() for word in text.split(",")}


def _bodies(expected: Mapping[str, Any], answer: Answer, root: str) -> list[str]:
    if "json" in expected:
        try:
            given = json.loads(answer.body)
        except ValueError:
            return [f"no JSON: {answer.body[:200]!r}"]
        open_ended = expected["status"] >= 400
        return _members(_plain(expected["json"], "/srv/disk"), _plain(given, root), "", open_ended=open_ended)
    if "bytes" in expected:
        whole = expected["bytes"]
        if "sha256" in whole:
            same = hashlib.sha256(answer.body).hexdigest() == whole["sha256"]
        else:
            same = answer.body.hex() == whole["hex"]
        return [] if same else [f"other bytes: {len(answer.body)} of them"]
    if "text" in expected and answer.body != str(expected["text"]).encode():
        return [f"{answer.body[:200]!r}, not {expected['text']!r}"]
    return []


def _members(expected: Any, given: Any, where: str, *, open_ended: bool) -> list[str]:
    """Compare values; objects of a problem document may have more members (RFC 9457, section 3.2)."""
    if not isinstance(expected, dict) or not isinstance(given, dict):
        return [] if expected == given else [f"{where or 'body'}: {given!r}, not {expected!r}"]
    found = [f"{where}.{name} is missing" for name in expected.keys() - given.keys()]
    if not open_ended:
        found += [f"{where}.{name} is new" for name in given.keys() - expected.keys()]
    for name in expected.keys() & given.keys():
        found += _members(expected[name], given[name], f"{where}.{name}", open_ended=open_ended)
    return found


def _plain(value: Any, root: str) -> Any:
    """Take out what may differ: times, ids, where the volume lies, the order of a listing."""
    match value:
        case dict():
            return {name: _member(name, member, root) for name, member in value.items()}
        case list():
            return sorted((_plain(item, root) for item in value), key=repr)
        case str():
            return _UUID.sub(_folder_or_task, value.replace(root, "<volume>"))
        case _:
            return value


def _member(name: str, value: Any, root: str) -> Any:
    if name in _VOLATILE or (name == "bgtask_id" and _UUID.fullmatch(value)):
        return f"<{name}>"
    if name == "size" and value == 4096:
        return "<a directory's>"
    return _plain(value, root)


def _folder_or_task(match: re.Match[str]) -> str:
    return match.group()
