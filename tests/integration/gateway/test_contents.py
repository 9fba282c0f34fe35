"""Copies and checks that bytes do not leave the storage for."""

from __future__ import annotations

import errno
import itertools
import os
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from anyio import to_thread
from harness.uploads import let_pass
from harness.world import FOLDER, OTHER, Answer, World, digest

from backends.mounted import appending
from backends.mounted.helping import extents
from backends.mounted.read_handle import MountedReadHandle
from domain.errors import BusBrokenError

pytestmark = [pytest.mark.anyio, pytest.mark.folder]


async def copy(world: World, source: str, target: str, **more: str) -> Answer:
    body = {"volume": "disk", "vfid": FOLDER, "relpath": source, "dst_relpath": target, **more}
    return await world.manager("POST", "/folder/file/copy", body)


async def verify(world: World, path: str, **more: object) -> Answer:
    body = {"volume": "disk", "vfid": FOLDER, "relpath": path, **more}
    return await world.manager("POST", "/folder/file/verify", body)


@pytest.fixture(params=["kernel", "by hand"])
def by(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "by hand":

        def refused(*_: object, **__: object) -> int:
            raise OSError(38, "no such call")

        monkeypatch.setattr(extents.os, "copy_file_range", refused)


@pytest.mark.usefixtures("by")
async def test_a_file_is_copied(world: World) -> None:
    data = os.urandom(700_000)
    await world.upload("a", data)
    answer = await copy(world, "a", "d/b")
    assert answer.json == {"path": "d/b", "size": len(data), "sha256": digest(data)}
    assert (world.folder / "d" / "b").read_bytes() == data
    assert (await copy(world, "a", "d")).json["path"] == "d/a"
    event = world.events("file.uploaded")[-1]
    assert (event.body["path"], event.body["sha256"]) == ("d/a", digest(data))
    await world.make_folder(OTHER)
    assert (await copy(world, "a", "x", dst_vfid=OTHER)).status == 200
    assert sorted(path.name for path in world.folder.iterdir()) == ["a", "d"], "nothing unfinished stays"


async def test_a_file_whose_bytes_cannot_be_shared_now_is_copied(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """ZFS shares no bytes that are not on their disk yet."""

    def not_now(*_: object) -> int:
        raise OSError(errno.EAGAIN, "try again")

    monkeypatch.setattr(extents.fcntl, "ioctl", not_now)
    await world.upload("a", b"1")
    assert (await copy(world, "a", "b")).status == 200
    assert (world.folder / "b").read_bytes() == b"1"


def writing(
    monkeypatch: pytest.MonkeyPatch, changes: Iterator[Callable[[], object]], *, shares: bool = False
) -> None:
    """Have something be done to the source each time bytes of it have been copied, or shared all at once."""

    def change() -> None:
        next(changes, lambda: None)()

    def copied(source: int, target: int, from_offset: int, to_offset: int, count: int) -> int:
        done = copy_range(source, target, from_offset, to_offset, min(count, 100_000))
        change()
        return done

    def shared(source: int, target: int) -> bool:
        if shares:
            os.write(target, os.pread(source, 1 << 20, 0))
            change()
        return shares

    copy_range = extents.copy_range
    monkeypatch.setattr(appending, "copy_range", copied)
    monkeypatch.setattr(appending, "share_all", shared)


OLD, NEW = b"o" * 300_000, b"n" * 300_000


@pytest.mark.parametrize("new", [NEW, NEW[:150_000], NEW * 2], ids=["overwritten", "cut", "lengthened"])
async def test_a_file_that_is_written_to_while_it_is_copied_is_copied_anew(
    world: World, monkeypatch: pytest.MonkeyPatch, new: bytes
) -> None:
    await world.upload("a", OLD)
    writing(monkeypatch, iter([lambda: (world.folder / "a").write_bytes(new)]))
    answer = await copy(world, "a", "b")
    assert (answer.status, answer.json["size"]) == (200, len(new))
    assert (world.folder / "b").read_bytes() == new
    assert sorted(path.name for path in world.folder.iterdir()) == ["a", "b"]


async def test_a_file_that_is_written_to_all_the_time_is_not_copied(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    await world.upload("a", OLD)
    await world.upload("b", b"stays")
    with monkeypatch.context() as patched:
        writing(patched, itertools.repeat(lambda: (world.folder / "a").write_bytes(os.urandom(300_000))))
        answer = await copy(world, "a", "b")
    assert (answer.status, answer.json["type"]) == (409, "urn:penstock:problem:conflict")
    assert b"changed while it was copied" in answer.body
    assert (world.folder / "b").read_bytes() == b"stays"
    assert sorted(path.name for path in world.folder.iterdir()) == ["a", "b"], "nothing unfinished stays"
    assert (await copy(world, "a", "b")).status == 200


async def test_bytes_that_are_shared_are_of_one_moment(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    await world.upload("a", OLD)
    writing(monkeypatch, itertools.repeat(lambda: (world.folder / "a").write_bytes(NEW)), shares=True)
    answer = await copy(world, "a", "b")
    assert answer.status == 200
    assert (world.folder / "b").read_bytes() == OLD
    assert answer.json["sha256"] in ("", digest(OLD))


async def test_copies_of_nothing_and_to_nowhere(world: World) -> None:
    await world.upload("a", b"1")
    (world.folder / "d").mkdir()
    for source, target in (("nope", "b"), ("d", "b"), ("a", "../b"), ("a", ".upload/x"), ("a", "a/x")):
        answer = await copy(world, source, target)
        assert 400 <= answer.status < 500, (source, target)
    assert (await copy(world, "a", "b", dst_vfid=OTHER)).status == 404
    assert sorted(path.name for path in world.folder.iterdir()) == ["a", "d"]


async def test_a_copy_that_could_not_be_told_of_is_told_of_later(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    await world.upload("a", OLD)
    records = type(world.bus.records)
    recorded = records.replace

    async def away(mine: Any, *args: Any, **more: Any) -> Any:
        if more.get("event") is not None:
            monkeypatch.undo()
            raise BusBrokenError("away")
        return await recorded(mine, *args, **more)

    monkeypatch.setattr(records, "replace", away)
    assert (await copy(world, "a", "b")).status == 503
    let_pass(monkeypatch, 60)
    await world.gate.uploads.sweep(10)
    assert (world.folder / "b").read_bytes() == OLD
    assert [event.body["path"] for event in world.events("file.uploaded")] == ["a", "b"]


async def test_a_copy_counts_against_the_quota(world: World) -> None:
    await world.upload("a", bytes(600))
    scope = {"volume": "disk", "qsid": FOLDER.partition("/")[0], "options": {"limit_bytes": 1000}}
    assert (await world.manager("PATCH", "/quota-scope", scope)).status == 204
    assert (await copy(world, "a", "b")).status == 413
    assert [path.name for path in world.folder.iterdir()] == ["a"]


async def test_a_flipped_bit_is_found(world: World) -> None:
    data = b"0123456789"
    await world.upload("a", data)
    assert (await verify(world, "a")).json == {
        "integrity": "intact",
        "sha256": digest(data),
        "kept_sha256": digest(data),
    }
    known = os.stat(world.folder / "a")
    with (world.folder / "a").open("r+b") as file:
        file.write(b"1")
    os.utime(world.folder / "a", ns=(known.st_atime_ns, known.st_mtime_ns))
    found = (await verify(world, "a")).json
    assert (found["integrity"], found["kept_sha256"]) == ("damaged", digest(data))
    (event,) = world.events("file.damaged")
    assert (event.body["path"], event.body["kept_sha256"]) == ("a", digest(data))
    # Somebody who changes a file properly damages nothing.
    (world.folder / "a").write_bytes(b"new")
    assert (await verify(world, "a")).json["integrity"] == "unknown"
    assert (await verify(world, "a", keep=True)).json["integrity"] == "unknown"
    assert (await verify(world, "a")).json["integrity"] == "intact"
    assert (await verify(world, "nope")).status == 400


async def test_no_digest_is_kept_of_a_file_that_is_written_to_meanwhile(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = world.folder / "a"
    path.write_bytes(b"old!" * (2 << 20))
    read = MountedReadHandle.read

    async def read_and_write(handle: MountedReadHandle, offset: int, count: int) -> bytes:
        data = await read(handle, offset, count)
        if offset == 0:
            await to_thread.run_sync(path.write_bytes, b"new!" * (2 << 20))
        return data

    with monkeypatch.context() as patched:
        patched.setattr(MountedReadHandle, "read", read_and_write)
        assert (await verify(world, "a", keep=True)).json["integrity"] == "changing"
    assert (await verify(world, "a")).json == {
        "integrity": "unknown",
        "sha256": digest(path.read_bytes()),
        "kept_sha256": None,
    }


async def test_a_digest_is_kept_of_what_was_read_and_of_nothing_that_came_then(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = world.folder / "a"
    path.write_bytes(b"old!")
    is_unchanged = MountedReadHandle.is_unchanged

    async def is_unchanged_so_far(handle: MountedReadHandle) -> bool:
        found = await is_unchanged(handle)
        await to_thread.run_sync(path.write_bytes, b"new!")
        return found

    with monkeypatch.context() as patched:
        patched.setattr(MountedReadHandle, "is_unchanged", is_unchanged_so_far)
        assert (await verify(world, "a", keep=True)).json["integrity"] == "unknown"
    assert (await verify(world, "a")).json["integrity"] == "unknown"
    assert not world.events("file.damaged")
