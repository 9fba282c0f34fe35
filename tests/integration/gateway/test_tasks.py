"""Clones and deletions in the background, as the manager sees them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import anyio
import pytest
from harness.world import FOLDER, MANAGER_SECRET, OTHER, SCOPE, World

pytestmark = pytest.mark.anyio

#: Where OTHER lies below the volume's root.
OTHER_PLACE = "11111111111141118111111111111111/aa/bb/0002000040008000000000000002"
ANOTHER_SCOPE = "project:99999999-9999-4999-8999-999999999999/aabb0002-0000-4000-8000-000000000002"


async def ended(world: World, task: str) -> Any:
    with anyio.fail_after(10):
        while True:
            answer = await world.manager("GET", f"/tasks/{task}")
            if answer.status == 200 and answer.json["state"] != "running":
                return answer.json
            await anyio.sleep(0.02)


async def clone(world: World, **more: Any) -> str:
    body = {"src_volume": "disk", "src_vfid": FOLDER, "dst_volume": None, "dst_vfid": OTHER, **more}
    answer = await world.manager("POST", "/folder/clone", body)
    assert answer.status == 200, answer.body
    return str(answer.json["bgtask_id"])


async def filled(world: World) -> None:
    await world.make_folder()
    await world.upload("a.txt", b"hello")
    await world.manager("POST", "/folder/file/mkdir", {"volume": "disk", "vfid": FOLDER, "relpath": "d/e"})


async def test_a_folder_is_cloned(world: World) -> None:
    await filled(world)
    task = await clone(world, verify=True)
    told = await ended(world, task)
    assert (told["state"], told["kind"], told["items"], told["bytes"]) == ("done", "clone", 3, 5)
    assert (told["vfid"].replace("-", ""), told["source_volume"]) == (OTHER.replace("-", ""), "disk")
    assert (world.path / OTHER_PLACE / "a.txt").read_bytes() == b"hello"
    # That there is something to copy is told as it begins: it counts against limits.
    told_of = [event.type for event in world.events()][-3:]
    assert told_of == ["clone.accepted", "task.progressed", "clone.completed"]
    listed = (await world.manager("GET", "/folders")).json["items"]
    assert len(listed) == 2
    (item,) = (await world.manager("GET", "/tasks")).json["items"]
    assert item == told
    assert (await world.manager("DELETE", f"/tasks/{task}")).status == 409


async def test_a_clone_opens_the_scope_it_needs(world: World) -> None:
    await filled(world)
    assert (await ended(world, await clone(world, dst_vfid=ANOTHER_SCOPE)))["state"] == "done"
    assert world.events("quota.scope.created")[-1].body["scope"].startswith("project:")


@pytest.mark.parametrize(
    ("more", "code"),
    [
        ({"src_vfid": f"{SCOPE}/aabb0009-0000-4000-8000-000000000009"}, "not-found"),
        ({"dst_vfid": FOLDER}, "invalid-request"),
        ({"dst_vfid": "aabb0002-0000-4000-8000-000000000002"}, "invalid-request"),
    ],
)
async def test_what_cannot_be_cloned_is_told_by_an_event(world: World, more: dict[str, str], code: str) -> None:
    await filled(world)
    await clone(world, **more)
    with anyio.fail_after(10):
        while not world.events("clone.failed"):
            await anyio.sleep(0.02)
    (event,) = world.events("clone.failed")
    assert event.body["code"] == code
    assert not list((world.path / ".penstock/builds").iterdir())


async def test_a_clone_onto_another_folder_leaves_it_alone(world: World) -> None:
    await filled(world)
    await world.make_folder(OTHER)
    await world.upload("mine", b"x", OTHER)
    await clone(world)
    with anyio.fail_after(10):
        while not world.events("clone.failed"):
            await anyio.sleep(0.02)
    assert [path.name for path in (world.path / OTHER_PLACE).iterdir()] == ["mine"]


async def test_a_clone_that_passes_the_limit_is_not_begun(world: World) -> None:
    await filled(world)
    target = ANOTHER_SCOPE.partition("/")[0]
    await world.manager("POST", "/quota-scope", {"volume": "disk", "qsid": target, "options": {"limit_bytes": 4}})
    told = await ended(world, await clone(world, dst_vfid=ANOTHER_SCOPE))
    assert (told["state"], told["message"]) == ("failed", f"{target} would use 5 of 4 bytes")
    assert not list((world.path / ".penstock/builds").iterdir())


async def test_files_are_deleted_in_the_background(world: World) -> None:
    await filled(world)
    body = {"volume": "disk", "vfid": FOLDER, "relpaths": ["d", "nowhere"], "recursive": True}
    answer = await world.manager("POST", "/folder/file/delete-async", body)
    assert answer.status == 202
    told = await ended(world, answer.json["bgtask_id"])
    assert (told["state"], told["kind"]) == ("done", "files.delete")
    assert [path.name for path in world.folder.iterdir()] == ["a.txt"]
    (event,) = world.events("file.deleted")
    assert event.body["paths"] == ["d"]
    (purged,) = world.events("files.purged")
    assert purged.body["trash"] == answer.json["bgtask_id"]
    assert not world.events("vfolder.purged")


@pytest.mark.parametrize("paths", [["../x"], [".upload/x"], ["/x"]])
async def test_what_cannot_be_deleted_is_refused(world: World, paths: list[str]) -> None:
    await filled(world)
    body = {"volume": "disk", "vfid": FOLDER, "relpaths": paths, "recursive": True}
    answer = await world.manager("POST", "/folder/file/delete-async", body)
    assert answer.status == 400
    assert (world.folder / "d/e").is_dir()


async def test_a_deleted_folder_is_a_task(world: World) -> None:
    await filled(world)
    answer = await world.manager("POST", "/folder/delete", {"volume": "disk", "vfid": FOLDER})
    told = await ended(world, answer.json["bgtask_id"])
    assert (told["state"], told["kind"]) == ("done", "vfolder.delete")
    assert (await world.manager("DELETE", f"/tasks/{told['task_id']}")).status == 409


async def test_tasks_nobody_knows(world: World) -> None:
    for name in ("nonsense", "00000000-0000-4000-8000-000000000000"):
        for method in ("GET", "DELETE"):
            assert (await world.manager(method, f"/tasks/{name}")).status == 404
    assert (await world.manager("GET", "/tasks?volume=nope")).status == 400
    assert (await world.manager("GET", "/tasks?volume=disk")).json == {"items": [], "next_cursor": None}


async def test_pages_of_tasks(world: World) -> None:
    await filled(world)
    tasks = []
    for number in range(5):
        path = f"d{number}"
        await world.manager("POST", "/folder/file/mkdir", {"volume": "disk", "vfid": FOLDER, "relpath": path})
        body = {"volume": "disk", "vfid": FOLDER, "relpaths": [path], "recursive": True}
        task = (await world.manager("POST", "/folder/file/delete-async", body)).json["bgtask_id"]
        tasks.append(task)
        await ended(world, task)
    found, cursor = [], ""
    while cursor is not None:
        page = (await world.manager("GET", f"/tasks?limit=2&cursor={cursor}")).json
        found += [item["task_id"] for item in page["items"]]
        cursor = page["next_cursor"]
    assert found == sorted(tasks)


async def test_the_volume_is_left_clean(world: World, tmp_path: Path) -> None:
    await filled(world)
    await ended(world, await clone(world))
    assert not list((tmp_path / ".penstock/builds").iterdir())


async def stream(world: World, task: str) -> list[tuple[str, Any]]:
    """All that is told of a task until it is over."""
    headers = {"X-BackendAI-Storage-Auth-Token": MANAGER_SECRET}
    url = f"http://127.0.0.1:{world.manager_port}/tasks/{task}/events"
    with anyio.fail_after(20):
        async with world.session.get(url, headers=headers) as answer:
            assert answer.status == 200, await answer.text()
            text = await answer.text()
    found = [dict(line.split(": ", 1) for line in block.split("\n")) for block in text.strip().split("\n\n")]
    return [(block["event"], json.loads(block["data"])) for block in found if "event" in block]


async def test_a_task_can_be_followed_to_its_end(world: World) -> None:
    await filled(world)
    task = await clone(world)
    await world.settled(lambda: world.events("clone.accepted"))
    told = await stream(world, task)
    assert [kind for kind, _ in told][-1] == "task", "the last word is how it ended"
    assert told[-1][1]["state"] == "done"
    assert told[-1][1] == (await world.manager("GET", f"/tasks/{task}")).json
    again = await stream(world, task)
    assert [(kind, state["state"]) for kind, state in again] == [("task", "done")], (
        "it ends at once when it is over"
    )


async def test_what_happens_with_a_task_comes_as_it_happens(world: World) -> None:
    """The folder it is about has a scope of its own; other tasks do not show."""
    await filled(world)
    other = await clone(world)
    body = {"volume": "disk", "kind": "usage.scan"}
    task = (await world.manager("POST", "/tasks", body)).json["task_id"]
    told = await stream(world, task)
    assert other not in json.dumps(told)
    assert told[-1][1]["kind"] == "usage.scan"
    events = [kind for kind, _ in told if kind != "task"]
    assert events in ([], ["task.completed"]), "depending on who was first"


async def test_a_task_nobody_knows_is_not_followed(world: World) -> None:
    for name in ("nonsense", "01a1ee56-5e00-7000-8000-000000000000"):
        assert (await world.manager("GET", f"/tasks/{name}/events")).status == 404
