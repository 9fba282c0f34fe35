"""The OpenAPI document of a port (version 3.1)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

from aiohttp import web

from gateway.middlewares import SECRET_HEADER
from gateway.openapi import parameters, problem, responses
from gateway.openapi.models import Models
from gateway.openapi.operations import Operation, Table

#: Not told: what browsers ask before they let a page ask.
_PREFLIGHTS: Final = frozenset({"/", "/download", "/download-archive"})
_TITLES: Final = {"manager": "Penstock: the manager's port", "client": "Penstock: the clients' port"}
_WORDS: Final = (
    "Each operation lists every status it answers with. What HTTP itself refuses is answered in plain text and not "
    "listed: 400 to what is no HTTP, 404 and 405 to paths and methods there are not, 417 to an Expect that cannot "
    "be met. A defect is answered 500 with a problem document."
)
_SCHEMES: Final[dict[str, dict[str, str]]] = {
    "manager": {
        "type": "apiKey",
        "in": "header",
        "name": SECRET_HEADER,
        "description": "the manager's secret",
    },
    "token": {
        "type": "apiKey",
        "in": "query",
        "name": "token",
        "description": "the token the manager's port made",
    },
    "bearer": {
        "type": "http",
        "scheme": "bearer",
        "bearerFormat": "JWT",
        "description": "the same token in the header field Authorization",
    },
}


def told_routes(app: web.Application) -> Iterator[tuple[str, str, str]]:
    """Method, path and words of every route of an application that is told."""
    for route in app.router.routes():
        path = route.resource.canonical if route.resource is not None else ""
        is_preflight = route.method == "OPTIONS" and path in _PREFLIGHTS
        is_refusal = route.method == "*"
        # With a slash at its end a path is the same as without.
        if not is_preflight and not is_refusal and (path == "/" or not path.endswith("/")):
            yield route.method, path, (route.handler.__doc__ or "").strip()


def openapi(port: str, app: web.Application, table: Table, version: str) -> dict[str, Any]:
    """Describe a port.

    Args:
        port: `manager` or `client`.
        table: its operations; those without a route, and routes without one, are passed over.
    """
    routes = [(method, path, words, table.get((method, path))) for method, path, words in told_routes(app)]
    told = [(method, path, words, operation) for method, path, words, operation in routes if operation is not None]
    operations = [operation for *_, operation in told]
    models = Models(operations)
    paths: dict[str, Any] = {}
    for method, path, words, operation in told:
        item = paths.setdefault(path, {"parameters": parameters.shared()})
        item[method.lower()] = _operation(method, path, words, operation, models)
    schemes = {scheme for operation in operations for scheme in operation.security}
    return {
        "openapi": "3.1.0",
        "info": {"title": _TITLES[port], "version": version, "description": _WORDS},
        "paths": paths,
        "components": {
            "schemas": {**models.schemas, problem.PROBLEM: problem.SCHEMA},
            "parameters": parameters.COMPONENTS,
            "headers": responses.COMPONENTS,
            "securitySchemes": {name: _SCHEMES[name] for name in sorted(schemes)},
        },
    }


def _operation(method: str, path: str, words: str, operation: Operation, models: Models) -> dict[str, Any]:
    told: dict[str, Any] = {
        "operationId": f"{method.lower()}{re.sub('[^a-z]+', '_', path)}".rstrip("_"),
        "summary": words.partition("\n")[0].rstrip("."),
        "parameters": parameters.parameters(path, operation),
        "responses": responses.responses(operation, models),
        "security": [{scheme: []} for scheme in operation.security],
    }
    if operation.deprecated:
        told["deprecated"] = True
    if operation.body is not None:
        schema = models.reference(operation.body)
        content = {"application/json": {"schema": schema, "example": dict(operation.example)}}
        told["requestBody"] = {"required": True, "content": content}
    elif operation.bytes:
        told["requestBody"] = {"content": {media: {"schema": {}} for media in operation.bytes}}
    return told
