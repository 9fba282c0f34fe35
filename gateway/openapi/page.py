"""The document as a page people can read. It needs nothing from elsewhere, and runs no script."""

from __future__ import annotations

from html import escape
from typing import Any, Final

_STYLE: Final = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 60em; margin: 2em auto; padding: 0 1em; }
summary { cursor: pointer; padding: .2em 0; } code { font-size: 13px; }
summary b { display: inline-block; width: 5em; } table { border-collapse: collapse; margin: .5em 0 1em 5em; }
td, th { text-align: left; padding: .1em 1em .1em 0; vertical-align: top; }
"""


def page(document: dict[str, Any]) -> str:
    """Render an OpenAPI document as HTML."""
    title = escape(f"{document['info']['title']} {document['info']['version']}")
    operations = [
        _operation(method, path, operation, document["components"]["schemas"])
        for path, methods in sorted(document["paths"].items())
        for method, operation in methods.items()
    ]
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        f"<style>{_STYLE}</style></head><body><h1>{title}</h1>"
        f'<p>The same for programs: <a href="openapi.json">openapi.json</a></p>{"".join(operations)}</body></html>'
    )


def _operation(method: str, path: str, operation: dict[str, Any], schemas: dict[str, Any]) -> str:
    head = f"<b>{method.upper()}</b> <code>{escape(path)}</code> {escape(operation['summary'])}"
    rows = [
        _row(found["name"], found["in"], found["schema"], required=found["required"])
        for found in operation["parameters"]
    ]
    rows += _body(operation, schemas)
    codes = ", ".join(operation["responses"])
    table = f"<table>{''.join(rows)}</table>" if rows else ""
    return f"<details><summary>{head}</summary>{table}<p>answers: {codes}</p></details>"


def _body(operation: dict[str, Any], schemas: dict[str, Any]) -> list[str]:
    content = operation.get("requestBody", {}).get("content", {}).get("application/json")
    if content is None:
        return []
    schema = schemas[content["schema"]["$ref"].rpartition("/")[2]]
    required = schema.get("required", ())
    return [
        _row(name, "body", found, required=name in required) for name, found in schema.get("properties", {}).items()
    ]


def _row(name: str, place: str, schema: dict[str, Any], *, required: bool) -> str:
    kinds = [schema, *schema.get("anyOf", ())]
    kind = " or ".join(str(found["type"]) for found in kinds if "type" in found)
    wanted = "required" if required else ""
    words = (name, place, kind, wanted, schema.get("description", ""))
    return "<tr>" + "".join(f"<td>{escape(word)}</td>" for word in words) + "</tr>"
