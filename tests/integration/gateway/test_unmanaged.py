"""Folders outside of all volumes, and commands for volumes that are not here."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from harness.world import FOLDER, OTHER, SCOPE, World

from gateway.settings import GatewaySettings

pytestmark = pytest.mark.anyio

NOOP: dict[str, Any] = {"volume": "noop", "vfid": FOLDER}
LIMIT = {"options": {"limit_bytes": 1}}

#: What the manager may ask of its volume `noop`, and what it is answered.
ASKED: list[tuple[str, str, dict[str, Any], int, Any]] = [
    ("GET", "/volume/hwinfo", {}, 200, {"status": "healthy", "status_info": None, "metadata": {}}),
    ("GET", "/folder/fs-usage", {}, 200, {"capacity_bytes": 0, "used_bytes": 0}),
    ("POST", "/quota-scope", {"qsid": SCOPE}, 204, None),
    ("PATCH", "/quota-scope", {"qsid": SCOPE, **LIMIT}, 204, None),
    ("POST", "/folder/create", {"vfid": FOLDER}, 204, None),
    ("GET", "/folder/mount", {"vfid": FOLDER}, 200, {"path": "."}),
    ("GET", "/folder/usage", {"vfid": FOLDER}, 200, {"file_count": 0, "used_bytes": 0}),
    ("GET", "/folder/used-bytes", {"vfid": FOLDER}, 200, {"used_bytes": 0}),
    ("POST", "/folder/file/list", {"vfid": FOLDER, "relpath": "."}, 200, {"items": []}),
    ("POST", "/folder/file/rename", {"vfid": FOLDER, "relpath": "a", "new_name": "b"}, 204, None),
    ("POST", "/folder/file/move", {"vfid": FOLDER, "src_relpath": "a", "dst_relpath": "b"}, 204, None),
    ("POST", "/folder/file/delete", {"vfid": FOLDER, "relpaths": ["a"]}, 200, {"status": "ok"}),
    (
        "POST",
        "/folder/file/mkdir",
        {"vfid": FOLDER, "relpath": ["a", "b"]},
        200,
        {"results": {"success": [{"msg": None, "item": "a"}, {"msg": None, "item": "b"}], "failed": []}},
    ),
]
#: And what it is refused, with the type of the problem.
REFUSED: list[tuple[str, str, dict[str, Any], int, str]] = [
    ("GET", "/quota-scope", {"qsid": SCOPE}, 404, "quota/scope/not-found"),
    ("DELETE", "/quota-scope/quota", {"qsid": SCOPE}, 404, "quota/scope/not-found"),
    ("GET", "/volume/performance-metric", {}, 400, "volume/invalid"),
    ("POST", "/folder/file/fetch", {"vfid": FOLDER, "relpath": "a"}, 404, "file-not-found"),
    ("POST", "/folder/file/upload", {"vfid": FOLDER, "relpath": "a", "size": 1}, 400, "unsupported-operation"),
    ("GET", "/trash?volume=noop", {}, 400, "volume/invalid"),
]


@pytest.mark.parametrize(
    ("method", "route", "body", "status", "told"), ASKED, ids=[f"{m} {r}" for m, r, *_ in ASKED]
)
async def test_unmanaged_folders_are_empty_and_nothing_is_done_with_them(
    world: World, method: str, route: str, body: dict[str, Any], status: int, told: Any
) -> None:
    answer = await world.manager(method, route, {"volume": "noop", **body})
    assert (answer.status, answer.json if answer.body else None) == (status, told)
    assert world.events() == []
    wrong = await world.manager(method, route, {"volume": "noop", **body, "qsid": "x", "vfid": "x"})
    assert wrong.status == 400, "parameters are looked at all the same"


@pytest.mark.parametrize(("method", "route", "body", "status", "kind"), REFUSED, ids=[r for _, r, *_ in REFUSED])
async def test_what_cannot_be_had_of_them(
    world: World, method: str, route: str, body: dict[str, Any], status: int, kind: str
) -> None:
    answer = await world.manager(method, route, {"volume": "noop", **body} if "?" not in route else None)
    assert (answer.status, answer.json["type"]) == (status, f"https://api.backend.ai/probs/storage/{kind}")


async def test_they_are_on_no_list(world: World) -> None:
    assert [item["name"] for item in (await world.manager("GET", "/volumes")).json["volumes"]] == ["disk"]
    assert (await world.manager("GET", "/volumes/noop")).status == 400


async def test_a_volume_of_that_name_is_a_volume(world: World) -> None:
    world.gate.volumes["noop"] = world.volume
    await world.make_folder()
    await world.upload("a", b"1")
    listed = await world.manager("POST", "/folder/file/list", {**NOOP, "relpath": "."})
    assert [item["name"] for item in listed.json["items"]] == ["a"]


# --- what ends by an event ----------------------------------------------------------------------------


def ended(world: World, kind: str, task: str) -> Any:
    """The event that tells how it ended."""
    (event,) = world.events(kind)
    assert str(event.origin.cause) == task
    assert event.origin.actor == "manager"
    return event


async def test_an_unmanaged_folder_can_be_forgotten(world: World) -> None:
    """Deleting what is not there is told to the manager as a success."""
    answer = await world.manager("POST", "/folder/delete", NOOP)
    assert answer.status == 202
    event = ended(world, "vfolder.delete.failed", answer.json["bgtask_id"])
    assert (event.body["code"], event.body["subject"], event.volume) == ("not-found", event.key, "noop")


async def test_deleting_on_a_volume_that_is_not_here_fails_later(world: World) -> None:
    answer = await world.manager("POST", "/folder/delete", {"volume": "nope", "vfid": FOLDER})
    assert answer.status == 202
    event = ended(world, "vfolder.delete.failed", answer.json["bgtask_id"])
    assert (event.body["code"], event.body["detail"]) == ("invalid-request", "nope: no such volume")
    assert (await world.manager("POST", "/folder/delete", {"volume": "no/pe", "vfid": FOLDER})).status == 400


@pytest.mark.parametrize("volume", ["noop", "nope"])
async def test_deleting_files_there_fails_later(world: World, volume: str) -> None:
    body = {"volume": volume, "vfid": FOLDER, "relpaths": ["a"]}
    answer = await world.manager("POST", "/folder/file/delete-async", body)
    assert answer.status == 202
    assert ended(world, "files.delete.failed", answer.json["bgtask_id"]).body["code"] == "invalid-request"


@pytest.mark.parametrize(
    ("source", "target"), [("noop", "disk"), ("noop", None), ("disk", "noop"), ("nope", "disk"), ("disk", "nope")]
)
async def test_cloning_from_or_to_there_fails_later(world: World, source: str, target: str | None) -> None:
    body = {"src_volume": source, "src_vfid": FOLDER, "dst_volume": target, "dst_vfid": OTHER, "unheard_of": 1}
    answer = await world.manager("POST", "/folder/clone", body)
    assert answer.status == 200
    event = ended(world, "clone.failed", answer.json["bgtask_id"])
    assert event.body["source"] == f"{SCOPE}/aabb0001000040008000000000000001"
    assert event.body["subject"] == f"{SCOPE}/aabb0002000040008000000000000002"


# --- where they may be read from ------------------------------------------------------------------------


async def test_unmanaged_paths_have_to_be_absolute(tmp_path: Path) -> None:
    given = {"manager_secret": "s", "token_secret": "t" * 32}
    assert GatewaySettings(**given).unmanaged_paths == []
    assert GatewaySettings(**given, unmanaged_paths=["/srv/shared"]).unmanaged_paths == [Path("/srv/shared")]
    for path, wrong in (("srv/shared", "is not an absolute path"), ("/srv/../etc", "has `..`")):
        with pytest.raises(ValueError, match=wrong):
            GatewaySettings(**given, unmanaged_paths=[path])
