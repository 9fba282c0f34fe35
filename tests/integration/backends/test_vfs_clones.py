"""Folders copied from place to place, and files taken into the trash, on a real file system."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from uuid import UUID

import anyio
import pytest

from backends.contract import Operation
from backends.mounted import builds, tree_copy
from backends.mounted.beneath import open_root
from backends.mounted.mark import MARK
from backends.mounted.tree_copy import MountedTree
from backends.observer import SilentObserver
from backends.powers import BuildPlan, TreeCopy
from backends.registry import Site, driver
from backends.settings import ThreadSettings
from backends.vfs.volume import VfsVolume
from domain.errors import (
    BackendUnavailableError,
    ConflictError,
    FencedError,
    NotFoundError,
    PenstockError,
    StorageFullError,
)
from domain.ids import VFolderId, VolumeName, uuid7
from domain.paths import RelativePath

SOURCE = VFolderId.parse("user:11111111-1111-4111-8111-111111111111/aabb0001000040008000000000000001")
TARGET = VFolderId.parse("user:11111111-1111-4111-8111-111111111111/aabb0002000040008000000000000002")

open_vfs = driver("vfs").open

pytestmark = pytest.mark.anyio


def new_id() -> UUID:
    return uuid7(1_700_000_000_000, os.urandom(16))


def op(epoch: int = 1) -> Operation:
    return Operation(new_id(), epoch)


@pytest.fixture
async def volume(tmp_path: Path) -> AsyncIterator[VfsVolume]:
    site = Site(VolumeName("disk"), {"path": str(tmp_path)}, ThreadSettings(), SilentObserver())
    async with open_vfs(site) as volume:
        assert isinstance(volume, VfsVolume)
        await volume.take_over(1)
        assert SOURCE.scope is not None
        await volume.ensure_scope(op(), SOURCE.scope)
        await volume.create_folder(op(), SOURCE, 0o750)
        yield volume


@pytest.fixture
def source(volume: VfsVolume, tmp_path: Path) -> Path:
    """A folder with one of everything."""
    root = tmp_path.joinpath(*SOURCE.directory)
    (root / "deep/er").mkdir(parents=True)
    (root / "deep/er/a.bin").write_bytes(os.urandom(3_000_000))
    (root / "한글.txt").write_text("hello")
    (root / "empty").write_bytes(b"")
    (root / "hard").hardlink_to(root / "한글.txt")
    (root / "dangling").symlink_to("nowhere")
    (root / "inside").symlink_to("deep/er")
    with (root / "sparse").open("wb") as file:
        file.seek(20 << 20)
        file.write(b"end")
    os.setxattr(root / "empty", "user.colour", b"blue")
    os.mkfifo(root / "fifo")
    (root / ".upload").mkdir()
    (root / ".upload/0").write_bytes(b"unfinished")
    (root / "deep/er/a.bin").chmod(0o640)
    os.utime(root / "deep/er/a.bin", ns=(1_600_000_000_250_000_000, 1_600_000_000_250_000_000))
    os.utime(root / "deep", ns=(1_500_000_000_000_000_000, 1_500_000_000_000_000_000))
    return root


async def begin(volume: VfsVolume, *, verify: bool = False) -> BuildPlan:
    begun = op()
    plan = BuildPlan(begun.id, volume.name, SOURCE, TARGET, verify)
    await volume.begin_build(begun, plan)
    return plan


async def to_its_end(copy: TreeCopy) -> None:
    while not await copy.step():
        pass


async def copy_all(volume: VfsVolume, plan: BuildPlan, attempt: str = "a") -> tuple[int, int, tuple[str, ...]]:
    tree = await volume.tree(SOURCE)
    copy = await volume.copy_into(plan.id, attempt, tree)
    try:
        await to_its_end(copy)
        return copy.items, copy.size_bytes, tuple(copy.changed)
    finally:
        await copy.close()
        await tree.close()


def attributes(path: Path) -> tuple[int, int, int]:
    known = path.stat()
    return known.st_mode, known.st_uid, known.st_gid


def state(root: Path) -> dict[str, tuple[object, ...]]:
    """All that is to be kept of a tree."""
    found: dict[str, tuple[object, ...]] = {}
    for path in sorted(root.rglob("*")):
        name, known = str(path.relative_to(root)), path.lstat()
        if name.startswith(".upload") or name == "fifo":
            continue
        if path.is_symlink():
            found[name] = ("link", str(path.readlink()), known.st_mtime_ns)
        elif path.is_dir():
            found[name] = ("directory", known.st_mode, known.st_mtime_ns)
        else:
            more = {key: os.getxattr(path, key) for key in os.listxattr(path)}
            found[name] = (path.read_bytes(), known.st_mode, known.st_mtime_ns, known.st_nlink, more)
    return found


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


async def trashed(volume: VfsVolume, operation: Operation, *names: str, recursive: bool = True) -> list[str]:
    paths = [RelativePath.parse(name) for name in names]
    return [str(path) for path in await volume.trash_files(operation, SOURCE, paths, recursive=recursive)]


async def test_files_go_into_the_trash_at_once(volume: VfsVolume, source: Path) -> None:
    take = op()
    removed = await trashed(volume, take, "deep", "inside", "nowhere", "empty", "inside/er", "/".join(["x"] * 200))
    assert removed == ["deep", "inside", "empty"]
    assert not (source / "deep").exists()
    assert (source / "한글.txt").exists()
    (entry,) = await volume.trash()
    assert (entry.id, entry.folder, entry.files) == (take.id, SOURCE, True)
    (source / "deep").mkdir()
    assert await trashed(volume, take, "deep", "inside", "empty") == removed, "done again, it is done already"
    assert (source / "deep").exists()
    while not (purge := await volume.purge(take.id)).finished:
        pass
    assert purge.removed > 0
    await volume.drop_trash(take.id)
    assert await volume.trash() == []


async def test_directories_need_to_be_asked_for(volume: VfsVolume, source: Path) -> None:
    (source / "bare").mkdir()
    assert await trashed(volume, op(), "deep", "bare", recursive=False) == ["bare"]
    assert (source / "deep").exists()
    assert await trashed(volume, op(), ".", "nowhere", recursive=False) == []
    assert len(await volume.trash()) == 1


async def test_a_folder_is_emptied_but_for_unfinished_uploads(volume: VfsVolume, source: Path) -> None:
    assert await trashed(volume, op(), ".") == ["."]
    assert os.listdir(source) == [".upload"]


async def test_taking_files_goes_on_after_a_crash(volume: VfsVolume, source: Path, tmp_path: Path) -> None:
    """The first entry was taken, then the owner died; its name has been given anew since."""
    take, area = op(), tmp_path / ".penstock"
    note = area / f"trash/{take.id}.json"
    note.write_text(f'{{"folder": "{SOURCE}", "paths": [], "whole": false}}')
    (area / f"stage.1/e1/trash.{take.id}").mkdir()
    (source / "deep").rename(area / f"stage.1/e1/trash.{take.id}/0")
    (source / "deep").write_bytes(b"another one")
    await volume.take_over(2)
    assert await volume.trash() == [], "what is not whole is not purged"
    assert await trashed(volume, Operation(take.id, 2), "deep", "empty") == ["deep", "empty"]
    assert (source / "deep").read_bytes() == b"another one"
    assert not (source / "empty").exists()
    assert len(await volume.trash()) == 1


async def test_a_folder_is_either_restored_or_purged(volume: VfsVolume, source: Path) -> None:
    deletion, back = op(), op()
    await volume.delete_folder(deletion, SOURCE)
    await volume.purge(deletion.id)
    with pytest.raises(NotFoundError):
        await volume.restore_folder(back, deletion.id, SOURCE)
    (entry,) = await volume.trash()
    assert entry.doomed


async def test_restoring_goes_on_after_a_crash(volume: VfsVolume, source: Path, tmp_path: Path) -> None:
    before = state(source)
    deletion, back, area = op(), op(), tmp_path / ".penstock"
    await volume.delete_folder(deletion, SOURCE)
    (area / f"trash/{deletion.id}").rename(area / f"stage.1/e1/trash.{deletion.id}")
    await volume.take_over(2)
    for _ in range(2):
        await volume.restore_folder(Operation(back.id, 2), deletion.id, SOURCE)
    assert state(source) == before
    assert await volume.trash() == []
    with pytest.raises(FencedError):
        await volume.delete_folder(op(1), SOURCE)


# --- with other processes ---------------------------------------------------------------------------------


@pytest.fixture
def shared_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have other processes copy small files from the second step on, and steps be short."""
    monkeypatch.setattr(tree_copy, "_WORTH_IT", 1)
    monkeypatch.setattr(tree_copy, "_STEP_ENTRIES", 2)
    monkeypatch.setattr(tree_copy, "_SHARED_ENTRIES", 50)


