"""The page docs/events.md."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from inspect import cleandoc
from typing import Any, Final, TypeVar

from domain.errors import PenstockError
from domain.messages import Message
from domain.registry import COMMANDS, EVENTS

M = TypeVar("M", bound=Message)

_HEAD: Final = """\
# Commands and events

<!-- Written by `make docs` from the messages' models. Do not edit. -->

Commands ask a volume to change something; they are durable, handled in order per key, once. Events say what has
happened; every gateway, manager and operator that follows a volume's stream sees all of them, in order.

Both travel in an envelope. Inside one schema version fields are only ever added, with a default, and readers ignore
fields they do not know; anything else is a new version. A field marked *optional* may be absent.
"""

#: Field and meaning of each place of the array, in order.
ENVELOPE: Final = (
    ("form", "version of this layout: 1"),
    ("id", "16 bytes: UUID version 7 of a command, derived id of an event; the idempotency key"),
    ("type", "dotted name, see below"),
    ("schema", "version of the body's schema"),
    ("volume", "name of the volume"),
    ("key", "ordering key: the scope or folder"),
    ("time", "when it was made, in milliseconds since 1970 UTC"),
    ("deadline", "when an answer is no longer of use, in milliseconds since 1970 UTC; nil: never"),
    ("attempt", "how many tries there were before it was redriven"),
    ("actor", "who asked"),
    ("tenant", "for whom"),
    ("traceparent", "W3C Trace Context, passed on unchanged"),
    ("tracestate", "W3C Trace Context, passed on unchanged"),
    ("cause", "16 bytes: id of the message that led to this one; nil: none"),
    ("correlation", "16 bytes: id of the request at the edge; nil: none"),
    ("reply_to", "channel on which somebody waits for the reply; empty: nobody"),
    ("flags", "1: published by a replay"),
    ("body", "map of the fields below; absent ones left out"),
)


def events_page() -> str:
    """Every message: name, version, fields, who publishes and who consumes it."""
    return "\n".join(
        [
            _HEAD,
            _envelope(),
            "## Commands\n",
            *map(_message, _sorted(COMMANDS)),
            "## Events\n",
            *map(_message, _sorted(EVENTS)),
            _codes(),
        ]
    )


def _sorted(messages: Mapping[str, type[M]]) -> list[type[M]]:
    return [messages[name] for name in sorted(messages)]


def _envelope() -> str:
    lines = [
        "## Envelope\n",
        "A message is one msgpack array, in the field `m` of a stream entry. Later releases append places.\n",
        "| place | field | meaning |",
        "|---|---|---|",
        *(f"| {place} | `{name}` | {meaning} |" for place, (name, meaning) in enumerate(ENVELOPE)),
    ]
    return "\n".join(lines) + "\n"


def _message(message: type[Message]) -> str:
    head = (
        f"### `{message.type}`\n",
        f"{cleandoc(message.__doc__ or '')}\n",
        f"Version {message.schema_version}. Published by {message.publisher}; consumed by {message.consumer}.\n",
        "| field | type | meaning |",
        "|---|---|---|",
    )
    return "\n".join([*head, *_fields(message)]) + "\n"


def _fields(message: type[Message]) -> Iterator[str]:
    schema = message.model_json_schema()
    required = schema.get("required", [])
    for name, field in schema["properties"].items():
        kind = _kind(field, schema.get("$defs", {}))
        optional = "" if name in required else ", optional"
        yield f"| `{name}` | {kind}{optional} | {field.get('description', 'name of the volume')} |"


def _kind(field: Mapping[str, Any], definitions: Mapping[str, Any]) -> str:
    if "anyOf" in field:
        return next(_kind(choice, definitions) for choice in field["anyOf"] if choice.get("type") != "null")
    if "$ref" in field:
        found = definitions[field["$ref"].rpartition("/")[2]]
        return "one of " + ", ".join(f"`{value}`" for value in found["enum"])
    if field.get("type") == "array":
        return f"list of {field['items']['type']}s"
    return str(field.get("format", field.get("type", "value")))


def _codes() -> str:
    errors = [error for error in _errors(PenstockError) if "code" in vars(error)]
    rows = sorted((error.code, error.retry, cleandoc(error.__doc__ or "")) for error in errors)
    lines = [
        "## Failure codes\n",
        "`code` and `retry` of a `.failed` event and of a reply. HTTP answers carry the same code.\n",
        "| code | retry | meaning |",
        "|---|---|---|",
        *(f"| `{code}` | {retry} | {about.splitlines()[0]} |" for code, retry, about in rows),
    ]
    return "\n".join(lines) + "\n"


def _errors(base: type[PenstockError]) -> Iterator[type[PenstockError]]:
    for error in base.__subclasses__():
        yield error
        yield from _errors(error)
