"""The manager's port: status, volumes, quota scopes, folders."""

from __future__ import annotations

import pytest
from harness.world import FOLDER, OTHER, SCOPE, World

pytestmark = pytest.mark.anyio

PROBLEM = "application/problem+json; charset=utf-8"


async def test_status_needs_no_secret_and_takes_no_body(world: World) -> None:
    for route in ("/", "/status"):
        answer = await world.manager("GET", route, headers={"X-BackendAI-Storage-Auth-Token": "wrong"})
        assert answer.status == 200
        assert answer.json == {"status": "ok", "type": "manager-facing", "storage-proxy": "1.2.3"}
        assert (await world.manager("GET", route, {})).status == 400


@pytest.mark.parametrize("secret", [None, "wrong", "", "the manager's secret"])
async def test_without_the_secret_nothing_is_told(world: World, secret: str | None) -> None:
    headers = {} if secret is None else {"X-BackendAI-Storage-Auth-Token": secret}
    url = f"http://127.0.0.1:{world.manager_port}"
    for method, route in (("GET", "/volumes"), ("POST", "/folder/create"), ("GET", "/nope"), ("PUT", "/volumes")):
        async with world.session.request(method, url + route, headers=headers) as answer:
            assert answer.status == 403
            assert answer.headers["Content-Type"] == PROBLEM
            assert (await answer.json())["type"].endswith("/probs/storage/forbidden")


async def test_unknown_routes_and_methods(world: World) -> None:
    assert (await world.manager("GET", "/nope")).status == 404
    answer = await world.manager("PUT", "/volumes")
    assert answer.status == 405
    assert answer.headers["Allow"] == "GET"


async def test_volumes_are_listed(world: World) -> None:
    answer = await world.manager("GET", "/volumes")
    assert answer.json == {
        "volumes": [
            {
                "name": "disk",
                "backend": "vfs",
                "path": str(world.path),
                "fsprefix": ".",
                "capabilities": ["vfolder", "quota"],
            }
        ]
    }


async def test_a_volume_tells_its_health_and_size(world: World) -> None:
    health = await world.manager("GET", "/volume/hwinfo", {"volume": "disk"})
    assert health.json == {"status": "healthy", "status_info": None, "metadata": {}}
    size = await world.manager("GET", "/folder/fs-usage", {"volume": "disk"})
    assert size.json["capacity_bytes"] >= size.json["used_bytes"] > 0


async def test_an_unknown_volume_is_told_as_backend_ai_does(world: World) -> None:
    answer = await world.manager("GET", "/volume/hwinfo", {"volume": "nope"})
    assert answer.status == 400
    assert answer.json == {
        "type": "https://api.backend.ai/probs/storage/volume/invalid",
        "title": "Invalid Volume",
        "error_code": "storage_access_invalid-parameters",
        "msg": "nope",
    }


# --- quota scopes -----------------------------------------------------------------------------------


async def test_a_quota_scope_lives(world: World) -> None:
    scope = {"volume": "disk", "qsid": SCOPE}
    missing = await world.manager("GET", "/quota-scope", scope)
    assert missing.status == 404
    assert missing.json["type"].endswith("/probs/storage/quota/scope/not-found")
    assert (await world.manager("POST", "/quota-scope", scope)).status == 204
    assert (await world.manager("POST", "/quota-scope", scope)).status == 409
    assert (await world.manager("GET", "/quota-scope", scope)).json == {"used_bytes": None, "limit_bytes": None}
    limited = {**scope, "options": {"limit_bytes": 1048576}}
    assert (await world.manager("PATCH", "/quota-scope", limited)).status == 204
    assert (await world.manager("GET", "/quota-scope", scope)).json == {"used_bytes": 0, "limit_bytes": 1048576}
    assert (await world.manager("DELETE", "/quota-scope/quota", scope)).status == 204
    assert (await world.manager("GET", "/quota-scope", scope)).json == {"used_bytes": None, "limit_bytes": None}
    assert [event.type for event in world.events()][-2:] == ["quota.updated", "quota.updated"]