def many(source: Path, count: int = 700) -> None:
    for number in range(count):
        place = source / "many" / f"{number % 7}"
        place.mkdir(parents=True, exist_ok=True)
        path = place / f"{number}-\udcff"
        path.write_bytes(b"x" * number)
        path.chmod(0o600 + number % 8)
        os.setxattr(path, "user.number", str(number).encode())
        os.utime(path, ns=(1_500_000_000_000_000_000 + number, 1_600_000_000_000_000_000 + number))


def measure(source: Path) -> tuple[int, int]:
    """How many entries there are to copy, and bytes."""
    found = [path for path in source.rglob("*") if ".upload" not in path.parts]
    files = {
        path.lstat().st_ino: path.lstat().st_size for path in found if path.is_file() and not path.is_symlink()
    }
    return len(found), sum(files.values())


@pytest.mark.usefixtures("shared_out")
async def test_other_processes_keep_everything_as_well(volume: VfsVolume, source: Path, tmp_path: Path) -> None:
    many(source)
    plan = await begin(volume)
    items, size, _ = await copy_all(volume, plan)
    await volume.finish_build(op(), plan.id, "a", TARGET)
    assert state(tmp_path.joinpath(*TARGET.directory)) == state(source)
    assert (items, size) == measure(source)


@pytest.mark.parametrize("shared", [False, True])
async def test_one_attempt_after_the_other_dies_each_a_step_later(
    volume: VfsVolume,
    source: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
    shared: bool,
) -> None:
    if shared:
        request.getfixturevalue("shared_out")
    else:
        monkeypatch.setattr(tree_copy, "_WORTH_IT", 1 << 30)
        monkeypatch.setattr(tree_copy, "_STEP_ENTRIES", 25)
        monkeypatch.setattr(tree_copy, "_STEP_BYTES", 1 << 20)
    many(source, 300)
    plan = await begin(volume)
    tree = await volume.tree(SOURCE)
    done, attempt = False, 0
    while not done:
        attempt += 1
        copy = await volume.copy_into(plan.id, f"{attempt:x}", tree)
        assert copy.resumed == (attempt > 1)
        for _ in range(attempt):
            if done := await copy.step():
                break
        await copy.close()
    await tree.close()
    assert attempt > 5
    await volume.finish_build(op(), plan.id, f"{attempt:x}", TARGET)
    assert state(tmp_path.joinpath(*TARGET.directory)) == state(source)
    assert not list((tmp_path / ".penstock/builds").iterdir())


