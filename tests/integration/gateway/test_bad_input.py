"""Bad input on every route: a 4xx problem document that names the field, nothing changed, never a 5xx."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from harness.world import FOLDER, SCOPE, World, open_world

pytestmark = pytest.mark.anyio

_SCOPE = {"volume": "disk", "qsid": SCOPE}
_FOLDER = {"volume": "disk", "vfid": FOLDER}
#: Every route with a body, and a body that is right.
GOOD: list[tuple[str, str, dict[str, Any]]] = [
    ("GET", "/volume/hwinfo", {"volume": "disk"}),
    ("GET", "/folder/fs-usage", {"volume": "disk"}),
    ("POST", "/quota-scope", _SCOPE),
    ("GET", "/quota-scope", _SCOPE),
    ("PATCH", "/quota-scope", {**_SCOPE, "options": {"limit_bytes": 1}}),
    ("DELETE", "/quota-scope/quota", _SCOPE),
    ("POST", "/folder/create", _FOLDER),
    ("POST", "/folder/delete", _FOLDER),
    ("GET", "/folder/mount", _FOLDER),
    ("GET", "/folder/usage", _FOLDER),
    ("GET", "/folder/used-bytes", _FOLDER),
    ("POST", "/folder/file/mkdir", {**_FOLDER, "relpath": "d"}),
    ("POST", "/folder/file/list", {**_FOLDER, "relpath": "."}),
    ("POST", "/folder/file/rename", {**_FOLDER, "relpath": "a", "new_name": "b"}),
    ("POST", "/folder/file/move", {**_FOLDER, "src_relpath": "a", "dst_relpath": "b"}),
    ("POST", "/folder/file/fetch", {**_FOLDER, "relpath": "a"}),
    ("POST", "/folder/file/upload", {**_FOLDER, "relpath": "a", "size": 1}),
    ("POST", "/folder/file/download", {**_FOLDER, "relpath": "a"}),
    ("POST", "/folder/file/delete", {**_FOLDER, "relpaths": ["a"]}),
]
ROUTES = pytest.mark.parametrize(("method", "route", "good"), GOOD, ids=[f"{m} {r}" for m, r, _ in GOOD])
#: Values no field takes.
WRONG: list[Any] = [None, 1.5, [], {}, [1], {"x": 1}, True, -1, 10**30, "", "\0", "x" * 10_000, "\ud800"]
IDS = ["team:x", "user", "user:zzz", "user:1/2", "/", "user:11111111-1111-4111-8111-111111111111/", "../../x", "é"]


async def refused(world: World, method: str, route: str, body: Any) -> Any:
    answer = await world.manager(method, route, body)
    assert 400 <= answer.status < 500, (body, answer.status, answer.body)
    assert answer.headers["Content-Type"].startswith("application/problem+json")
    return answer.json


@ROUTES
async def test_each_missing_field_is_named(world: World, method: str, route: str, good: dict[str, Any]) -> None:
    for name in good:
        told = await refused(world, method, route, {key: value for key, value in good.items() if key != name})
        assert told["data"] == {name: "is required"}
    assert (await refused(world, method, route, None))["data"] == dict.fromkeys(good, "is required")
    assert world.events() == []


@ROUTES
async def test_an_unknown_field_is_named(world: World, method: str, route: str, good: dict[str, Any]) -> None:
    told = await refused(world, method, route, {**good, "extra": 1})
    assert told["data"] == {"extra": "extra is not allowed key"}
    assert world.events() == []


@ROUTES
async def test_wrong_values_are_refused(world: World, method: str, route: str, good: dict[str, Any]) -> None:
    for name in good:
        for value in WRONG:
            if name in ("relpath", "relpaths") and value in ("", []):
                continue
            if name == "relpath" and route.endswith(("mkdir", "download")) and isinstance(value, str):
                continue  # told for each path, or when the token is used
            if name == "size" and value is True:
                continue
            await refused(world, method, route, {**good, name: value})
    assert world.events() == []


@ROUTES
async def test_bodies_that_are_no_json_object(world: World, method: str, route: str, good: dict[str, Any]) -> None:
    for body in (b"{nope", b"[]", b'"x"', b"1", b"null", b"\xff\xfe", b'{"volume": NaN}', b"[" * 100_000):
        await refused(world, method, route, body)
    assert world.events() == []


@pytest.mark.anyio
async def test_a_body_beyond_the_limit(tmp_path: Path) -> None:
    async with open_world(tmp_path, max_body_bytes=2048) as world:
        for method, route, _ in GOOD:
            answer = await world.manager(method, route, b"{" + b" " * 4096 + b"}")
            assert answer.status == 413
            assert answer.json["max_bytes"] == 2048


@ROUTES
async def test_bad_ids_and_volumes(world: World, method: str, route: str, good: dict[str, Any]) -> None:
    for name in {"vfid", "qsid"} & set(good):
        for value in IDS:
            told = await refused(world, method, route, {**good, name: value})
            assert name in told["data"]
    for value in ("nope", "../x", "{x}", "DISK"):
        if route == "/folder/delete" and value not in ("../x", "{x}"):
            continue  # accepted: how it ended is told by an event
        told = await refused(world, method, route, {**good, "volume": value})
        assert told["title"] == "Invalid Volume"
    assert world.events() == []


async def test_wrong_optional_values(world: World) -> None:
    for method, route, body in (
        ("POST", "/quota-scope", {**_SCOPE, "options": {"limit": 1}}),
        ("POST", "/quota-scope", {**_SCOPE, "options": {"limit_bytes": -1}}),
        ("POST", "/quota-scope", {**_SCOPE, "options": {"limit_bytes": "x"}}),
        ("POST", "/quota-scope", {**_SCOPE, "extra_args": 1}),
        ("POST", "/folder/create", {**_FOLDER, "mode": -1}),
        ("POST", "/folder/create", {**_FOLDER, "mode": 0o10000}),
        ("POST", "/folder/create", {**_FOLDER, "options": []}),
        ("POST", "/folder/file/mkdir", {**_FOLDER, "relpath": "a", "parents": "perhaps"}),
        ("POST", "/folder/file/download", {**_FOLDER, "relpath": "a", "archive": 7}),
        ("POST", "/folder/file/download", {**_FOLDER, "relpath": "a", "unmanaged_path": "/etc"}),
        ("POST", "/folder/file/upload", {**_FOLDER, "relpath": "/abs", "size": 1}),
    ):
        await refused(world, method, route, body)
    assert world.events() == []


async def test_an_upload_larger_than_any_may_be(world: World) -> None:
    await world.make_folder()
    body = {**_FOLDER, "relpath": "a", "size": (100 << 30) + 1}
    answer = await world.manager("POST", "/folder/file/upload", body)
    assert answer.status == 413
    assert answer.json["max_bytes"] == 100 << 30


async def test_a_size_may_be_text_as_old_clients_send_it(world: World) -> None:
    await world.make_folder()
    body = {**_FOLDER, "relpath": "a", "size": "12"}
    assert (await world.manager("POST", "/folder/file/upload", body)).status == 200


async def test_requests_are_counted_with_the_labels_of_backend_ai(world: World) -> None:
    await world.manager("GET", "/volume/hwinfo", {"volume": "nope"})
    await world.manager("GET", "/volumes")
    await world.manager("GET", "/no/such/path")
    bad, good, nowhere = world.watching.answers[-3:]
    assert (bad.method, bad.endpoint, bad.status) == ("GET", "/volume/hwinfo", 400)
    assert (bad.domain, bad.operation, bad.detail) == ("storage", "access", "invalid-parameters")
    assert (good.endpoint, good.status, good.domain) == ("/volumes", 200, "")
    assert (nowhere.endpoint, nowhere.status) == ("", 404)


async def test_every_answer_names_its_request(world: World) -> None:
    answer = await world.manager("GET", "/volumes", headers={"X-Request-ID": "abc-1"})
    assert answer.headers["X-Request-ID"] == "abc-1"
    for bad in ("x" * 200, "a b", "é"):
        answer = await world.manager("GET", "/volumes", headers={"X-Request-ID": bad})
        assert len(answer.headers["X-Request-ID"]) == 32


async def test_a_trace_goes_from_the_request_into_the_event(world: World) -> None:
    parent = "00-" + "a" * 32 + "-" + "b" * 16 + "-01"
    headers = {"traceparent": parent, "tracestate": "x=1"}
    await world.manager("POST", "/folder/create", _FOLDER, headers=headers)
    (event,) = world.events("vfolder.created")
    assert (event.origin.trace.parent, event.origin.trace.state) == (parent, "x=1")
    assert event.origin.actor == "manager"