async def test_a_quota_scope_may_be_made_with_a_limit(world: World) -> None:
    body = {"volume": "disk", "qsid": SCOPE, "options": {"limit_bytes": 7}, "extra_args": {}}
    assert (await world.manager("POST", "/quota-scope", body)).status == 204
    told = await world.manager("GET", "/quota-scope", {"volume": "disk", "qsid": SCOPE})
    assert told.json["limit_bytes"] == 7


async def test_a_scope_that_is_not_there_has_no_limit_to_lift(world: World) -> None:
    assert (await world.manager("DELETE", "/quota-scope/quota", {"volume": "disk", "qsid": SCOPE})).status == 404


async def test_a_limit_makes_the_scope_it_is_for(world: World) -> None:
    scope = {"volume": "disk", "qsid": SCOPE}
    assert (await world.manager("PATCH", "/quota-scope", {**scope, "options": {"limit_bytes": 9}})).status == 204
    assert (await world.manager("GET", "/quota-scope", scope)).json == {"used_bytes": 0, "limit_bytes": 9}
    assert (await world.manager("PATCH", "/quota-scope", {**scope, "options": {"limit_bytes": 8}})).status == 204
    assert [(event.type, event.body["limit_bytes"]) for event in world.events()] == [
        ("quota.scope.created", 9),
        ("quota.updated", 8),
    ]


async def test_a_limit_of_nothing_is_none(world: World) -> None:
    scope = {"volume": "disk", "qsid": SCOPE}
    unlimited = {"used_bytes": None, "limit_bytes": None}
    for method in ("POST", "PATCH"):
        answer = await world.manager(method, "/quota-scope", {**scope, "options": {"limit_bytes": 0}})
        assert answer.status == 204
        assert (await world.manager("GET", "/quota-scope", scope)).json == unlimited
    await world.make_folder()
    await world.upload("a", b"there is room")


async def test_a_scope_is_told_to_be_there(world: World) -> None:
    scope = {"volume": "disk", "qsid": SCOPE}
    await world.manager("POST", "/quota-scope", scope)
    again = await world.manager("POST", "/quota-scope", scope)
    assert (again.status, again.json["error_code"]) == (409, "quota-scope_create_already-exists")


# --- folders ----------------------------------------------------------------------------------------


async def test_a_folder_lies_where_backend_ai_puts_it(world: World) -> None:
    await world.make_folder()
    assert world.folder.is_dir()
    assert world.folder.stat().st_mode & 0o777 == 0o755


async def test_a_folder_may_have_another_mode(world: World) -> None:
    body = {"volume": "disk", "vfid": FOLDER, "mode": 0o775, "options": {"x": 1}}
    assert (await world.manager("POST", "/folder/create", body)).status == 204
    assert world.folder.stat().st_mode & 0o777 == 0o775


async def test_the_first_folder_of_an_owner_brings_the_owner_s_limit(world: World) -> None:
    def folder(vfid: str, most: object) -> dict[str, object]:
        return {"volume": "disk", "vfid": vfid, "options": {"initial_max_size_for_quota_scope": most, "x": 1}}

    assert (await world.manager("POST", "/folder/create", folder(FOLDER, 1000))).status == 204
    (created,) = world.events("quota.scope.created")
    assert created.body["limit_bytes"] == 1000
    assert (await world.manager("POST", "/folder/create", folder(OTHER, 5))).status == 204
    scope = {"volume": "disk", "qsid": SCOPE}
    assert (await world.manager("GET", "/quota-scope", scope)).json["limit_bytes"] == 1000
    for wrong in (-1, "much", 1 << 63):
        assert (await world.manager("POST", "/folder/create", folder(f"{SCOPE}/{'0' * 32}", wrong))).status == 400


@pytest.mark.parametrize("most", [None, 0])
async def test_without_a_limit_for_its_owner_there_is_none(world: World, most: int | None) -> None:
    options = {"initial_max_size_for_quota_scope": most}
    body = {"volume": "disk", "vfid": FOLDER, "options": options}
    assert (await world.manager("POST", "/folder/create", body)).status == 204
    scope = {"volume": "disk", "qsid": SCOPE}
    assert (await world.manager("GET", "/quota-scope", scope)).json["limit_bytes"] is None