@pytest.mark.usefixtures("shared_out")
async def test_a_process_that_dies_is_told_and_the_next_attempt_goes_on(
    volume: VfsVolume, source: Path, tmp_path: Path
) -> None:
    many(source)
    plan = await begin(volume)
    tree = await volume.tree(SOURCE)
    copy = await volume.copy_into(plan.id, "a", tree)
    assert isinstance(copy, tree_copy.MountedTreeCopy)
    while copy._copiers is None or not copy._copiers._helpers:
        assert not await copy.step()
    for helper in copy._copiers._helpers:
        if helper.process is not None:
            helper.process.kill()
    with pytest.raises(BackendUnavailableError):
        await to_its_end(copy)
    await copy.close()
    await tree.close()
    await copy_all(volume, plan, "b")
    await volume.finish_build(op(), plan.id, "b", TARGET)
    assert state(tmp_path.joinpath(*TARGET.directory)) == state(source)


@pytest.mark.usefixtures("shared_out")
async def test_a_late_process_writes_nowhere(volume: VfsVolume, source: Path) -> None:
    """Its attempt was taken over by another one while it was stopped."""
    many(source)
    plan = await begin(volume)
    tree = await volume.tree(SOURCE)
    copy = await volume.copy_into(plan.id, "a", tree)
    for _ in range(3):
        assert not await copy.step()
    late_tree = await volume.tree(SOURCE)
    other = await volume.copy_into(plan.id, "b", late_tree)
    with pytest.raises(NotFoundError):
        await to_its_end(copy)
    await to_its_end(other)
    for one in (copy, other):
        await one.close()
    await tree.close()
    await late_tree.close()


