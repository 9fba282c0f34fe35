"""The JSON schema of the settings file."""

from __future__ import annotations

import json
from typing import Any

from backends.registry import driver, drivers
from ops.settings import Settings


def settings_schema() -> str:
    """The schema, each driver's keys included."""
    schema = Settings.model_json_schema()
    volume = schema["$defs"]["VolumeSettings"]
    # Editors offer a driver's keys once `backend` says which driver it is.
    volume["properties"]["backend"]["enum"] = drivers()
    volume["allOf"] = [_when(name) for name in drivers()]
    schema["title"] = "Penstock settings"
    _loosen(schema)
    return json.dumps(schema, indent=2) + "\n"


def _loosen(schema: Any) -> None:
    """What is required may come from the environment; a secret may be a reference, and its default is hidden."""
    if isinstance(schema, dict):
        schema.pop("required", None)
        if schema.get("format") == "password":
            schema.pop("default", None)
            schema.pop("minLength", None)
        for inner in schema.values():
            _loosen(inner)


def _when(name: str) -> dict[str, Any]:
    keys = driver(name).settings.model_json_schema()
    return {"if": {"properties": {"backend": {"const": name}}}, "then": {"properties": keys["properties"]}}
