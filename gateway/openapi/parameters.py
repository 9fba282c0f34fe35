"""Parameters of operations: in the path, in the query, in header fields."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

from gateway.openapi.examples import FOLDER, SCOPE, SESSION, TASK, VOLUME
from gateway.openapi.fields import COMMON
from gateway.openapi.operations.operation import Operation

_NAME: Final = re.compile(r"\{(\w+)\}")
_UUID: Final = "^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$"
#: Keys in paths: what each is, its schema, and one of them.
_KEYS: Final[dict[str, tuple[str, dict[str, Any], str]]] = {
    "volume": ("name of a volume, or the UUID that stands for it", {"pattern": "^[A-Za-z0-9_-]{1,64}$"}, VOLUME),
    "type": ("kind of quota scope", {"enum": ["user", "project"]}, SCOPE.partition(":")[0]),
    "uuid": ("the user or project", {"pattern": _UUID}, SCOPE.partition(":")[2]),
    "folder": ("the folder in its quota scope", {"pattern": "^[0-9a-f]{32}$"}, FOLDER.rpartition("/")[2]),
    "task": ("id of a task", {"pattern": _UUID}, TASK),
    "session": ("id of an upload", {"pattern": "^[0-9a-f]{32}$"}, SESSION),
}
#: Parameters that are the same everywhere, as components of the document.
COMPONENTS: Final = {field.name: field.parameter() for field in COMMON}


def shared() -> list[dict[str, Any]]:
    """What every operation of a path takes."""
    return [{"$ref": f"#/components/parameters/{name}"} for name in COMPONENTS]


def parameters(path: str, operation: Operation) -> list[dict[str, Any]]:
    """What one operation takes besides."""
    return [*_keys(path), *_query(operation), *(field.parameter() for field in operation.fields)]


def _keys(path: str) -> Iterator[dict[str, Any]]:
    for name in _NAME.findall(path):
        words, schema, example = _KEYS[name]
        yield {
            "name": name,
            "in": "path",
            "description": words,
            "required": True,
            "schema": {"type": "string", **schema},
            "example": example,
        }


def _query(operation: Operation) -> Iterator[dict[str, Any]]:
    if operation.query is None:
        return
    schema = operation.query.model_json_schema()
    for name, found in schema["properties"].items():
        plain = {key: value for key, value in found.items() if key != "$ref"} or {"type": "string"}
        told = {"name": name, "in": "query", "required": _is_required(name, schema, operation), "schema": plain}
        example = operation.example.get(name)
        yield told if example is None else {**told, "example": example}


def _is_required(name: str, schema: dict[str, Any], operation: Operation) -> bool:
    """A token may come as `Authorization: Bearer` where that is another way to prove oneself."""
    return name in schema.get("required", ()) and not (name == "token" and "bearer" in operation.security)
