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

_BOUNDS = {
    "minimum": "at least {}",
    "exclusiveMinimum": "more than {}",
    "maximum": "at most {}",
    "minLength": "length at least {}",
    "pattern": "`{}`",
}


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
    schema = model.model_json_schema()["properties"]
    keys: list[Key] = []
    inner: list[tuple[str, type[BaseModel], Any, str]] = []
    for name, field in model.model_fields.items():
        default = getattr(instance, name) if instance is not None else _default(field)
        nested = field.annotation
        if isclass(nested) and issubclass(nested, BaseModel):
            inner.append((name, nested, default, field.description or ""))
        elif not _is_table(schema[name]):
            required = field.is_required() and instance is None
            keys.append(Key(name, _kind(schema[name]), field.description or "", required, _plain(default)))
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


def _kind(schema: Mapping[str, Any]) -> str:
    """A type and its bounds in words."""
    if "anyOf" in schema:
        return next(_kind(choice) for choice in schema["anyOf"] if choice.get("type") != "null")
    kind = str(schema.get("type", "value"))
    if kind == "array":
        kind = f"list of {schema['items'].get('type', 'value')}s"
    bounds = [text.format(_number(schema[name])) for name, text in _BOUNDS.items() if name in schema]
    return ", ".join([kind, *bounds])


def _number(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def toml_value(value: Any) -> str:
    """A string, number, boolean or list of them as TOML writes it."""
    if isinstance(value, float) and value.is_integer():
        return f"{value:.1f}"
    return json.dumps(value)
