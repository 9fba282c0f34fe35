"""Volumes, scopes and folders under URLs of their own, and the manager's secrets while they are changed."""

from __future__ import annotations

from pathlib import Path

import pytest
from harness.world import FOLDER, World, open_world

pytestmark = pytest.mark.anyio

SCOPE_URL = "/volumes/disk/quota-scope/user/55555555-5555-4555-8555-555555555555"
FOLDER_URL = f"{SCOPE_URL}/vfolder/aabb0005-0000-4000-8000-000000000005"


async def test_a_volume_has_two_names(world: World) -> None:
    by_name = await world.manager("GET", "/volumes/disk")
    item = by_name.json["item"]
    assert set(item) == {"volume_id", "backend", "path", "fsprefix", "capabilities"}
    assert (item["backend"], item["path"]) == ("vfs", str(world.path))
    by_id = await world.manager("GET", f"/volumes/{item['volume_id']}")
    assert by_id.json == by_name.json
    assert (await world.manager("GET", "/volumes/nope")).status == 400


async def test_a_scope_from_its_beginning_to_its_end(world: World) -> None:
    assert (await world.manager("GET", SCOPE_URL)).status == 404
    assert (await world.manager("POST", SCOPE_URL, {"options": {"limit_bytes": 100}})).status == 204
    assert (await world.manager("GET", SCOPE_URL)).json == {"used_bytes": 0, "limit_bytes": 100}
    assert (await world.manager("PUT", SCOPE_URL, {"options": {"limit_bytes": 200}})).status == 204
    assert (await world.manager("GET", SCOPE_URL)).json["limit_bytes"] == 200
    assert (await world.manager("PUT", SCOPE_URL, {"options": None})).status == 204
    assert (await world.manager("GET", SCOPE_URL)).json == {"used_bytes": None, "limit_bytes": None}
    assert (await world.manager("POST", SCOPE_URL, {})).status == 409
    assert (await world.manager("DELETE", SCOPE_URL)).status == 204
    assert (await world.manager("GET", SCOPE_URL)).status == 404


async def test_a_folder_from_its_beginning_to_its_end(world: World) -> None:
    assert (await world.manager("POST", FOLDER_URL, {})).status == 204
    info = await world.manager("GET", FOLDER_URL, {"subpath": "."})
    assert set(info.json["item"]) == {"mount_path", "file_count", "used_bytes", "capacity_bytes", "fs_used_bytes"}
    assert info.json["item"]["file_count"] == 0
    assert info.json["item"]["mount_path"].endswith("/aa/bb/0005000040008000000000000005")
    assert (await world.manager("DELETE", SCOPE_URL)).status == 409
    assert (await world.manager("DELETE", FOLDER_URL)).status == 204
    assert (await world.manager("GET", FOLDER_URL, {"subpath": "."})).status == 404


@pytest.mark.parametrize(
    "url",
    [
        "/volumes/disk/quota-scope/team/55555555-5555-4555-8555-555555555555",
        "/volumes/disk/quota-scope/user/nonsense",
        f"{SCOPE_URL}/vfolder/nonsense",
        "/volumes/nope/quota-scope/user/55555555-5555-4555-8555-555555555555",
    ],
)
async def test_keys_that_name_nothing(world: World, url: str) -> None:
    for method in ("GET", "POST", "DELETE"):
        answer = await world.manager(method, url, {} if method != "DELETE" else None)
        assert answer.status == 400, answer.body
        assert answer.headers["Content-Type"].startswith("application/problem+json")


async def test_vestiges_answer_as_ever(world: World) -> None:
    named = {"volume": "disk", "vfid": FOLDER}
    assert (await world.manager("GET", "/folder/metadata", named)).json == {"status": "ok"}
    refused = await world.manager("POST", "/folder/metadata", {**named, "payload": "eHg="})
    assert refused.json["data"] == {"payload": "value is not a bytes string"}
    for method, body in (("GET", named), ("PATCH", {**named, "size_bytes": "10m"})):
        assert (await world.manager(method, "/volume/quota", body)).status == 400
    unsupported = await world.manager("GET", "/volume/performance-metric", {"volume": "disk"})
    assert unsupported.json["type"].endswith("/unsupported-operation")


async def test_two_secrets_while_one_is_changed(tmp_path: Path) -> None:
    async with open_world(tmp_path, manager_secrets_old=["the manager's secret until yesterday"]) as world:
        for secret, status in (("the manager's secret until yesterday", 200), ("another", 403)):
            headers = {"X-BackendAI-Storage-Auth-Token": secret}
            assert (await world.manager("GET", "/volumes", headers=headers)).status == status
        assert (await world.manager("GET", "/volumes")).status == 200


async def test_a_token_permits_no_more_than_its_bearer_may(world: World) -> None:
    await world.make_folder()
    named = {"volume": "disk", "vfid": FOLDER, "relpath": "a"}
    for route in ("/folder/file/upload", "/folder/file/upload-below"):
        more = {"size": 1} if route.endswith("upload") else {}
        answer = await world.manager("POST", route, {**named, **more, "permission": "ro"})
        assert answer.status == 403
        assert (await world.manager("POST", route, {**named, **more, "permission": "wd"})).status == 200
        assert (await world.manager("POST", route, {**named, **more, "permission": "x"})).status == 400
    assert (await world.manager("POST", "/folder/file/download", {**named, "permission": "ro"})).status == 200


async def test_the_manager_s_port_tells_its_health(world: World) -> None:
    answer = await world.manager("GET", "/health", headers={"X-BackendAI-Storage-Auth-Token": "wrong"})
    assert answer.json["status"] == "ok"
    assert {check["component_id"] for check in answer.json["connectivity"]["connectivity_checks"]} == {
        "bus",
        "disk",
    }