@pytest.mark.usefixtures("shared_out")
async def test_what_fails_there_is_told_here(source: Path, small: Path) -> None:
    """The volume it is copied to is full."""
    many(source)
    for number in range(60):
        (source / "many" / f"large-{number:02}").write_bytes(os.urandom(60_000))
    site = Site(VolumeName("small"), {"path": str(small)}, ThreadSettings(), SilentObserver())
    async with open_vfs(site) as volume:
        assert isinstance(volume, VfsVolume)
        await volume.take_over(1)
        assert TARGET.scope is not None
        await volume.ensure_scope(op(), TARGET.scope)
        begun = op()
        await volume.begin_build(begun, BuildPlan(begun.id, VolumeName("disk"), SOURCE, TARGET))
        tree = MountedTree(await anyio.to_thread.run_sync(open_root, source))
        copy = await volume.copy_into(begun.id, "a", tree)
        with pytest.raises(StorageFullError):
            await to_its_end(copy)
        await copy.close()
        await tree.close()


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    place = tmp_path / "small"
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", str(place)], check=True)
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


# --- reflinks ---------------------------------------------------------------------------------------------


@pytest.fixture
def xfs(tmp_path: Path) -> Iterator[Path]:
    image, place = tmp_path / "xfs.img", tmp_path / "xfs"
    with image.open("wb") as file:
        file.truncate(400 << 20)
    place.mkdir()
    subprocess.run(
        [shutil.which("mkfs.xfs", path=f"{os.defpath}:/usr/sbin:/sbin") or "mkfs.xfs", "-q", str(image)], check=True
    )
    subprocess.run(["mount", "-o", "loop", str(image), str(place)], check=True)
    yield place
    subprocess.run(["umount", str(place)], check=True)


async def test_where_the_storage_shares_bytes_a_clone_takes_no_room(xfs: Path) -> None:
    """200 MiB are cloned three times on a volume of 400 MiB."""
    site = Site(VolumeName("disk"), {"path": str(xfs)}, ThreadSettings(), SilentObserver())
    async with open_vfs(site) as volume:
        assert isinstance(volume, VfsVolume)
        await volume.take_over(1)
        assert SOURCE.scope is not None
        await volume.ensure_scope(op(), SOURCE.scope)
        await volume.create_folder(op(), SOURCE, 0o755)
        source = xfs.joinpath(*SOURCE.directory)
        (source / "big").write_bytes(os.urandom(200 << 20))
        for number in range(50):
            (source / f"small-{number}").write_bytes(os.urandom(5000))
        before = (await volume.capacity()).used_bytes
        for number in range(3):
            begun, target = op(), VFolderId(SOURCE.scope, UUID(int=number))
            await volume.begin_build(begun, BuildPlan(begun.id, volume.name, SOURCE, target))
            tree = await volume.tree(SOURCE)
            copy = await volume.copy_into(begun.id, "a", tree)
            assert copy.shares
            await to_its_end(copy)
            await copy.close()
            await tree.close()
            await volume.finish_build(op(), begun.id, "a", target)
            assert state(xfs.joinpath(*target.directory)) == state(source)
        assert (await volume.capacity()).used_bytes - before < 20 << 20
