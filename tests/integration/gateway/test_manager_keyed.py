"""Volumes, scopes and folders under URLs of their own, and the manager's secrets while they are changed."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import anyio
import pytest
from harness.world import FOLDER, OTHER, World, open_world

from domain.catalogue import status_record
from domain.ids import VFolderId, VolumeName
from gateway.manager.keyed import KeyedRoutes, volume_id

pytestmark = pytest.mark.anyio

SCOPE_URL = "/volumes/disk/quota-scope/user/55555555-5555-4555-8555-555555555555"
FOLDER_URL = f"{SCOPE_URL}/vfolder/aabb0005-0000-4000-8000-000000000005"
#: The folder of that URL, where it lies below the volume's root, and where a clone of it with the id OTHER does.
KEYED = "user:55555555-5555-4555-8555-555555555555/aabb0005-0000-4000-8000-000000000005"
PLACE = "55555555555545558555555555555555/aa/bb/0005000040008000000000000005"
CLONED = "11111111111141118111111111111111/aa/bb/0002000040008000000000000002"


async def test_a_volume_has_two_names(world: World) -> None:
    by_name = await world.manager("GET", "/volumes/disk")
    item = by_name.json["item"]
    assert set(item) == {"volume_id", "backend", "path", "fsprefix", "capabilities"}
    assert (item["backend"], item["path"]) == ("vfs", str(world.path))
    by_id = await world.manager("GET", f"/volumes/{item['volume_id']}")
    assert by_id.json == by_name.json
    assert (await world.manager("GET", "/volumes/nope")).status == 400


async def test_a_volume_whose_name_is_a_uuid_is_told_that_one(world: World) -> None:
    name = VolumeName("018F2F00-0000-7000-8000-00000000ABCD")
    world.gate.volumes[name] = world.volume
    assert volume_id(name) == name.lower()
    assert KeyedRoutes(world.gate)._by_id.keys() >= {name.lower()}
    assert (await world.manager("GET", f"/volumes/{name}")).json["item"]["backend"] == "vfs"


async def test_a_scope_has_a_limit_or_none(world: World) -> None:
    unlimited = {"used_bytes": None, "limit_bytes": None}
    assert (await world.manager("GET", SCOPE_URL)).status == 404
    assert (await world.manager("POST", SCOPE_URL, {"options": {"limit_bytes": 100}})).status == 204
    assert (await world.manager("GET", SCOPE_URL)).json == {"used_bytes": 0, "limit_bytes": 100}
    assert (await world.manager("PUT", SCOPE_URL, {"options": {"limit_bytes": 200}})).status == 204
    assert (await world.manager("GET", SCOPE_URL)).json["limit_bytes"] == 200
    assert (await world.manager("PUT", SCOPE_URL, {"options": {"limit_bytes": 0}})).status == 204
    assert (await world.manager("GET", SCOPE_URL)).json == unlimited
    assert (await world.manager("POST", SCOPE_URL, {})).status == 409


async def test_deleting_a_scope_lifts_its_limit(world: World) -> None:
    assert (await world.manager("DELETE", SCOPE_URL)).status == 404
    await world.manager("POST", SCOPE_URL, {"options": {"limit_bytes": 100}})
    assert (await world.manager("DELETE", SCOPE_URL)).status == 204
    assert (await world.manager("GET", SCOPE_URL)).json == {"used_bytes": None, "limit_bytes": None}
    assert [event.type for event in world.events()][1:] == ["quota.scope.created", "quota.updated"]


@pytest.mark.parametrize("options", [{"limit_bytes": 7}, {"limit_bytes": 0}, None])
async def test_putting_a_scope_makes_it(world: World, options: dict[str, int] | None) -> None:
    assert (await world.manager("PUT", SCOPE_URL, {"options": options})).status == 204
    limit = options["limit_bytes"] or None if options else None
    assert (await world.manager("GET", SCOPE_URL)).json["limit_bytes"] == limit
    assert [event.type for event in world.events()] == ["quota.scope.created"]


async def test_putting_nothing_onto_a_scope_is_refused(world: World) -> None:
    await world.manager("POST", SCOPE_URL, {"options": {"limit_bytes": 100}})
    for body in ({"options": None}, {}):
        answer = await world.manager("PUT", SCOPE_URL, body)
        assert (answer.status, answer.json["title"]) == (400, "Invalid Quota Config")
        assert answer.json["error_code"] == "quota-scope_update_invalid-parameters"
    assert (await world.manager("GET", SCOPE_URL)).json["limit_bytes"] == 100


async def test_a_folder_from_its_beginning_to_its_end(world: World) -> None:
    assert (await world.manager("POST", FOLDER_URL, {})).status == 204
    info = await world.manager("GET", FOLDER_URL, {"subpath": "."})
    assert set(info.json["item"]) == {"mount_path", "file_count", "used_bytes", "capacity_bytes", "fs_used_bytes"}
    assert info.json["item"]["file_count"] == 0
    assert info.json["item"]["mount_path"].endswith("/aa/bb/0005000040008000000000000005")
    assert (await world.manager("DELETE", FOLDER_URL)).status == 204
    assert (await world.manager("GET", FOLDER_URL, {"subpath": "."})).status == 410


async def test_a_body_where_none_is_asked_for_is_passed_over(world: World) -> None:
    assert (await world.manager("POST", FOLDER_URL, {"mode": 0, "whatever": 1})).status == 204
    assert (await world.manager("POST", FOLDER_URL, b"no JSON")).status == 409
    assert (world.path / PLACE).stat().st_mode & 0o777 == 0o755


async def test_a_folder_that_is_not_there_is_gone(world: World) -> None:
    """Backend.AI's manager forgets a folder when it hears that."""
    for method, body in (("GET", {"subpath": "."}), ("DELETE", None)):
        answer = await world.manager(method, FOLDER_URL, body)
        assert (answer.status, answer.json["error_code"]) == (410, "vfolder_read_gone")
    assert (await world.manager("POST", FOLDER_URL)).status == 204
    assert (await world.manager("DELETE", FOLDER_URL)).status == 204
    told = (await world.manager("GET", FOLDER_URL, {"subpath": "."})).json
    assert told["title"] == "VFolder Not Found"


