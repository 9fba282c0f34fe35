"""Every key that can be set, read off the settings' models."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from inspect import cleandoc, isclass
from typing import Any

from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from domain.bounds import MOST_BYTES, MOST_SECONDS

_BOUNDS = {
    "minimum": "at least {}",
    "exclusiveMinimum": "more than {}",
    "maximum": "at most {}",
    "minLength": "length at least {}",
    "maxLength": "length at most {}",
    "pattern": "`{}`",
}
#: Bounds of nearly all keys, which are told once.
_EVERYWHERE = (MOST_SECONDS, MOST_BYTES)


@dataclass(frozen=True, slots=True)
class Key:
    """One key of a section."""

    name: str
    kind: str
    description: str
    required: bool
    default: Any = None


@dataclass(frozen=True, slots=True)
class Section:
    """One table of the settings file."""

    path: tuple[str, ...]
    description: str
    keys: list[Key]

    @property
    def name(self) -> str:
        """As written between brackets; empty for the keys before the first table."""
        return ".".join(self.path)


def sections(model: type[BaseModel], path: tuple[str, ...] = (), about: str = "") -> Iterator[Section]:
    """A model's section and those below it, in the order they are declared."""
    yield from _sections(model, None, path, about)


def _sections(
    model: type[BaseModel], instance: BaseModel | None, path: tuple[str, ...], about: str
) -> Iterator[Section]:
    document = model.model_json_schema()
    schema, known = document["properties"], document.get("$defs", {})
    keys: list[Key] = []
    inner: list[tuple[str, type[BaseModel], Any, str]] = []
    for name, field in model.model_fields.items():
        default = getattr(instance, name) if instance is not None else _default(field)
        nested = field.annotation
        if isclass(nested) and issubclass(nested, BaseModel):
            inner.append((name, nested, default, field.description or ""))
        elif not _is_table(schema[name]):
            required = field.is_required() and instance is None
            keys.append(Key(name, _kind(schema[name], known), field.description or "", required, _plain(default)))
    yield Section(path, about or cleandoc(model.__doc__ or ""), keys)
    for name, nested, default, description in inner:
        yield from _sections(nested, default, (*path, name), description)


def _default(field: FieldInfo) -> Any:
    value = field.get_default(call_default_factory=True, validated_data={})
    return None if value is PydanticUndefined else value


def _is_table(schema: Mapping[str, Any]) -> bool:
    return schema.get("type") == "object"


def _plain(value: Any) -> Any:
    return value.get_secret_value() if isinstance(value, SecretStr) else value


def _kind(schema: Mapping[str, Any], known: Mapping[str, Any]) -> str:
    """A type and its bounds in words."""
    if "anyOf" in schema:
        return next(_kind(choice, known) for choice in schema["anyOf"] if choice.get("type") != "null")
    if "$ref" in schema:
        return _kind(known[str(schema["$ref"]).rpartition("/")[2]], known)
    if "enum" in schema:
        return "one of " + ", ".join(f"`{json.dumps(value)}`" for value in schema["enum"])
    kind = str(schema["type"])
    if kind == "array":
        item, _, limits = _kind(schema["items"], known).partition(", ")
        kind = f"list of {item}s" + (f", each of {limits}" if limits else "")
    found = {name: schema[name] for name in _BOUNDS if name in schema and schema[name] not in _EVERYWHERE}
    bounds = [_BOUNDS[name].format(_number(value)) for name, value in found.items()]
    return ", ".join([kind, *bounds])


def _number(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def toml_value(value: Any) -> str:
    """A string, number, boolean or list of them as TOML writes it."""
    if isinstance(value, float) and value.is_integer():
        return f"{value:.1f}"
    return json.dumps(value)
