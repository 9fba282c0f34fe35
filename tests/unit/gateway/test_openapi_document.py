"""The documents of both ports by themselves: whole, without contradictions, and told to people as well."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator, Iterator
from html.parser import HTMLParser
from typing import Any

import jsonschema
import pytest
import schemathesis
from aiohttp import web
from pydantic import SecretStr

from backends.mounted.outside import open_outside
from backends.observer import SilentObserver as SilentBackends
from bus.memory import MemoryStore, open_memory_bus
from bus.settings import BusSettings
from gateway.app import client_app, manager_app
from gateway.gate import Gate, Storage, build_gate
from gateway.middlewares import SECRET_HEADER
from gateway.observer import SilentObserver
from gateway.openapi.document import openapi, told_routes
from gateway.openapi.operations import CLIENT, MANAGER, Table
from gateway.openapi.page import page
from gateway.settings import GatewaySettings

pytestmark = pytest.mark.anyio

SECRET = "the manager's secret, as long as it should be"
KEY = "the key that signs tokens, as long as it should be"
TABLES: dict[str, Table] = {"manager": MANAGER, "client": CLIENT}
PORTS = pytest.mark.parametrize("port", TABLES)
#: What answers those who prove nothing.
OPEN = {
    "manager": {"/", "/status", "/health", "/openapi.json", "/docs"},
    "client": {
        "/",
        "/openapi.json",
        "/docs",
        "/upload",
        "/files",
        "/files/{session}",
        "/uploads",
        "/uploads/{session}",
    },
}
#: What may be asked at any rate.
UNLIMITED = {"manager": OPEN["manager"], "client": {"/"}}


async def health() -> dict[str, Any]:
    return {}


@pytest.fixture(params=[True])
async def gate(request: pytest.FixtureRequest) -> AsyncIterator[Gate]:
    settings = GatewaySettings(
        manager_secret=SecretStr(SECRET), token_secret=SecretStr(KEY), resumable_uploads=request.param
    )
    async with (
        open_memory_bus(MemoryStore(), BusSettings(), "gateway") as bus,
        open_outside([], SilentBackends()) as outside,
    ):
        yield build_gate(bus, Storage({}, outside), settings, 1.0, SilentObserver(), "1.2.3", health)


def app_of(port: str, gate: Gate) -> web.Application:
    return manager_app(gate) if port == "manager" else client_app(gate)


def document_of(port: str, gate: Gate) -> dict[str, Any]:
    return openapi(port, app_of(port, gate), TABLES[port], "1.2.3")


def operations_of(document: dict[str, Any]) -> Iterator[tuple[str, str, Any]]:
    """Method, path and description of every operation."""
    for path, item in document["paths"].items():
        for method, operation in item.items():
            if method != "parameters":
                yield method.upper(), path, operation


def parameters_of(operation: dict[str, Any], place: str) -> dict[str, bool]:
    """Names of parameters, and whether they are required."""
    return {one["name"]: one["required"] for one in operation["parameters"] if one["in"] == place}


@PORTS
async def test_every_route_is_told(gate: Gate, port: str) -> None:
    told = {(method, path): words for method, path, words in told_routes(app_of(port, gate))}
    assert set(told) == set(TABLES[port])
    assert all(told.values()), "each handler has words"


@pytest.mark.parametrize("gate", [False], indirect=True)
async def test_what_is_switched_off_is_not_told(gate: Gate) -> None:
    told = {path for _, path, _ in operations_of(document_of("client", gate))}
    assert told == {path for _, path in CLIENT if not path.startswith("/uploads")}


@PORTS
async def test_the_document_holds_together(gate: Gate, port: str) -> None:
    document = document_of(port, gate)
    assert document["openapi"].startswith("3.1")
    schemathesis.openapi.from_dict(document).validate()
    text = json.dumps(document)
    for kind, name in re.findall(r'"#/components/(\w+)/([^"]+)"', text):
        assert name in document["components"][kind]
    for schema in document["components"]["schemas"].values():
        jsonschema.Draft202012Validator.check_schema(schema)
    identifiers = [operation["operationId"] for *_, operation in operations_of(document)]
    assert len(identifiers) == len(set(identifiers))
    assert SECRET not in text
    assert KEY not in text


@PORTS
async def test_each_answer_has_a_status_of_its_own_and_a_schema(gate: Gate, port: str) -> None:
    for method, path, operation in operations_of(document_of(port, gate)):
        for status, response in operation["responses"].items():
            where = f"{method} {path} {status}"
            assert re.fullmatch("[1-5][0-9]{2}", status), where
            assert response["headers"]["X-Request-ID"], where
            for media, content in response.get("content", {}).items():
                assert content["schema"] or not media.endswith("json"), where
        assert "429" in operation["responses"] or path in UNLIMITED[port], "whoever asks too much is refused"


@PORTS
async def test_who_may_ask_is_told(gate: Gate, port: str) -> None:
    document = document_of(port, gate)
    schemes = document["components"]["securitySchemes"]
    for method, path, operation in operations_of(document):
        wanted = [name for scheme in operation["security"] for name in scheme]
        assert set(wanted) <= set(schemes)
        assert wanted or path in OPEN[port], f"{method} {path}"
        if "bearer" in wanted:
            assert parameters_of(operation, "query") == {"token": False}
        elif "token" in wanted:
            assert parameters_of(operation, "query")["token"]
        if port == "manager":
            assert wanted == ([] if path in OPEN[port] else ["manager"])
    if port == "manager":
        assert schemes["manager"]["name"] == SECRET_HEADER
    else:
        assert (schemes["bearer"]["scheme"], schemes["token"]["in"]) == ("bearer", "query")


@pytest.mark.parametrize(
    ("port", "method", "path", "names"),
    [
        ("client", "GET", "/download", "Range If-Range If-Match If-None-Match If-Modified-Since Want-Repr-Digest"),
        ("client", "GET", "/download", "Want-Content-Digest"),
        ("client", "GET", "/download-archive", "Range If-Range If-Match If-None-Match"),
        ("client", "HEAD", "/download", "If-Match If-None-Match If-Modified-Since If-Unmodified-Since"),
        ("client", "POST", "/files", "Tus-Resumable Upload-Length Upload-Metadata Upload-Concat Upload-Checksum"),
        ("client", "PATCH", "/upload", "Tus-Resumable Upload-Offset Upload-Checksum"),
        ("client", "POST", "/files/{session}", "X-HTTP-Method-Override Upload-Offset Tus-Resumable"),
        ("client", "POST", "/uploads", "Upload-Complete Upload-Length Repr-Digest Content-Disposition"),
        ("client", "PATCH", "/uploads/{session}", "Upload-Complete Upload-Offset Content-Digest Want-Repr-Digest"),
        ("manager", "POST", "/folder/file/fetch", "Want-Repr-Digest Want-Content-Digest"),
        ("manager", "POST", "/folder/create", "Idempotency-Key"),
        ("manager", "DELETE", "/tasks/{task}", "Idempotency-Key"),
        ("manager", "GET", "/events", "Last-Event-ID"),
    ],
)
async def test_header_fields_are_told(gate: Gate, port: str, method: str, path: str, names: str) -> None:
    document = document_of(port, gate)
    item = document["paths"][path]
    assert set(names.split()) <= set(parameters_of(item[method.lower()], "header"))
    assert {"$ref": "#/components/parameters/X-Request-ID"} in item["parameters"]


async def test_an_archive_has_no_date(gate: Gate) -> None:
    for operation in document_of("client", gate)["paths"]["/download-archive"].values():
        if "responses" in operation:
            told = set(parameters_of(operation, "header"))
            told |= {name for response in operation["responses"].values() for name in response["headers"]}
            assert not told & {"If-Modified-Since", "If-Unmodified-Since", "Last-Modified"}
            assert "date" not in json.dumps(operation["parameters"])


async def test_header_fields_that_are_always_there_are_told_to_be(gate: Gate) -> None:
    document = document_of("client", gate)
    required = {name for name, told in document["components"]["headers"].items() if told.get("required")}
    assert required == {"X-Request-ID", "Vary", "Tus-Resumable"}


async def test_what_always_refuses_promises_nothing_else(gate: Gate) -> None:
    paths = document_of("manager", gate)["paths"]
    for operation in (paths["/volume/quota"]["get"], paths["/volume/quota"]["patch"]):
        assert operation["deprecated"]
        assert not [status for status in operation["responses"] if status < "400"]
        assert operation["responses"]["400"]["description"].startswith("always")


class Links(HTMLParser):
    """What a page loads."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))


@PORTS
async def test_the_page_tells_it_all_and_needs_nothing_from_elsewhere(gate: Gate, port: str) -> None:
    document = document_of(port, gate)
    text = page(document)
    links = Links()
    links.feed(text)
    assert not {"script", "link", "img", "iframe"} & {tag for tag, _ in links.tags}
    assert [attributes["href"] for tag, attributes in links.tags if tag == "a"] == ["openapi.json"]
    assert text.count("<details>") == len(list(operations_of(document)))
    for _, path, operation in operations_of(document):
        assert f"<code>{path}</code>" in text
        for parameter in operation["parameters"]:
            assert f"<td>{parameter['name']}</td>" in text
    assert "460 Checksum Mismatch" in text or port == "manager"