async def test_a_folder_on_its_way_is_locked(world: World) -> None:
    await world.manager("POST", FOLDER_URL)
    (world.path / PLACE).rename(world.path / "elsewhere")
    record = status_record(VFolderId.parse(KEYED), VolumeName("disk"))
    world.store.view.records[record] = {"status": "performing", "reason": "it moves", "task": "t"}
    for method, body in (("GET", {"subpath": "."}), ("DELETE", None)):
        answer = await world.manager(method, FOLDER_URL, body)
        assert (answer.status, answer.json["reason"]) == (423, "it moves")


async def test_a_clone_is_there_when_it_is_answered(world: World) -> None:
    await world.make_folder(KEYED)
    await world.upload("a/b", b"1", folder=KEYED)
    headers = {"Idempotency-Key": "k"}
    for _ in range(2):
        answer = await world.manager("PUT", f"{FOLDER_URL}/clone", {"dst_vfid": OTHER}, headers=headers)
        assert answer.status == 204, answer.body
        assert (world.path / CLONED / "a/b").read_bytes() == b"1"
    (completed,) = world.events("clone.completed")
    assert completed.body["task"] == answer.headers["X-Penstock-Task"]
    again = await world.manager("PUT", f"{FOLDER_URL}/clone", {"dst_vfid": OTHER})
    assert again.status == 409


async def test_a_clone_that_cannot_be_is_told_why(world: World) -> None:
    missing = await world.manager("PUT", f"{FOLDER_URL}/clone", {"dst_vfid": OTHER})
    assert (missing.status, missing.json["title"]) == (404, "VFolder Not Found")
    await world.make_folder(KEYED)
    await world.upload("a", b"12345", folder=KEYED)
    scope = {"volume": "disk", "qsid": OTHER.partition("/")[0], "options": {"limit_bytes": 3}}
    assert (await world.manager("PATCH", "/quota-scope", scope)).status == 204
    headers = {"Idempotency-Key": "k"}
    answer = await world.manager("PUT", f"{FOLDER_URL}/clone", {"dst_vfid": OTHER}, headers=headers)
    assert (answer.status, answer.json["type"]) == (413, "urn:penstock:problem:quota-exceeded")
    again = await world.manager("PUT", f"{FOLDER_URL}/clone", {"dst_vfid": OTHER}, headers=headers)
    assert (again.status, again.json) == (413, answer.json)
    assert not (world.path / CLONED).exists()


async def test_a_clone_nobody_makes_is_not_waited_for_for_ever(tmp_path: Path) -> None:
    async with open_world(tmp_path, command_seconds=3) as world:
        await world.make_folder(KEYED)
        world.volume.copy_into = _stuck
        answer = await world.manager("PUT", f"{FOLDER_URL}/clone", {"dst_vfid": OTHER})
        assert (answer.status, answer.json["type"]) == (504, "urn:penstock:problem:deadline-exceeded")
        assert len(world.events("clone.accepted")) == 1


async def _stuck(*_: object, **__: object) -> None:
    await anyio.sleep_forever()


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
    elsewhere = {"volume": "nope"}
    assert (await world.manager("GET", "/folder/metadata", {**named, **elsewhere})).json == {"status": "ok"}
    for method, body in (("GET", named), ("GET", elsewhere), ("PATCH", {**elsewhere, "size_bytes": "10m"})):
        answer = await world.manager(method, "/volume/quota", body)
        assert (answer.status, answer.body) == (400, b"")
    unsupported = await world.manager("GET", "/volume/performance-metric", {"volume": "disk"})
    assert unsupported.json["type"].endswith("/unsupported-operation")


async def test_metrics_of_a_storage_are_told_with_their_time(world: World) -> None:
    async def metrics() -> dict[str, float]:
        return {"iops_read": 7}

    world.volume.metrics = metrics
    told = (await world.manager("GET", "/volume/performance-metric", {"volume": "disk"})).json
    assert told["metric"] == {"iops_read": 7}
    assert datetime.fromisoformat(told["observed_at"]).tzinfo is not None


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
