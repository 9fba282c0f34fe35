"""Folders copied by several processes, and by storage that shares bytes."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID

import anyio
import pytest
from harness.trees import SOURCE, TARGET, begin, copy_all, op, open_vfs, state, to_its_end

from backends.mounted import tree_copy
from backends.mounted.beneath import open_root
from backends.mounted.tree_copy import MountedTree
from backends.observer import SilentObserver
from backends.powers import BuildPlan
from backends.registry import Site
from backends.settings import ThreadSettings
from backends.vfs.volume import VfsVolume
from domain.errors import BackendUnavailableError, NotFoundError, StorageFullError
from domain.ids import VFolderId, VolumeName

pytestmark = pytest.mark.anyio


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
