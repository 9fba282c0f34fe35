"""What workers do with folders and volumes on request."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any, cast
from uuid import UUID, uuid4

import anyio
import pytest
from harness.tus import LARGE
from harness.world import FOLDER, OTHER, World, digest

from actors.jobs.contract import WorkJob
from actors.jobs.doing import Doing, Found
from actors.jobs.work import KINDS, do_work
from backends.contract import ReadHandle
from backends.mounted.files import MountedFiles
from domain.catalogue import folder_member, folder_record, volume_index
from domain.errors import BackendFaultError, BackendUnavailableError
from domain.ids import VFolderId, VolumeName
from domain.paths import RelativePath
from domain.tasks import TaskKind

pytestmark = pytest.mark.anyio

DISK = VolumeName("disk")
#: Long ago for whoever looks for what nobody comes back to.
OLD = time.time() - 30 * 24 * 3600


async def work(world: World, kind: str, folder: str | None = None, **options: Any) -> Any:
    """Have something done, and wait for its end."""
    body = {"volume": "disk", "kind": kind, "vfid": folder, "options": options}
    answer = await world.manager("POST", "/tasks", body)
    assert answer.status == 202, answer.body
    assert answer.headers["Location"] == f"/tasks/{answer.json['task_id']}"
    with anyio.fail_after(20):
        while True:
            told = await world.manager("GET", f"/tasks/{answer.json['task_id']}")
            if told.status == 200 and told.json["state"] != "running":
                return told.json
            await anyio.sleep(0.02)


async def filled(world: World) -> None:
    for folder in (FOLDER, OTHER):
        await world.make_folder(folder)
        await world.upload("a.txt", b"hello", folder)
        await world.upload("d/b.txt", b"world!", folder)


async def test_a_volume_is_counted(world: World) -> None:
    await filled(world)
    (world.folder / "behind.bin").write_bytes(bytes(1000))
    told = await work(world, "usage.scan")
    assert (told["state"], told["kind"], told["vfid"]) == ("done", "usage.scan", None)
    assert told["items"] == 4 + 3
    assert told["bytes"] == 11 + 11 + 1000
    result = told["result"]
    assert (result["folders"], result["files"], result["file_bytes"]) == (2, 5, 1022)
    listed = {item["vfid"]: item["usage"] for item in (await world.manager("GET", "/folders")).json["items"]}
    assert listed[str(VFolderId.parse(FOLDER))]["used_bytes"] == 1011
    assert [event.body["file_bytes"] for event in world.events("usage.measured")] == [1011, 11]
    assert not list((world.path / ".penstock/work").iterdir())


async def test_one_folder_is_counted(world: World) -> None:
    await filled(world)
    told = await work(world, "usage.scan", FOLDER, full=True)
    assert (told["items"], told["bytes"]) == (3, 11)
    assert told["vfid"] == str(VFolderId.parse(FOLDER))


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"kind": "usage.scan", "options": {"fast": True}}, "options.fast"),
        ({"kind": "clone"}, "kind"),
        ({"kind": "nothing"}, "kind"),
        ({"kind": "snapshots.prune"}, "options.keep_last"),
        ({"kind": "volume.inspect", "vfid": FOLDER}, "vfid"),
    ],
)
async def test_what_cannot_be_begun_is_refused(world: World, body: dict[str, Any], field: str) -> None:
    await filled(world)
    answer = await world.manager("POST", "/tasks", {"volume": "disk", **body})
    assert answer.status == 400, answer.body
    assert field in answer.body.decode()
    assert not list((world.path / ".penstock/work").iterdir())
    assert (await world.manager("GET", "/tasks")).json["items"] == []


async def test_a_folder_that_is_not_there_is_refused(world: World) -> None:
    answer = await world.manager("POST", "/tasks", {"volume": "disk", "kind": "usage.scan", "vfid": FOLDER})
    assert answer.status == 404, answer.body


async def test_what_a_backend_cannot_do_fails_and_says_so(world: World) -> None:
    await filled(world)
    told = await work(world, "snapshots.prune", keep_last=2)
    assert told["state"] == "failed"
    assert "no snapshots" in told["message"]
    (event,) = world.events("task.abandoned")
    assert event.body["code"] == "unsupported"


async def test_damage_is_found(world: World) -> None:
    await filled(world)
    path = world.folder / "a.txt"
    times = path.stat()
    path.write_bytes(b"hellO")
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    told = await work(world, "files.scrub")
    assert told["state"] == "done"
    assert (told["result"]["intact"], told["result"]["damaged"]) == (3, 1)
    (row,) = told["result"]["damaged_files"]
    assert (row["path"], row["kept_sha256"], row["found_sha256"]) == ("a.txt", digest(b"hello"), digest(b"hellO"))
    assert len(world.events("file.damaged")) == 1
    assert told["result"]["unreadable_files"] == []


async def test_a_file_that_cannot_be_read_ends_no_scrub(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    async def open_read(files: MountedFiles, path: RelativePath) -> ReadHandle:
        if path.name == "a.txt":
            raise BackendFaultError("the storage failed: EIO")
        return await real(files, path)

    await filled(world)
    real = MountedFiles.open_read
    monkeypatch.setattr(MountedFiles, "open_read", open_read)
    told = await work(world, "files.scrub")
    assert (told["state"], told["items"]) == ("done", 4)
    assert (told["result"]["intact"], told["result"]["unreadable"]) == (2, 2)
    assert [row["unreadable"] for row in told["result"]["unreadable_files"]] == ["the storage failed: EIO"] * 2
    assert told["result"]["damaged_files"] == []


async def orphans(world: World) -> None:
    """One of each kind, all of them old."""
    await filled(world)
    # A folder on the volume the catalogue does not know, and the reverse.
    stray = world.path / "11111111111141118111111111111111/aa/bb/0009000040008000000000000009"
    stray.mkdir(parents=True)
    member = folder_member(VFolderId.parse(FOLDER.replace("aabb0001", "aabb0008")), DISK)
    world.store.view.indexes[volume_index(DISK)].add(member)
    record = folder_record(VFolderId.parse(member.rpartition("@")[0]), DISK)
    world.store.view.records[record] = {"created": "1"}
    # Bytes of an upload without a record, and the reverse.
    session = await world.upload_token("x.bin", LARGE)
    await world.client("HEAD", f"/upload?token={session}", headers={"Tus-Resumable": "1.0.0"})
    for path in (world.folder / ".upload").iterdir():
        path.unlink()
    await world.upload_token("y.bin", 10)  # it has none before all of it comes
    bytes_of_nobody = world.folder / ".upload" / ("0" * 32)
    bytes_of_nobody.write_bytes(b"12345")
    # In the area, what no note speaks of.
    area = world.path / ".penstock"
    places = [area / "trash" / str(uuid4()), area / "builds" / f"{uuid4()}.0", area / "lost" / "something"]
    for place in places:
        place.mkdir()
        (place / "file").write_bytes(b"1")
    for place in (bytes_of_nobody, *places):
        os.utime(place, (OLD, OLD))


def differences(told: Any) -> list[str]:
    return sorted(row["difference"] for row in told["result"]["findings"])


EXPECTED = [
    "bytes of upload 00000000000000000000000000000000, of which there is no record",
    "in the catalogue, but not on the volume",
    "left by an owner that was shut out",
    "nothing says what it was",
    "nothing says what it was",
    "on the volume, but not in the catalogue",
]


def tree(path: Path) -> set[str]:
    return {str(found.relative_to(path)) for found in path.rglob("*") if "/usage" not in str(found)}


async def test_orphans_are_told_and_left_alone(world: World) -> None:
    await orphans(world)
    before = tree(world.path)
    told = await work(world, "volume.inspect")
    assert differences(told) == EXPECTED, "the record is too young to be sure of"
    assert {row["action"] for row in told["result"]["findings"]} == {"none"}
    after = tree(world.path)
    assert before <= after
    assert {name.split("/")[1] for name in after - before} <= {"done"}, "traces of the task itself"


async def test_orphans_are_put_right_on_request(world: World) -> None:
    await orphans(world)
    told = await work(world, "volume.inspect", repair=True, age_seconds=0)
    found = differences(told)
    assert len(found) == len(EXPECTED) + 1
    assert any("of which there are no bytes" in text for text in found)
    assert "none" not in {row["action"] for row in told["result"]["findings"]}
    area = world.path / ".penstock"
    with anyio.fail_after(10):
        while any(list((area / place).iterdir()) for place in ("trash", "purging", "builds", "lost")):
            await anyio.sleep(0.05)
    items = (await world.manager("GET", "/folders")).json["items"]
    assert {item["vfid"].rpartition("/")[2][:8] for item in items} == {"aabb0001", "aabb0002", "aabb0009"}
    assert not (world.folder / ".upload").exists()
    with anyio.fail_after(30):  # the gateway lets go of an upload that nobody writes to
        while differences(await work(world, "volume.inspect", age_seconds=0)):
            await world.gate.uploads.sweep(10)
            await anyio.sleep(0.1)
    running = [task for task in (await world.manager("GET", "/tasks")).json["items"] if task["state"] == "running"]
    assert running == []


async def test_a_defect_ends_a_task_and_tells_nobody_its_details(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(doing: Doing) -> Found:
        raise RuntimeError(f"a secret about {doing.work.id}")

    monkeypatch.setitem(cast("dict[TaskKind, Any]", KINDS), TaskKind.SCAN, broken)
    await filled(world)
    told = await work(world, "usage.scan")
    assert told["state"] == "failed"
    assert "internal error" in told["message"]
    assert "secret" not in str(told)
    assert not list((world.path / ".penstock/work").iterdir())


async def test_work_goes_on_where_it_was(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first worker dies when it has counted one of two folders and said so on the volume."""
    await filled(world)
    counted: list[str] = []

    real = KINDS[TaskKind.SCAN]

    async def dying(doing: Doing) -> Found:
        async for folder in doing.folders():
            counted.append(str(folder))
            if len(counted) == 2:
                raise BackendUnavailableError("the worker is gone")
            doing.tally["folders"] += 1
        raise AssertionError("it has not come here")

    monkeypatch.setitem(cast("dict[TaskKind, Any]", KINDS), TaskKind.SCAN, dying)
    body = {"volume": "disk", "kind": "usage.scan"}
    task = (await world.manager("POST", "/tasks", body)).json["task_id"]
    await world.settled(lambda: len(counted) == 2)
    monkeypatch.setitem(cast("dict[TaskKind, Any]", KINDS), TaskKind.SCAN, real)
    assert (world.path / f".penstock/work/{task}.state").exists()
    job = WorkJob(volume=DISK, work=UUID(task))
    await do_work(job, {DISK: world.volume}, world.bus)
    await world.settled(lambda: world.events("task.completed"))
    (event,) = world.events("task.completed")
    assert event.body["result"]["folders"] == 2
    assert [event.body["folder"] for event in world.events("usage.measured")] == counted[1:]
