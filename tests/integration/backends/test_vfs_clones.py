"""Folders copied from place to place on a real file system."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from harness.trees import SOURCE, TARGET, attributes, begin, copy_all, op, state, to_its_end

from backends.mounted import builds, tree_copy
from backends.mounted.mark import MARK
from backends.vfs.volume import VfsVolume
from domain.errors import (
    ConflictError,
    FencedError,
    NotFoundError,
    PenstockError,
    StorageFullError,
)
from domain.paths import RelativePath

pytestmark = pytest.mark.anyio


async def test_everything_is_kept(volume: VfsVolume, source: Path, tmp_path: Path) -> None:
    plan = await begin(volume, verify=True)
    assert await volume.builds() == [plan]
    target = tmp_path.joinpath(*TARGET.directory)
    items, size, changed = await copy_all(volume, plan)
    assert not target.exists(), "nothing is seen before all of it is there"
    await volume.finish_build(op(), plan.id, "a", TARGET)
    assert state(target) == state(source)
    assert attributes(target) == attributes(source)
    assert (target / "한글.txt").stat().st_ino == (target / "hard").stat().st_ino
    assert (target / "sparse").stat().st_blocks < 200, "holes stay holes"
    assert not (target / ".upload").exists()
    assert not (target / "fifo").exists()
    assert (items, size, changed) == (10, 3_000_005 + (20 << 20) + 3, ())
    assert await volume.builds() == []
    assert not list((tmp_path / ".penstock/builds").iterdir())


async def test_finishing_again_changes_nothing(volume: VfsVolume, source: Path) -> None:
    plan = await begin(volume)
    await copy_all(volume, plan)
    finish = op()
    for _ in range(3):
        await volume.finish_build(finish, plan.id, "a", TARGET)
    assert os.getxattr(source, MARK) != finish.id.bytes
    with pytest.raises(ConflictError):
        await volume.finish_build(op(), plan.id, "a", TARGET)
    with pytest.raises(ConflictError):
        await begin(volume)


async def test_an_attempt_goes_on_where_the_last_one_was(volume: VfsVolume, source: Path, tmp_path: Path) -> None:
    for number in range(1200):
        (source / f"deep/{number:04}").write_bytes(str(number).encode())
    plan = await begin(volume)
    tree = await volume.tree(SOURCE)
    first = await volume.copy_into(plan.id, "a", tree)
    assert not await first.step()
    half = {path.name: path.stat().st_ino for path in (tmp_path / f".penstock/builds/{plan.id}.a/deep").iterdir()}
    assert 100 < len(half) < 1200
    # Meanwhile the source is changed: one entry goes, one becomes something else.
    (source / "deep/0001").unlink()
    (source / "deep/0002").unlink()
    (source / "deep/0002").mkdir()
    (source / "deep/0003").write_bytes(b"longer than it was")
    await copy_all(volume, plan, "b")
    with pytest.raises(PenstockError):
        await to_its_end(first)
    await volume.finish_build(op(), plan.id, "b", TARGET)
    target = tmp_path.joinpath(*TARGET.directory)
    assert state(target) == state(source)
    kept = [name for name, inode in half.items() if (target / "deep" / name).is_file()]
    assert sum((target / "deep" / name).stat().st_ino == half[name] for name in kept) >= len(kept) - 2
    await tree.close()


async def test_what_is_begun_again_while_it_is_copied_goes_on(
    volume: VfsVolume, source: Path, tmp_path: Path
) -> None:
    """Its actor died before it told of that, and a worker was at it already."""
    plan = await begin(volume)
    tree = await volume.tree(SOURCE)
    first = await volume.copy_into(plan.id, "a", tree)
    await to_its_end(first)
    await volume.begin_build(replace(op(), id=plan.id), plan)
    second = await volume.copy_into(plan.id, "b", tree)
    assert second.resumed
    await to_its_end(second)
    await tree.close()
    await volume.finish_build(op(), plan.id, "b", TARGET)
    assert not list((tmp_path / ".penstock/builds").iterdir())


async def test_giving_up_again_what_was_on_its_way_to_its_place(volume: VfsVolume, tmp_path: Path) -> None:
    """Its end was set aside half-way."""
    plan = await begin(volume)
    (tmp_path / f".penstock/builds/{plan.id}.0").rmdir()
    drop = op()
    for _ in range(3):
        assert await volume.drop_build(drop, plan.id)
    assert not await volume.drop_build(op(), plan.id)


class Disk:
    """Remembers which files were made durable."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._durable = dict[int, int]()
        real = os.fsync

        def fsync(fd: int) -> None:
            number = os.fstat(fd).st_ino
            if number not in self._durable:
                # As long as it is open, no other file gets its number.
                self._durable[number] = os.dup(fd)
            real(fd)

        monkeypatch.setattr(os, "fsync", fsync)

    def close(self) -> None:
        for fd in self._durable.values():
            os.close(fd)

    def lose(self, root: Path) -> list[str]:
        """Keep of other files below a directory their lengths and times, and nothing of their bytes."""
        lost = []
        for path in root.rglob("*"):
            known = path.lstat()
            if path.is_symlink() or not path.is_file() or known.st_ino in self._durable or not known.st_size:
                continue
            os.truncate(path, 0)
            os.truncate(path, known.st_size)
            os.utime(path, ns=(known.st_atime_ns, known.st_mtime_ns))
            lost.append(path.name)
        return lost


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Iterator[Disk]:
    disk = Disk(monkeypatch)
    yield disk
    disk.close()


