"""The OpenAPI document of a port (version 3.1)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

from aiohttp import web
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from gateway.middlewares import SECRET_HEADER
from gateway.openapi.operations import Operation, Table

_REF: Final = "#/components/schemas/{model}"
_NAME: Final = re.compile(r"\{(\w+)\}")
#: Not told: preflight requests, and the draft that is behind a setting.
_UNTOLD_METHODS: Final = frozenset({"OPTIONS"})
_UNTOLD_PATHS: Final = ("/uploads",)
_PROBLEM: Final[dict[str, Any]] = {
    "type": "object",
    "description": "problem document (RFC 9457)",
    "properties": {"type": {"type": "string"}, "title": {"type": "string"}, "error_code": {"type": "string"}},
    "required": ["type", "title"],
}
_TITLES: Final = {"manager": "Penstock: the manager's port", "client": "Penstock: the clients' port"}


def told_routes(app: web.Application) -> Iterator[tuple[str, str, str]]:
    """Method, path and words of every route of an application that is told."""
    gets = {
        route.resource.canonical
        for route in app.router.routes()
        if route.method == "GET" and route.resource is not None
    }
    for route in app.router.routes():
        path = route.resource.canonical if route.resource is not None else ""
        is_implied = route.method == "HEAD" and path in gets
        if route.method in _UNTOLD_METHODS or path.startswith(_UNTOLD_PATHS) or is_implied:
            continue
        yield route.method, path, (route.handler.__doc__ or "").strip()


def openapi(port: str, app: web.Application, table: Table, version: str) -> dict[str, Any]:
    """Describe a port.

    Args:
        port: `manager` or `client`.
    """
    models = sorted({model for op in table.values() for model in (op.body,) if model}, key=_model_name)
    names, schemas = _schemas(models)
    paths: dict[str, Any] = {}
    for method, path, words in told_routes(app):
        operation = table[method, path]
        paths.setdefault(path, {})[method.lower()] = _operation(port, method, path, words, operation, names)
    return {
        "openapi": "3.1.0",
        "info": {"title": _TITLES[port], "version": version},
        "paths": paths,
        "components": {
            "schemas": {**schemas, "Problem": _PROBLEM},
            "securitySchemes": {"manager": {"type": "apiKey", "in": "header", "name": SECRET_HEADER}},
        },
    }


def _model_name(model: type[BaseModel]) -> str:
    return f"{model.__module__}.{model.__name__}"


def _schemas(models: list[type[BaseModel]]) -> tuple[dict[type[BaseModel], str], dict[str, Any]]:
    references, definitions = models_json_schema([(model, "validation") for model in models], ref_template=_REF)
    names = {model: str(reference["$ref"]) for (model, _), reference in references.items()}
    return {model: names[model] for model in models}, definitions.get("$defs", {})


def _operation(
    port: str, method: str, path: str, words: str, operation: Operation, names: dict[type[BaseModel], str]
) -> dict[str, Any]:
    told: dict[str, Any] = {
        "operationId": f"{method.lower()}{re.sub('[^a-z]+', '_', path)}".rstrip("_"),
        "summary": words.partition("\n")[0].rstrip("."),
        "parameters": [*_path_parameters(path), *_query(operation), *_headers(operation)],
        "responses": _responses(operation),
    }
    if operation.body is not None:
        schema = {"$ref": names[operation.body]}
        told["requestBody"] = {"required": True, "content": {"application/json": {"schema": schema}}}
    elif operation.bytes:
        told["requestBody"] = {"content": {"application/offset+octet-stream": {"schema": {}}}}
    if port == "manager" and path not in ("/", "/status", "/health"):
        told["security"] = [{"manager": []}]
    return told


def _path_parameters(path: str) -> Iterator[dict[str, Any]]:
    for name in _NAME.findall(path):
        yield {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}


def _query(operation: Operation) -> Iterator[dict[str, Any]]:
    if operation.query is None:
        return
    schema = operation.query.model_json_schema()
    for name, found in schema["properties"].items():
        plain = {key: value for key, value in found.items() if key != "$ref"} or {"type": "string"}
        yield {"name": name, "in": "query", "required": name in schema.get("required", ()), "schema": plain}


def _headers(operation: Operation) -> Iterator[dict[str, Any]]:
    for name in operation.headers:
        yield {"name": name, "in": "header", "required": False, "schema": {"type": "string"}}


def _responses(operation: Operation) -> dict[str, Any]:
    success: dict[str, Any] = {"description": "as wished"}
    if operation.answer:
        success["content"] = {operation.answer: {}}
    problem = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
    found = {str(operation.status): success}
    for status in operation.more:
        found[str(status)] = {"description": "as wished, in part or not at all"}
    found["4XX"] = {"description": "the request cannot be met", "content": problem}
    found["503"] = {"description": "not now", "content": problem}
    found["504"] = {"description": "no answer in time", "content": problem}
    return found
