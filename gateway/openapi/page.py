"""The document as a page people can read. It needs nothing from elsewhere, and runs no script."""

from __future__ import annotations

import json
from html import escape
from typing import Any, Final

from gateway.problems import phrase

_STYLE: Final = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 64em; margin: 2em auto; padding: 0 1em; }
summary { cursor: pointer; padding: .2em 0; } code, pre { font-size: 13px; }
summary b { display: inline-block; width: 5em; } div { margin: 0 0 1.5em 5em; } s { color: gray; }
table { border-collapse: collapse; margin: .5em 0 1em; } h3 { font-size: 15px; margin: 1em 0 0; }
td, th { text-align: left; padding: .1em 1em .1em 0; vertical-align: top; overflow-wrap: anywhere; }
"""
_PROBLEM: Final = "application/problem+json"
_BODY: Final = "application/json"
_ALWAYS: Final = "X-Request-ID"


def page(document: dict[str, Any]) -> str:
    """Render an OpenAPI document as HTML."""
    title = escape(f"{document['info']['title']} {document['info']['version']}")
    schemas = document["components"]["schemas"]
    operations = [
        _operation(method, path, operation, schemas)
        for path, item in sorted(document["paths"].items())
        for method, operation in item.items()
        if method != "parameters"
    ]
    shared = [_parameter(found) for found in document["components"]["parameters"].values()]
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        f"<style>{_STYLE}</style></head><body><h1>{title}</h1><p>{escape(document['info']['description'])}</p>"
        f'<p>The same for programs: <a href="openapi.json">openapi.json</a></p>'
        f"{''.join(operations)}<h3>Every request may bring</h3>{_table(shared)}"
        f"<h3>Problems</h3>{_table(_properties(schemas['Problem'], 'member'))}</body></html>"
    )


def _operation(method: str, path: str, operation: dict[str, Any], schemas: dict[str, Any]) -> str:
    name = f"<code>{escape(path)}</code>"
    name = f"<s>{name}</s>" if operation.get("deprecated") else name
    head = f"<b>{method.upper()}</b> {name} {escape(operation['summary'])}"
    takes = [_parameter(found) for found in operation["parameters"]]
    body = operation.get("requestBody", {}).get("content", {})
    takes += _properties(_schema(body[_BODY], schemas), "body") if _BODY in body else []
    takes += [_row(media, "body", "bytes") for media in body if media != _BODY]
    parts = [_security(operation), _table(takes), _example(body.get(_BODY, {})), _answers(operation, schemas)]
    return f"<details><summary>{head}</summary><div>{''.join(parts)}</div></details>"


def _security(operation: dict[str, Any]) -> str:
    schemes = [scheme for wanted in operation["security"] for scheme in wanted]
    return f"<p>needs: {escape(' or '.join(schemes))}</p>" if schemes else ""


def _example(content: dict[str, Any]) -> str:
    return f"<pre>{escape(json.dumps(content['example']))}</pre>" if "example" in content else ""


def _answers(operation: dict[str, Any], schemas: dict[str, Any]) -> str:
    told = ["<h3>Answers</h3>"]
    for status, response in operation["responses"].items():
        content = response.get("content", {})
        media = ", ".join(kind for kind in content if kind != _PROBLEM)
        fields = ", ".join(name for name in response["headers"] if name != _ALWAYS)
        words = [f"<b>{status} {phrase(int(status))}</b>", escape(media), escape(response["description"])]
        words += [f"<i>with {escape(fields)}</i>"] if fields else []
        told.append(f"<p>{' &middot; '.join(word for word in words if word)}</p>")
        if _BODY in content:
            told.append(_table(_properties(_schema(content[_BODY], schemas), "")))
    return "".join(told)


def _schema(content: dict[str, Any], schemas: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = schemas[content["schema"]["$ref"].rpartition("/")[2]]
    return found


def _properties(schema: dict[str, Any], place: str) -> list[str]:
    required = schema.get("required", ())
    return [
        _row(name, place, _kind(found), "required" if name in required else "", found.get("description", ""))
        for name, found in schema.get("properties", {}).items()
    ]


def _parameter(found: dict[str, Any]) -> str:
    wanted = "required" if found["required"] else ""
    return _row(found["name"], found["in"], _kind(found["schema"]), wanted, found.get("description", ""))


def _kind(schema: dict[str, Any]) -> str:
    """What a value is, in a word or two."""
    if "$ref" in schema:
        return str(schema["$ref"]).rpartition("/")[2]
    if "enum" in schema or "const" in schema:
        return " or ".join(str(value) for value in schema.get("enum", [schema.get("const")]))
    if "items" in schema:
        return f"list of {_kind(schema['items'])}"
    if "anyOf" in schema:
        return " or ".join(_kind(one) for one in schema["anyOf"])
    kinds = schema.get("type", "")
    return " or ".join(kinds) if isinstance(kinds, list) else str(kinds)


def _table(rows: list[str]) -> str:
    return f"<table>{''.join(rows)}</table>" if rows else ""


def _row(*words: str) -> str:
    return "<tr>" + "".join(f"<td>{escape(word)}</td>" for word in words) + "</tr>"