@pytest.mark.parametrize("boots", ["12", "121", "122"])
async def test_a_clone_survives_power_failures(
    volume: VfsVolume, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, disk: Disk, boots: str
) -> None:
    """Every attempt but the last ends in one; then another host goes on, or one that was there before."""
    plan = await begin(volume)
    places = tmp_path / ".penstock/builds"
    for attempt, boot in enumerate(boots[:-1]):
        with monkeypatch.context() as patch:
            patch.setattr(builds, "boot_id", boot.encode)
            patch.setattr(tree_copy, "sync_file_system", lambda fd: None)
            await copy_all(volume, plan, str(attempt))
        large = (places / f"{plan.id}.{attempt}/sparse").stat().st_ino
        assert {"a.bin", "한글.txt"} <= set(disk.lose(places)) <= {"a.bin", "한글.txt", "hard"}
    monkeypatch.setattr(builds, "boot_id", boots[-1].encode)
    await copy_all(volume, plan, "f")
    await volume.finish_build(op(), plan.id, "f", TARGET)
    target = tmp_path.joinpath(*TARGET.directory)
    assert state(target) == state(source)
    assert (target / "sparse").stat().st_ino == large, "it was durable"
    assert not list(places.iterdir())


async def test_who_comes_too_late_writes_nowhere(volume: VfsVolume, source: Path, tmp_path: Path) -> None:
    for number in range(1200):
        (source / f"deep/{number:04}").write_bytes(str(number).encode())
    plan = await begin(volume)
    tree = await volume.tree(SOURCE)
    late = await volume.copy_into(plan.id, "a", tree)
    assert not await late.step()
    await copy_all(volume, plan, "b")
    await volume.finish_build(op(), plan.id, "b", TARGET)
    target = tmp_path.joinpath(*TARGET.directory)
    (target / "deep/0001").unlink()
    (target / "deep/0900").write_bytes(b"changed by its owner")
    before = state(target)
    with pytest.raises(NotFoundError):
        await to_its_end(late)
    assert state(target) == before
    with pytest.raises(NotFoundError):
        await volume.copy_into(plan.id, "c", tree)
    await tree.close()


async def test_a_file_that_never_stands_still_is_told(
    volume: VfsVolume, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = await begin(volume)
    from backends.mounted import tree_copy

    really = tree_copy.share_all

    def share_and_write(from_fd: int, to_fd: int) -> bool:
        done = really(from_fd, to_fd)
        if os.fstat(from_fd).st_size == 5:
            with (source / "한글.txt").open("r+b") as file:
                file.write(b"HELLO")
            os.utime(source / "한글.txt")
        return done

    monkeypatch.setattr(tree_copy, "share_all", share_and_write)
    _, _, changed = await copy_all(volume, plan)
    assert changed in {("한글.txt",), ("hard",)}


@pytest.mark.parametrize(("number", "error"), [(errno.ENOSPC, StorageFullError), (errno.EIO, PenstockError)])
async def test_what_fails_is_named(
    volume: VfsVolume, source: Path, monkeypatch: pytest.MonkeyPatch, number: int, error: type[PenstockError]
) -> None:
    from backends.mounted import tree_copy

    def fail(source: int, target: int, start: int, offset: int, count: int) -> int:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(tree_copy, "copy_range", fail)
    plan = await begin(volume)
    with pytest.raises(error) as caught:
        await copy_all(volume, plan)
    assert caught.value.facts["path"] in {"deep/er/a.bin", "sparse", "한글.txt", "hard"}


async def test_a_build_that_is_given_up_leaves_nothing(volume: VfsVolume, source: Path, tmp_path: Path) -> None:
    plan = await begin(volume)
    await copy_all(volume, plan)
    drop = op()
    for _ in range(2):
        assert await volume.drop_build(drop, plan.id)
    (entry,) = await volume.trash()
    assert (entry.id, entry.folder, entry.files) == (drop.id, TARGET, True)
    while not (await volume.purge(drop.id)).finished:
        pass
    await volume.drop_trash(drop.id)
    assert not list((tmp_path / ".penstock/builds").iterdir())
    assert not list((tmp_path / ".penstock/trash").iterdir())
    assert not await volume.drop_build(op(), plan.id)
    assert state(source)


async def test_a_past_owner_finishes_and_drops_nothing(volume: VfsVolume, source: Path, tmp_path: Path) -> None:
    plan = await begin(volume)
    await copy_all(volume, plan)
    await volume.take_over(2)
    for attempt in (
        volume.finish_build(op(1), plan.id, "a", TARGET),
        volume.drop_build(op(1), plan.id),
        volume.trash_files(op(1), SOURCE, [RelativePath.parse("empty")], recursive=False),
    ):
        with pytest.raises(FencedError):
            await attempt
    assert (source / "empty").exists()
    await volume.finish_build(op(2), plan.id, "a", TARGET)
    assert state(tmp_path.joinpath(*TARGET.directory)) == state(source)


async def test_an_owner_that_dies_while_it_finishes(volume: VfsVolume, source: Path, tmp_path: Path) -> None:
    plan = await begin(volume)
    await copy_all(volume, plan)
    area = tmp_path / ".penstock"
    name = f"{plan.id}.a"
    (area / "builds" / name).rename(area / f"stage.1/e1/build.{name}")
    tree = await volume.tree(SOURCE)
    with pytest.raises(NotFoundError):
        await volume.copy_into(plan.id, "b", tree)
    await tree.close()
    assert {path.name for path in (area / "builds").iterdir()} == {f"{plan.id}.{note}" for note in ("host", "json")}
    await volume.take_over(2)
    await volume.finish_build(op(2), plan.id, "a", TARGET)
    assert state(tmp_path.joinpath(*TARGET.directory)) == state(source)
