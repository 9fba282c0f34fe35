"""What the ports say of themselves, and that they keep to it whatever they are sent."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import schemathesis
from harness.processes import FOLDER, SCOPE, SECRET, Site, ask, open_site
from harness.world import World
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode

from gateway.app import client_app, manager_app
from gateway.openapi.document import told_routes
from gateway.openapi.operations import CLIENT, MANAGER

pytestmark = pytest.mark.timeout(300)


class Links(HTMLParser):
    """What a page loads."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))


@pytest.mark.anyio
async def test_every_route_is_told(world: World) -> None:
    for app, table in ((manager_app(world.gate), MANAGER), (client_app(world.gate), CLIENT)):
        told = {(method, path): words for method, path, words in told_routes(app)}
        assert set(told) == set(table)
        assert all(told.values()), "each handler has words"


@pytest.mark.anyio
async def test_the_documents_hold_together(world: World) -> None:
    for ask_port in (world.manager, world.client):
        document = (await ask_port("GET", "/openapi.json")).json
        assert document["openapi"].startswith("3.1")
        text = json.dumps(document)
        for name in re.findall(r"#/components/schemas/(\w+)", text):
            assert name in document["components"]["schemas"]
        for schema in document["components"]["schemas"].values():
            jsonschema.Draft202012Validator.check_schema(schema)
        identifiers = [op["operationId"] for path in document["paths"].values() for op in path.values()]
        assert len(identifiers) == len(set(identifiers))
        assert "the manager's secret" not in text


@pytest.mark.anyio
async def test_the_page_needs_nothing_from_elsewhere(world: World) -> None:
    answer = await world.client("GET", "/docs")
    assert answer.headers["Content-Security-Policy"].startswith("default-src 'none'")
    links = Links()
    links.feed(answer.body.decode())
    assert not {"script", "link", "img", "iframe"} & {tag for tag, _ in links.tags}
    assert b"/download-archive" in answer.body
    assert b"<details>" in answer.body


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    path: Path = tmp_path_factory.mktemp("openapi")
    with open_site(path, gateway__command_seconds=10.0, gateway__event_streams=2) as found:
        found.start("actor")
        found.start("gateway")
        found.api.make_folder()
        found.api.upload("a.txt", b"hello")
        yield found


#: What is put into half of the bodies, so that they reach further than to the first check.
KNOWN = {
    "volume": "disk",
    "src_volume": "disk",
    "vfid": FOLDER,
    "src_vfid": FOLDER,
    "virtual_folder_id": FOLDER,
    "qsid": SCOPE,
    "relpath": "a.txt",
}
EXAMPLES = 15

schemathesis.serializer.alias("application/offset+octet-stream", "application/octet-stream")


def fuzz(port: int, document: dict[str, Any], headers: dict[str, str]) -> Counter[int]:
    """Send each operation what the document allows, and what it does not; returns how often which status came."""
    statuses: Counter[int] = Counter()
    for found in schemathesis.openapi.from_dict(document).get_all_operations():
        operation = found.ok()
        if operation.path == "/events":
            continue  # an answer without an end
        for mode in GenerationMode:
            with suppress(Unsatisfiable):
                statuses += _fuzzed(port, operation, mode, headers)
    return statuses


def _fuzzed(port: int, operation: Any, mode: GenerationMode, headers: dict[str, str]) -> Counter[int]:
    statuses: Counter[int] = Counter()

    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.explicit, Phase.generate],
    )
    @given(case=operation.as_strategy(mode), known=st.booleans())
    def send(case: schemathesis.Case, known: bool) -> None:
        if known and isinstance(case.body, dict):
            case.body = {name: KNOWN.get(name, value) for name, value in case.body.items()}
        answer = case.call(base_url=f"http://127.0.0.1:{port}", headers=headers, timeout=30)
        statuses[answer.status_code] += 1
        told = f"{case.method} {case.path}: {answer.status_code} {answer.text[:300]}"
        assert answer.status_code < 500 or answer.status_code in (503, 504), told
        if answer.status_code >= 400 and answer.content and operation.path != "/volume/quota":
            kind = answer.headers["content-type"][0].partition(";")[0]
            assert kind in ("application/problem+json", "application/json", "text/plain"), told
            assert "Traceback" not in answer.text

    send()
    return statuses


def test_whatever_the_manager_sends_is_answered(site: Site) -> None:
    secret = {"X-BackendAI-Storage-Auth-Token": SECRET}
    document = ask(site.api.manager_port, "GET", "/openapi.json", headers=secret).json
    statuses = fuzz(site.api.manager_port, document, secret)
    assert statuses.total() > 500
    assert statuses[200] > 20
    assert "failed by a defect" not in site.log("gateway")
    assert site.api.manager("GET", "/volumes").status == 200


def test_whatever_clients_send_is_answered(site: Site) -> None:
    document = ask(site.api.client_port, "GET", "/openapi.json").json
    statuses = fuzz(site.api.client_port, document, {})
    assert statuses.total() > 100
    assert "failed by a defect" not in site.log("gateway")
    assert ask(site.api.client_port, "GET", "/").status == 200