async def test_a_folder_is_made_once(world: World) -> None:
    await world.make_folder()
    answer = await world.manager("POST", "/folder/create", {"volume": "disk", "vfid": FOLDER})
    assert (answer.status, answer.json["error_code"]) == (409, "vfolder_update_conflict")
    assert answer.headers["Content-Type"] == PROBLEM


async def test_a_folder_needs_an_owner(world: World) -> None:
    body = {"volume": "disk", "vfid": "aabb0005-0000-4000-8000-000000000005"}
    answer = await world.manager("POST", "/folder/create", body)
    assert answer.status == 400
    assert answer.json["msg"] == "quota_scope_id is required for vfid"


async def test_a_deleted_folder_is_gone_and_purged(world: World) -> None:
    await world.make_folder()
    await world.upload("a/b", b"123")
    answer = await world.manager("POST", "/folder/delete", {"volume": "disk", "vfid": FOLDER})
    assert answer.status == 202
    await world.settled(lambda: world.events("vfolder.purged"))
    assert not world.folder.exists()
    assert list((world.path / ".penstock" / "trash").iterdir()) == []
    (deleted,) = world.events("vfolder.deleted")
    assert str(deleted.origin.cause) == answer.json["bgtask_id"]


async def test_deleting_a_missing_folder_is_accepted_and_told_as_an_event(world: World) -> None:
    answer = await world.manager("POST", "/folder/delete", {"volume": "disk", "vfid": FOLDER})
    assert answer.status == 202
    await world.settled(lambda: world.events("vfolder.delete.failed"))


async def test_usage_counts_entries_and_space(world: World) -> None:
    await world.make_folder()
    body = {"volume": "disk", "vfid": FOLDER}
    assert (await world.manager("GET", "/folder/usage", body)).json == {"file_count": 0, "used_bytes": 0}
    await world.upload("d/a", b"x" * 5000)
    usage = (await world.manager("GET", "/folder/usage", body)).json
    assert usage["file_count"] == 2
    assert usage["used_bytes"] == 5000 + (world.folder / "d").stat().st_size
    space = (await world.manager("GET", "/folder/used-bytes", body)).json
    assert space["used_bytes"] >= 5000
    for route in ("/folder/usage", "/folder/used-bytes"):
        missing = await world.manager("GET", route, {"volume": "disk", "vfid": OTHER})
        assert missing.status == 404
        assert missing.json["type"].endswith("/probs/storage/vfolder/not-found")


async def test_folders_are_listed_page_by_page(world: World) -> None:
    folders = [f"{SCOPE}/{number:032x}" for number in range(5)]
    for folder in folders:
        await world.make_folder(folder)
    await world.upload("a", b"123", folder=folders[0])
    seen, cursor = [], ""
    while cursor is not None:
        page = (await world.manager("GET", f"/folders?limit=2&cursor={cursor}")).json
        seen += page["items"]
        cursor = page["next_cursor"]
        if cursor:
            cursor = cursor.replace("@", "%40")
    assert [item["vfid"] for item in seen] == folders
    assert seen[0]["usage"]["used_bytes"] == 3
    assert seen[0] | {"created": 0, "usage": 0} == {
        "volume": "disk",
        "vfid": folders[0],
        "owner": SCOPE,
        "status": "ready",
        "reason": None,
        "mode": 0o755,
        "created": 0,
        "usage": 0,
    }
    for query in (f"owner={SCOPE}", "volume=disk"):
        assert len((await world.manager("GET", f"/folders?{query}")).json["items"]) == 5
    twice, both = "limit=1&limit=2", f"volume=disk&owner={SCOPE}"
    for query in ("volume=nope", both, "limit=0", "limit=x", "owner=x", "x=1", twice):
        assert (await world.manager("GET", f"/folders?{query}")).status == 400


async def test_an_owner_over_the_limit_gets_no_folder(world: World) -> None:
    await world.make_folder()
    await world.upload("a", b"12345")
    scope = {"volume": "disk", "qsid": SCOPE, "options": {"limit_bytes": 5}}
    await world.manager("PATCH", "/quota-scope", scope)
    answer = await world.manager("POST", "/folder/create", {"volume": "disk", "vfid": OTHER})
    assert answer.status == 413
    assert answer.json["type"] == "urn:penstock:problem:quota-exceeded"
