"""Why a folder cannot be used, told wherever it is asked for."""

from __future__ import annotations

from typing import Any

import pytest
from harness.world import FOLDER, OTHER, World

from domain.catalogue import FolderStatus, status_record
from domain.ids import VFolderId, VolumeName

pytestmark = pytest.mark.anyio

DISK = VolumeName("disk")
THERE = "project:99999999-9999-4999-8999-999999999999/aabb0001-0000-4000-8000-000000000001"


def told(world: World, folder: str, status: FolderStatus, reason: str) -> None:
    """Have the catalogue say so."""
    record = status_record(VFolderId.parse(folder), DISK)
    world.store.view.records[record] = {"status": status.value, "reason": reason, "task": "t"}


async def status(world: World, folder: str = FOLDER) -> Any:
    answer = await world.manager("GET", "/folder/status", {"volume": "disk", "vfid": folder})
    return answer.json if answer.status == 200 else answer.status


async def test_a_folder_goes_through_its_life(world: World) -> None:
    assert await status(world) == 404
    await world.make_folder()
    assert await status(world) == {"status": "ready", "reason": None, "task_id": None}
    answer = await world.manager("GET", "/folder/usage", {"volume": "disk", "vfid": OTHER})
    assert (answer.status, answer.json.get("status")) == (404, None), "nobody ever heard of it"


@pytest.mark.parametrize("kind", [FolderStatus.PERFORMING, FolderStatus.CLONING])
async def test_one_that_will_be_there_is_locked_everywhere(world: World, kind: FolderStatus) -> None:
    await world.make_folder()
    await world.upload("a.txt", b"hello")
    download, upload = await world.download_token("a.txt"), await world.upload_token("b", 3)
    await world.client("HEAD", f"/upload?token={upload}", headers={"Tus-Resumable": "1.0.0"})
    place = world.folder.rename(world.path / "elsewhere")
    told(world, FOLDER, kind, "it is on its way to somewhere")
    body = {"volume": "disk", "vfid": FOLDER}
    asked = {
        "GET /folder/usage": {},
        "GET /folder/used-bytes": {},
        "GET /folder/mount": {"subpath": "."},
        "POST /folder/file/list": {"relpath": "."},
        "POST /folder/file/mkdir": None,
        "POST /folder/file/rename": {"relpath": "a.txt", "new_name": "b.txt"},
        "POST /folder/file/move": {"src_relpath": "a.txt", "dst_relpath": "b.txt"},
        "POST /folder/file/fetch": {"relpath": "a.txt"},
        "POST /folder/file/copy": {"relpath": "a.txt", "dst_relpath": "b.txt"},
        "POST /folder/file/verify": {"relpath": "a.txt"},
        "POST /folder/file/delete": {"relpaths": ["a.txt"]},
    }
    for route, more in asked.items():
        if more is None:
            continue
        answer = await world.manager(*route.split(), {**body, **more})
        assert (answer.status, answer.json["status"], answer.json["reason"]) == (
            423,
            kind.value,
            "it is on its way to somewhere",
        ), route
        assert int(answer.headers["Retry-After"]) >= 1
    assert (await world.client("GET", f"/download?token={download}")).status == 423
    assert (await world.patch(upload, 0, b"abc")).status == 423
    assert (await status(world))["status"] == kind.value
    place.rename(world.folder)
    assert (await world.patch(upload, 0, b"abc")).status == 204, "and it goes on when it is there again"
    assert (world.folder / "b").read_bytes() == b"abc"


@pytest.mark.parametrize("kind", [FolderStatus.TRASHED, FolderStatus.DELETING, FolderStatus.ERROR])
async def test_one_that_is_gone_says_why(world: World, kind: FolderStatus) -> None:
    told(world, FOLDER, kind, "for a reason")
    answer = await world.manager("GET", "/folder/usage", {"volume": "disk", "vfid": FOLDER})
    assert answer.status == 404
    assert (answer.json["status"], answer.json["reason"]) == (kind.value, "for a reason")
    assert answer.json["title"] == "VFolder Not Found"


async def test_what_an_inspection_misses_is_an_error_until_it_is_there_again(world: World) -> None:
    await world.make_folder()
    place = world.folder.rename(world.path / "elsewhere")
    begun = await world.manager("POST", "/tasks", {"volume": "disk", "kind": "volume.inspect"})
    assert begun.status == 202
    await world.settled(lambda: world.events("task.completed"))
    assert len(world.events("vfolder.missing")) == 1
    assert (await status(world))["status"] == "error"
    (item,) = (await world.manager("GET", "/folders")).json["items"]
    assert (item["status"], item["reason"]) == ("error", "it is not on its volume")
    place.rename(world.folder)
    assert (await status(world))["status"] == "ready"


async def test_a_folder_gets_another_owner_at_once(world: World) -> None:
    await world.make_folder()
    await world.upload("a.txt", b"hello")
    answer = await world.manager(
        "POST", "/folder/migrate", {"src_volume": "disk", "src_vfid": FOLDER, "dst_vfid": THERE}
    )
    assert (answer.status, answer.json) == (200, {"task_id": None})
    assert await status(world) == 404
    assert (await status(world, THERE))["status"] == "ready"
    (item,) = (await world.manager("GET", "/folders")).json["items"]
    assert (item["vfid"], item["owner"]) == (str(VFolderId.parse(THERE)), THERE.partition("/")[0])
    place = world.path / "99999999999949998999999999999999/aa/bb/0001000040008000000000000001"
    assert (place / "a.txt").read_bytes() == b"hello"
    assert not world.folder.exists()
    assert not list((world.path / ".penstock/trash").iterdir())
    assert [event.type for event in world.events()][-2:] == ["quota.scope.created", "vfolder.migrated"]


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"src_vfid": OTHER, "dst_vfid": THERE}, 404),
        ({"src_vfid": FOLDER, "dst_vfid": FOLDER}, 400),
        ({"src_vfid": FOLDER, "dst_vfid": OTHER}, 409),
        ({"src_vfid": FOLDER, "dst_vfid": "aabb0003-0000-4000-8000-000000000003"}, 400),
        ({"src_vfid": FOLDER, "dst_vfid": THERE, "dst_volume": "nope"}, 400),
    ],
)
async def test_what_cannot_go_stays(world: World, body: dict[str, str], code: int) -> None:
    await world.make_folder()
    await world.upload("a.txt", b"hello")
    if code == 409:
        await world.make_folder(OTHER)
    answer = await world.manager("POST", "/folder/migrate", {"src_volume": "disk", **body})
    assert answer.status == code, answer.body
    assert (world.folder / "a.txt").read_bytes() == b"hello"
    assert not list((world.path / ".penstock/trash").iterdir())


async def test_it_has_to_fit_into_the_limit_of_its_new_owner(world: World) -> None:
    await world.make_folder()
    await world.upload("a.txt", bytes(1000))
    scope = THERE.partition("/")[0]
    limit = {"volume": "disk", "qsid": scope, "options": {"limit_bytes": 999}}
    await world.manager("POST", "/quota-scope", limit)
    body = {"src_volume": "disk", "src_vfid": FOLDER, "dst_vfid": THERE}
    answer = await world.manager("POST", "/folder/migrate", body)
    assert answer.status == 413, answer.body
    assert (world.folder / "a.txt").exists()
    await world.manager("PATCH", "/quota-scope", {**limit, "options": {"limit_bytes": 1000}})
    assert (await world.manager("POST", "/folder/migrate", body)).status == 200
