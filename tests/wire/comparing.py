"""What is other than it was with the reference, place by place.

Places are `status`, `header <name>`, the path of a member, such as `.results.failed[0].msg`, and `body` where one
of the two bodies is no JSON, or tells of a success and the other one of an error. What may differ from run to run
is compared by its type.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final

from harness.exchanges import Exchange
from harness.processes import Answer

_UUID: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
#: As it was made, or as the recording has it.
_TOKEN: Final = re.compile(r"[\w-]+\.[\w-]+\.[\w-]+|{token}")
#: Members whose values differ from run to run, or tell of the program and not of its API.
_VOLATILE: Final = frozenset({"created", "modified", "timestamp", "last_checked_at", "version", "storage-proxy"})
#: Answers that tell what a file system says of itself.
_MEASURED: Final = ("/folder/fs-usage", "/folder/used-bytes")
#: What makes a problem document (RFC 9457) of an error the reference tells as plain JSON.
_OF_A_PROBLEM: Final = frozenset({".type", ".title"})


class Nothing(Enum):
    """Stands for what is not there."""

    NOTHING = "nothing"


NOTHING: Final = Nothing.NOTHING


class Anything:
    """Equals whatever is there."""

    def __eq__(self, other: object) -> bool:
        return other is not NOTHING

    __hash__ = None  # type: ignore[assignment]


ANYTHING: Final = Anything()


@dataclass(frozen=True)
class Difference:
    """Something that is other than with the reference."""

    here: Any
    there: Any


def differences(exchange: Exchange, answer: Answer, root: str) -> dict[str, Difference]:
    """What is other, by place; `root` is where the volume is mounted."""
    expected = exchange.answer
    found = dict(_of_headers(exchange, answer))
    if answer.status != expected["status"]:
        found["status"] = Difference(answer.status, expected["status"])
    if exchange.method != "HEAD":
        measured = exchange.target.startswith(_MEASURED)
        found |= dict(_of_bodies(expected, answer, root, measured=measured))
    if "body" in found:
        found.pop("header content-length", None)
    return found


def _of_headers(exchange: Exchange, answer: Answer) -> Iterator[tuple[str, Difference]]:
    for name, value in exchange.answer.get("headers", {}).items():
        if name == "Content-Type" and _has_no_body(exchange):
            continue
        given = answer.headers.get(name.lower())
        if given is None or not _same_field(name.lower(), given, value):
            yield f"header {name.lower()}", Difference(NOTHING if given is None else given, value)


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


def _of_bodies(
    expected: Mapping[str, Any], answer: Answer, root: str, *, measured: bool
) -> Iterator[tuple[str, Difference]]:
    here, there = _answered(answer.body, expected, root), _recorded(expected)
    is_error = expected["status"] >= 400
    if isinstance(here, dict) and isinstance(there, dict) and is_error is (answer.status >= 400):
        plain = _counted(here) if measured else here, _counted(there) if measured else there
        for place, difference in _of_members(*plain, ""):
            if not (is_error and place in _OF_A_PROBLEM and difference.there is NOTHING):
                yield place, difference
    elif here != there:
        yield "body", Difference(here, there)


def _answered(body: bytes, expected: Mapping[str, Any], root: str) -> Any:
    """A body as what it is compared as: a JSON object, text, or the digest of other bytes."""
    text = None if "bytes" in expected else _decoded(body)
    if text is None:
        return hashlib.sha256(body).hexdigest()
    try:
        document = json.loads(text)
    except ValueError:
        return text
    return _plain(document, root)


def _decoded(body: bytes) -> str | None:
    try:
        return body.decode()
    except UnicodeDecodeError:
        return None


def _recorded(expected: Mapping[str, Any]) -> Any:
    if "bytes" in expected:
        return expected["bytes"]["sha256"]
    return _plain(expected["json"], "/srv/disk") if "json" in expected else str(expected.get("text", ""))


def _of_members(here: Any, there: Any, place: str) -> Iterator[tuple[str, Difference]]:
    """Compare values and their types."""
    if isinstance(here, dict) and isinstance(there, dict):
        for name in here.keys() | there.keys():
            yield from _of_members(here.get(name, NOTHING), there.get(name, NOTHING), f"{place}.{name}")
    elif isinstance(here, list) and isinstance(there, list) and len(here) == len(there):
        for number, (mine, theirs) in enumerate(zip(here, there, strict=True)):
            yield from _of_members(mine, theirs, f"{place}[{number}]")
    elif type(here) is not type(there) or here != there:
        yield place, Difference(here, there)


def _plain(value: Any, root: str) -> Any:
    """Take out what may differ: times, ids, where the volume lies, the order of a listing."""
    match value:
        case dict():
            return {name: _member(name, member, root) for name, member in value.items()}
        case list():
            return sorted((_plain(item, root) for item in value), key=repr)
        case str():
            return value.replace(root, "<volume>") if root else value
        case _:
            return value


def _member(name: str, value: Any, root: str) -> Any:
    text = value if isinstance(value, str) else ""
    is_made = (name == "bgtask_id" and _UUID.fullmatch(text)) or (name == "token" and _TOKEN.fullmatch(text))
    if name in _VOLATILE or is_made:
        return f"<{name}, {type(value).__name__}>"
    if name == "size" and value == 4096:
        return "<a directory's>"
    return _plain(value, root)


def _counted(document: Mapping[str, Any]) -> dict[str, Any]:
    """What is measured, by its type."""
    return {name: f"<{type(value).__name__}>" for name, value in document.items()}
