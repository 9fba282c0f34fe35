"""What only real file systems do: deep trees, hard links, crashes between two steps, hung storage."""

from __future__ import annotations

import errno
import os
import shutil
import stat
import tempfile
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any, cast
from uuid import uuid4

import anyio
import pytest

from backends.conformance.words import FOLDER, SCOPE, SESSION, op, path, put
from backends.contract import Volume
from backends.descriptor import SharedDescriptor
from backends.integrity import verify
from backends.mounted import counting
from backends.mounted.beneath import open_root
from backends.mounted.helpers import Helper
from backends.mounted.helping import counts
from backends.mounted.helping.looking import Sight
from backends.mounted.helping.resolving import READ_AT_ONCE, KernelResolver, WalkingResolver
from backends.mounted.usage import Count
from backends.mounted.usage_memory import DirectoryMemory
from backends.observer import SilentObserver
from backends.powers import ReadsAtOnce, Recounts
from backends.registry import Site, driver
from backends.settings import ThreadSettings
from backends.threads import VolumeThreads
from domain.errors import (
    BackendFaultError,
    BackendUnavailableError,
    BusyError,
    ConflictError,
    InvalidRequestError,
    NotFoundError,
    QuotaExceededError,
    StorageFullError,
    Subject,
)
from domain.ids import QuotaScopeId, VFolderId, VolumeName
from domain.paths import ROOT, RelativePath
from domain.usage import Usage

pytestmark = pytest.mark.anyio

open_vfs = driver("vfs").open
PLACE = "11111111111141118111111111111111/aa/bb/0001000040008000000000000001"


def site(path: Path, **options: object) -> Site:
    return Site(VolumeName("disk"), {"path": str(path), **options}, ThreadSettings(threads=4), SilentObserver())


@pytest.fixture
async def volume(tmp_path: Path) -> AsyncIterator[Volume]:
    async with open_vfs(site(tmp_path)) as opened:
        await opened.create_scope(op(), SCOPE, None)
        await opened.create_folder(op(), FOLDER, 0o755)
        yield opened


# --- reading without waiting ------------------------------------------------------------------------


async def test_only_what_lies_in_memory_is_read_without_waiting(volume: Volume, tmp_path: Path) -> None:
    files = volume.files(FOLDER)
    assert isinstance(files, ReadsAtOnce)
    data = os.urandom(100_000)
    await put(files, "d/a", data)
    assert files.read_at_once(path("d/a"), lambda _: (10, 50_000)) == data[10:50_010]
    with (tmp_path / PLACE / "d" / "a").open("rb") as file, anyio.fail_after(10):
        # The kernel keeps pages that a processor has not put on its lists yet, and is asked again.
        while files.read_at_once(path("d/a"), lambda _: (10, 50_000)) is not None:
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
            await anyio.sleep(0.01)
    assert (await files.open_or_read(path("d/a"), lambda _: (10, 50_000)))[1] == data[10:50_010]
    assert files.read_at_once(path("d/a"), lambda _: (10, 50_000)) == data[10:50_010]


async def test_what_is_compared_with_its_digest_is_read_from_the_storage(volume: Volume) -> None:
    files = volume.files(FOLDER)
    assert isinstance(files, ReadsAtOnce)
    data = os.urandom(100_000)
    await put(files, "a", data)
    handle = await files.open_read(path("a"))
    try:
        with anyio.fail_after(10):
            while True:  # as above
                assert (await verify(handle)).sha256 == sha256(data).digest()
                if files.read_at_once(path("a"), lambda _: (0, 1)) is None:
                    break
    finally:
        await handle.close()


@pytest.mark.parametrize("kept", [True, False])
async def test_what_is_in_memory_is_dropped_before_it_is_compared(
    volume: Volume, kept: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    files, steps = volume.files(FOLDER), list[str]()
    await put(files, "a", b"123")
    handle = await files.open_read(path("a"))
    if kept:
        await handle.keep_sha256(sha256(b"123").digest())

    def noted(name: str) -> Callable[..., Awaitable[Any]]:
        step = getattr(handle, name)

        async def noting(*args: Any) -> Any:
            steps.append(name)
            return await step(*args)

        return noting

    for name in ("read", "forget"):
        monkeypatch.setattr(handle, name, noted(name))
    await verify(handle)
    assert steps == ["forget", "read", "read", "forget"]
    await handle.close()


async def test_links_and_what_is_no_file_are_left(volume: Volume, tmp_path: Path) -> None:
    files = volume.files(FOLDER)
    assert isinstance(files, ReadsAtOnce)
    await put(files, "d/a", b"123")
    place = tmp_path / PLACE
    (place / "link").symlink_to("d/a")
    (place / "way").symlink_to("d")
    (place / "out").symlink_to("/etc")
    os.mkfifo(place / "pipe")
    for name in ("link", "way/a", "out/passwd", "pipe", "d", "."):
        assert files.read_at_once(path(name), lambda _: (0, 1)) is None
    assert files.read_at_once(path("d/a"), lambda _: (0, 1)) == b"1"


async def test_storage_of_others_is_never_asked_on_the_loop(
    volume: Volume, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = volume.files(FOLDER)
    assert isinstance(files, ReadsAtOnce)
    await put(files, "a", b"123")
    mounted = files._mount.mounted
    monkeypatch.setattr(files._mount, "mounted", replace(mounted, file_system="nfs4"))
    assert files.read_at_once(path("a"), lambda _: (0, 1)) is None
    monkeypatch.setattr(files._mount, "mounted", mounted)
    monkeypatch.setattr(files._mount, "resolver", WalkingResolver())
    assert files.read_at_once(path("a"), lambda _: (0, 1)) is None


def test_what_is_mounted_below_is_never_asked_on_the_loop() -> None:
    """It may be on a host that does not answer, wherever the volume is."""
    kernel = KernelResolver()
    with tempfile.NamedTemporaryFile(dir="/dev/shm") as file:
        names = [*Path(file.name).parts[1:]]
        above, mounted = os.open("/", os.O_PATH), os.open("/dev/shm", os.O_PATH)
        try:
            assert os.fstat(above).st_dev != os.fstat(mounted).st_dev
            assert kernel.open_at_once(above, names, READ_AT_ONCE) is None
            found = kernel.open_at_once(mounted, names[-1:], READ_AT_ONCE)
            assert found is not None
            for fd in (found, kernel.open(above, names, os.O_RDONLY)):
                os.close(fd)
        finally:
            os.close(above)
            os.close(mounted)


async def test_a_small_file_that_is_written_to_while_it_is_read_is_none(
    volume: Volume, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = volume.files(FOLDER)
    for name in ("a", "b"):
        await put(files, name, b"123")
    pread, place = os.pread, tmp_path / PLACE

    def changing(fd: int, count: int, offset: int) -> bytes:
        if os.path.samestat(os.fstat(fd), (place / "a").stat()):
            (place / "a").write_bytes(b"456")
        return pread(fd, count, offset)

    monkeypatch.setattr(os, "pread", changing)
    first, second = await files.read_many([path("a"), path("b")], max_bytes=10, then=list)
    assert first is None
    assert second is not None
    assert second[1] == b"123"


# --- settings ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "word"),
    [({}, "path"), ({"path": "relative"}, "absolute"), ({"path": "/tmp", "colour": 1}, "colour")],
)
async def test_wrong_settings_are_named(options: dict[str, object], word: str) -> None:
    wrong = Site(VolumeName("disk"), options, ThreadSettings(), SilentObserver())
    with pytest.raises(InvalidRequestError, match=word) as caught:
        async with open_vfs(wrong):
            pass
    assert str(caught.value.facts["field"]).startswith("volumes.disk")


async def test_a_directory_that_is_not_there_is_told() -> None:
    with pytest.raises(NotFoundError) as caught:
        async with open_vfs(site(Path("/no/such/place"))):
            pass
    assert caught.value.subject is Subject.VOLUME


def test_an_unknown_backend_is_told_with_those_there_are() -> None:
    with pytest.raises(InvalidRequestError, match="vfs"):
        driver("floppy")


# --- layout -----------------------------------------------------------------------------------------


async def test_a_volume_of_backend_ai_is_served_as_it_is(tmp_path: Path) -> None:
    (tmp_path / PLACE).mkdir(parents=True)
    (tmp_path / PLACE / "f").write_bytes(b"theirs")
    legacy = tmp_path / "cc/dd/0001000040008000000000000001"
    legacy.mkdir(parents=True)
    (legacy / "g").write_bytes(b"older")
    old = VFolderId.parse("ccdd0001-0000-4000-8000-000000000001")
    async with open_vfs(site(tmp_path)) as volume:
        assert {folder async for folder in volume.folders()} == {FOLDER, old}
        assert (await volume.usage(FOLDER)).file_bytes == 6
        assert (await volume.usage(old)).file_bytes == 5
        assert (await volume.quota(SCOPE)).limit_bytes is None
        await volume.set_quota(op(), SCOPE, 100)
        assert (await volume.quota(SCOPE)).limit_bytes == 100
        with pytest.raises(ConflictError):
            await volume.create_folder(op(), FOLDER, 0o755)
        await volume.delete_folder(op(), FOLDER)
        await volume.delete_folder(op(), old)
        assert not legacy.exists()
        assert not (tmp_path / "cc").exists()


async def test_a_deleted_folder_leaves_no_empty_directories(volume: Volume, tmp_path: Path) -> None:
    await volume.delete_folder(op(), FOLDER)
    assert list((tmp_path / SCOPE.directory).iterdir()) == []


async def test_project_scopes_are_remembered_as_such(tmp_path: Path) -> None:
    scope = QuotaScopeId.parse("project:22222222-2222-4222-8222-222222222222")
    folder = VFolderId(scope, uuid4())
    async with open_vfs(site(tmp_path)) as volume:
        await volume.ensure_scope(op(), scope)
        await volume.create_folder(op(), folder, 0o755)
    async with open_vfs(site(tmp_path)) as volume:
        assert [found async for found in volume.folders()] == [folder]


# --- crashes ----------------------------------------------------------------------------------------


async def test_a_scope_half_made_is_made_by_the_repetition(volume: Volume, tmp_path: Path) -> None:
    scope = QuotaScopeId.parse("user:33333333-3333-4333-8333-333333333333")
    making = op()
    await volume.create_scope(making, scope, 5)
    (tmp_path / scope.directory).rmdir()  # as if it had died before the directory was made
    await volume.create_scope(making, scope, 5)
    assert (await volume.quota(scope)).limit_bytes == 5
    assert (await volume.ensure_scope(making, scope)).made


async def test_a_scope_half_removed_is_removed_by_the_repetition(volume: Volume, tmp_path: Path) -> None:
    scope = QuotaScopeId.parse("user:33333333-3333-4333-8333-333333333333")
    await volume.create_scope(op(), scope, 5)
    removing = op()
    state = tmp_path / ".penstock/scopes" / f"{scope.directory}.json"
    text = state.read_text()
    await volume.delete_scope(removing, scope)
    (tmp_path / ".penstock/done" / str(removing.id)).unlink()
    state.write_text(text.replace('"removed_by": ""', f'"removed_by": "{removing.id}"'))
    await volume.delete_scope(removing, scope)
    assert not state.exists()
    with pytest.raises(NotFoundError):
        await volume.delete_scope(op(), scope)


async def test_a_folder_half_made_is_made_by_the_repetition(volume: Volume, tmp_path: Path) -> None:
    folder = VFolderId(SCOPE, uuid4())
    making = op()
    stage = tmp_path / ".penstock/stage.0/e0"
    (stage / f"new.{making.id}").mkdir()
    await volume.create_folder(making, folder, 0o750)
    place = tmp_path.joinpath(*folder.directory)
    assert place.stat().st_mode & 0o777 == 0o750
    assert list(stage.iterdir()) == []


async def test_a_deletion_that_died_before_its_rename_is_no_trash(volume: Volume, tmp_path: Path) -> None:
    dead = op()
    (tmp_path / ".penstock/trash" / f"{dead.id}.json").write_text(f'{{"folder": "{FOLDER}"}}')
    assert await volume.trash() == []
    await volume.delete_folder(dead, FOLDER)
    assert [entry.id for entry in await volume.trash()] == [dead.id]


async def test_old_traces_are_forgotten_at_the_next_start(tmp_path: Path) -> None:
    done = tmp_path / ".penstock/done"
    async with open_vfs(site(tmp_path)):
        (done / "old").write_text("{}")
        (done / "new").write_text("{}")
        os.utime(done / "old", (0, 0))
    async with open_vfs(site(tmp_path)):
        assert [entry.name for entry in done.iterdir()] == ["new"]


async def test_folders_are_made_and_deleted_side_by_side(volume: Volume) -> None:
    folders = [VFolderId.parse(f"{SCOPE}/aabb{number:028x}") for number in range(40)]

    async def live(folder: VFolderId) -> None:
        for _ in range(3):
            await volume.create_folder(op(), folder, 0o755)
            await volume.delete_folder(op(), folder)

    async with anyio.create_task_group() as tasks:
        for folder in folders:
            tasks.start_soon(live, folder)
    assert {folder async for folder in volume.folders()} == {FOLDER}
    assert len(await volume.trash()) == 120


# --- trees ------------------------------------------------------------------------------------------


async def test_a_tree_deeper_than_any_path_is_deleted(volume: Volume, tmp_path: Path) -> None:
    here = os.open(tmp_path / PLACE, os.O_RDONLY)
    for _ in range(1500):
        os.mkdir("deep", dir_fd=here)
        below = os.open("deep", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    os.close(here)
    assert (await volume.usage(FOLDER)).entries > 500
    assert await volume.files(FOLDER).delete(path("deep"), recursive=True)
    assert list((tmp_path / PLACE).iterdir()) == []


async def test_a_wide_tree_is_deleted_in_steps(volume: Volume, tmp_path: Path) -> None:
    for directory in range(10):
        (tmp_path / PLACE / f"d{directory}").mkdir()
        for file in range(1200):
            (tmp_path / PLACE / f"d{directory}/f{file}").touch()
    deletion = op()
    await volume.delete_folder(deletion, FOLDER)
    steps = []
    while not (step := await volume.purge(deletion.id)).finished:
        steps.append(step.removed)
    assert len(steps) >= 2
    assert sum(steps) + step.removed == 12_010


async def test_a_hard_linked_file_counts_once(volume: Volume, tmp_path: Path) -> None:
    place = tmp_path / PLACE
    (place / "a").write_bytes(b"x" * 10_000)
    os.link(place / "a", place / "b")
    os.symlink("a", place / "c")
    usage = await volume.usage(FOLDER)
    assert (usage.entries, usage.files, usage.file_bytes) == (3, 2, 10_000)
    du = place.stat().st_blocks * 512 + (place / "a").stat().st_blocks * 512
    assert usage.allocated_bytes == du + (place / "c").lstat().st_blocks * 512


async def test_usage_leaves_out_unfinished_uploads_only_where_they_are(volume: Volume, tmp_path: Path) -> None:
    place = tmp_path / PLACE
    for name in (".upload", "d/.upload"):
        (place / name).mkdir(parents=True)
        (place / name / "x").write_bytes(b"12345")
    assert (await volume.usage(FOLDER)).file_bytes == 10
    assert (await volume.usage(FOLDER, staging=False)).file_bytes == 5


def test_a_count_goes_on_where_it_stopped(tmp_path: Path) -> None:
    for directory in range(20):
        (tmp_path / f"d{directory}").mkdir()
        (tmp_path / f"d{directory}/f").write_bytes(b"12")
    count = Count(staging=True)
    steps = 0
    with open_root(tmp_path) as root:
        while not count.is_done:
            assert count.step(root, 5)
            steps += 1
        assert not count.step(root, 5)
    assert steps > 2
    assert (count.usage.entries, count.usage.file_bytes) == (40, 40)


def counted(root: Path, data: bytes, later_seconds: float = 3600.0) -> tuple[Usage, bytes, int]:
    """Count with what an earlier count remembered; tells how many directories were read as well."""

    class Reading(Count):
        read = 0

        def add(self, path: RelativePath, seen: Sight | None) -> int:
            self.read += 1
            return super().add(path, seen)

    memory = DirectoryMemory(data, time.time_ns() + int(later_seconds * 1e9))
    count = Reading(staging=False, memory=memory)
    with open_root(root) as found:
        while not count.is_done:
            count.step(found, 50)
    return count.usage, memory.dump(), count.read


def test_what_has_not_changed_is_not_read_again(tmp_path: Path) -> None:
    for number in range(20):
        place = tmp_path / f"d{number % 4}" / f"e{number}"
        place.mkdir(parents=True)
        (place / "한글\udcff").write_bytes(bytes(number))
    first, data, read = counted(tmp_path, b"")
    assert (first.entries, first.files, first.file_bytes, read) == (44, 20, 190, 25)
    again, data, read = counted(tmp_path, data)
    assert (again, read) == (first, 0)
    (tmp_path / "d1/e5/more").write_bytes(b"1234")
    (tmp_path / "d2/e6/한글\udcff").unlink()
    (tmp_path / "d3").rename(tmp_path / "d0/moved")
    third, data, read = counted(tmp_path, data)
    assert (third.entries, third.files, third.file_bytes) == (44, 20, 190 + 4 - 6)
    assert read == 5, "the two that changed, what was moved, and the two it was moved from and to"
    assert counted(tmp_path, b"")[0] == third
    shutil.rmtree(tmp_path / "d0")
    fourth, smaller, _ = counted(tmp_path, data)
    assert fourth == counted(tmp_path, b"")[0]
    assert len(smaller) < len(data), "what is gone is forgotten"


def test_what_cannot_be_remembered_is_read_again(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    (tmp_path / "d/a").write_bytes(b"12345")
    (tmp_path / "b").hardlink_to(tmp_path / "d/a")
    first, data, _ = counted(tmp_path, b"")
    again, data, read = counted(tmp_path, data)
    assert (again.file_bytes, read) == (5, 2), "files of several names are met again"
    assert again == first
    (tmp_path / "b").unlink()
    _, data, _ = counted(tmp_path, b"", later_seconds=0)
    assert counted(tmp_path, data)[2] == 2, "what changed just now may change again without its time telling"
    for nonsense in (b"nonsense", b"\x93\x09\x90", data[:-1]):
        assert counted(tmp_path, nonsense)[0].file_bytes == 5


async def test_another_process_helps_to_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from backends.mounted import usage

    monkeypatch.setattr(usage, "_LARGE", 50)
    asked: list[int] = []
    real = counting._ask

    async def ask(helper: Helper, count: Count, paths: list[RelativePath]) -> list[Sight | None]:
        asked.append(len(paths))
        return await real(helper, count, paths)

    monkeypatch.setattr(counting, "_ask", ask)
    async with open_vfs(site(tmp_path)) as volume:
        await volume.create_scope(op(), SCOPE, None)
        await volume.create_folder(op(), FOLDER, 0o755)
        root = tmp_path.joinpath(*FOLDER.directory)
        for number in range(400):
            place = root / f"d{number}" / "한글\udcff"
            place.mkdir(parents=True)
            for name in range(10):
                (place / f"{name}").write_bytes(b"12345")
        (root / "linked").hardlink_to(root / "d7" / "한글\udcff" / "0")
        (root / ".upload").mkdir()
        (root / ".upload/x").write_bytes(b"not counted")
        alone = await anyio.to_thread.run_sync(count_alone, root)
        for _ in range(20):  # who looks at what is chance
            assert await volume.usage(FOLDER, staging=False) == alone.usage
            if asked:
                break
        assert asked
        assert (alone.usage.entries, alone.usage.file_bytes) == (4801, 20_000)


def count_alone(root: Path) -> Count:
    count = Count(staging=False)
    with open_root(root) as opened:
        while not count.is_done:
            count.step(opened, 1000)
    return count


async def test_a_helper_leaves_to_others_what_it_does_not_come_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Directories that take long, as of a slow disk, do not keep a request from being answered in time."""
    for number in range(300):
        (tmp_path / f"d{number}" / "deeper").mkdir(parents=True)
    monkeypatch.setattr(counts, "_TURN_SECONDS", 0)
    asked: list[int] = []

    class Slow:
        async def ask(self, request: list[object]) -> object:
            asked.append(len(request))
            return await anyio.to_thread.run_sync(count, request)

    with await anyio.to_thread.run_sync(open_root, tmp_path) as root:
        count = await anyio.to_thread.run_sync(counts.counting, str(root.fd), "1")
        total = Count(staging=True)
        await counting.count_with(cast("Helper", Slow()), total)
    assert total.usage.entries == 600
    assert len(asked) == 601, "one for each directory"
    assert max(asked) == 150, "half of what is left to do is left to others"


async def test_a_helper_that_dies_is_told(tmp_path: Path) -> None:
    fd = await anyio.to_thread.run_sync(os.open, tmp_path, os.O_PATH)
    helper = Helper("count", [fd], "1", timeout_seconds=10)
    (tmp_path / "d").mkdir()
    count = Count(staging=True)
    await counting.count_with(helper, count)
    assert count.usage.entries == 1
    assert helper.process is not None
    helper.process.kill()
    again = Count(staging=True)
    with pytest.raises(BackendUnavailableError):
        await counting.count_with(helper, again)
    assert again.take(1), "what was taken is left to others"
    for _ in range(2):
        await helper.close()
    os.close(fd)


async def test_several_threads_count_together(tmp_path: Path) -> None:
    settings = ThreadSettings(scans=4)
    async with open_vfs(Site(VolumeName("disk"), {"path": str(tmp_path)}, settings, SilentObserver())) as volume:
        await volume.create_scope(op(), SCOPE, None)
        await volume.create_folder(op(), FOLDER, 0o755)
        for number in range(300):
            place = tmp_path.joinpath(*FOLDER.directory) / f"{number % 20}" / f"{number}"
            place.mkdir(parents=True)
            (place / "f").write_bytes(b"12")
        usage = await volume.usage(FOLDER)
    assert (usage.entries, usage.files, usage.file_bytes) == (620, 300, 600)


# --- full -------------------------------------------------------------------------------------------


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    import subprocess

    place = tmp_path / "small"
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(place)], check=True)
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


async def test_a_full_volume_keeps_what_fitted_and_tells(small: Path) -> None:
    async with open_vfs(site(small)) as volume:
        await volume.create_scope(op(), SCOPE, None)
        await volume.create_folder(op(), FOLDER, 0o755)
        files = volume.files(FOLDER)
        with pytest.raises(StorageFullError):
            await files.create_staging(SESSION, destination=path("a"), length=2 << 20)
        await files.create_staging(SESSION, destination=path("a"), length=None)
        staging = await files.open_staging(SESSION)
        with pytest.raises(StorageFullError):
            await staging.append([b"x" * (1 << 16)] * 32)
        assert 0 < staging.offset < 2 << 20
        await staging.close()
        assert await files.staged_bytes(SESSION) == staging.offset
        await files.discard_staging(SESSION)
        await put(files, "b", b"fits again")
        assert (await volume.health()).status == "healthy"


def test_a_reached_quota_is_told_as_such() -> None:
    import errno

    from backends.mounted.errors import translated

    with pytest.raises(QuotaExceededError), translated("a"):
        raise OSError(errno.EDQUOT, "")


# --- threads ----------------------------------------------------------------------------------------


def pool(**limits: float) -> VolumeThreads:
    chosen = {"threads": 2, "waiting": 2, "timeout_seconds": 5.0, **limits}
    return VolumeThreads(VolumeName("disk"), SilentObserver(), **chosen)  # type: ignore[arg-type]


async def test_a_hung_volume_is_told_and_holds_up_nobody_else() -> None:
    hung, well = pool(timeout_seconds=0.1), pool()
    release = threading.Event()
    try:
        for _ in range(2):
            with pytest.raises(BackendUnavailableError):
                await hung.run(release.wait)
        assert await well.run(lambda: 1) == 1
        with pytest.raises(BackendUnavailableError):
            await hung.run(lambda: 1)
    finally:
        release.set()
    await hung.close()
    await well.close()


async def test_calls_that_wait_are_bounded() -> None:
    threads = pool()
    release = threading.Event()
    async with anyio.create_task_group() as tasks:
        for _ in range(4):
            tasks.start_soon(threads.run, release.wait)
        await anyio.sleep(0.05)
        with pytest.raises(BusyError):
            await threads.run(lambda: 1)
        tasks.start_soon(threads.finish, lambda: 1)
        await anyio.sleep(0.05)
        release.set()
    assert await threads.run(lambda: 1) == 1
    await threads.close()


async def test_a_scan_that_was_given_up_is_one_until_it_ends() -> None:
    threads, may_end = pool(timeout_seconds=0.2), threading.Event()
    with pytest.raises(BackendUnavailableError, match="gave no answer to wait"):
        await threads.scan(may_end.wait)
    with pytest.raises(BackendUnavailableError, match="did not come to int"):
        await threads.scan(int)
    assert await threads.run(int) == 0
    may_end.set()
    assert await threads.scan(int) == 0
    await threads.close()


async def test_a_scan_that_is_refused_takes_nothing() -> None:
    threads, may_end = pool(), threading.Event()
    async with anyio.create_task_group() as tasks:
        for _ in range(4):
            tasks.start_soon(threads.run, may_end.wait)
        await anyio.lowlevel.checkpoint()
        with pytest.raises(BusyError):
            await threads.scan(int)
        may_end.set()
    assert await threads.scan(int) == 0
    await threads.close()


async def test_a_call_that_was_begun_is_waited_for_when_its_caller_is_cancelled() -> None:
    threads = pool()
    begun, done = threading.Event(), threading.Event()

    def slow() -> None:
        begun.set()
        threading.Event().wait(0.2)
        done.set()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(threads.run, slow)
        while not begun.is_set():
            await anyio.sleep(0.01)
        tasks.cancel_scope.cancel()
    assert done.is_set()
    await threads.close()


async def test_the_same_for_cancellations_from_outside_of_anyio() -> None:
    import asyncio

    threads = pool()
    begun, done = threading.Event(), threading.Event()

    def slow() -> None:
        begun.set()
        threading.Event().wait(0.2)
        done.set()

    task = asyncio.ensure_future(threads.run(slow))
    while not begun.is_set():
        await anyio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert done.is_set()
    await threads.close()


async def test_a_call_that_was_not_begun_when_the_volume_was_closed_is_told() -> None:
    threads = pool(threads=1)
    begun, release = threading.Event(), threading.Event()

    def slow() -> None:
        begun.set()
        release.wait(5)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(threads.run, slow)
        while not begun.is_set():
            await anyio.sleep(0.01)
        tasks.start_soon(_refused, threads)
        await anyio.wait_all_tasks_blocked()
        tasks.start_soon(threads.close)
        await anyio.sleep(0.05)
        release.set()


async def _refused(threads: VolumeThreads) -> None:
    with pytest.raises(BackendUnavailableError):
        await threads.run(lambda: 1)


async def test_errors_come_back_as_they_were_raised() -> None:
    threads = pool()
    with pytest.raises(ZeroDivisionError):
        await threads.run(lambda: 1 // 0)
    await threads.close()


# --- descriptors ------------------------------------------------------------------------------------


def is_open(fd: int) -> bool:
    try:
        os.fstat(fd)
    except OSError:
        return False
    return True


def test_a_descriptor_is_closed_when_its_last_user_leaves() -> None:
    fd = os.open("/", os.O_RDONLY)
    shared = SharedDescriptor(fd)
    with shared.use() as used:
        assert used == fd
        shared.close()
        shared.close()
        assert is_open(fd)
        with pytest.raises(BackendUnavailableError), shared.use():
            pass
    assert not is_open(fd)


def test_a_descriptor_nobody_took_is_closed() -> None:
    fd = os.open("/", os.O_RDONLY)
    SharedDescriptor(fd)
    assert not is_open(fd)


async def test_transfers_leave_no_descriptor_open(volume: Volume) -> None:
    files = volume.files(FOLDER)
    await put(files, "a", b"x")
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(10):
        await put(files, "a", b"x")
        handle = await files.open_read(path("a"))
        await handle.read(0, 1)
        await handle.close()
        await files.listing(ROOT, limit=10)
        with pytest.raises(NotFoundError):
            await files.open_read(path("nope"))
    assert len(os.listdir("/proc/self/fd")) == before


async def test_a_file_that_is_open_and_cannot_be_looked_at_is_closed(
    volume: Volume, monkeypatch: pytest.MonkeyPatch
) -> None:
    files, fstat = volume.files(FOLDER), os.fstat
    await put(files, "a", b"abc")
    await files.create_staging(SESSION, destination=path("b"), length=None)

    def fail(fd: int) -> os.stat_result:
        if stat.S_ISREG(fstat(fd).st_mode):
            raise OSError(errno.EIO, "its server has died")
        return fstat(fd)

    before = set(os.listdir("/proc/self/fd"))
    with monkeypatch.context() as patch:
        patch.setattr(os, "fstat", fail)
        for opening in (files.open_read(path("a")), files.read_staging(SESSION), files.open_staging(SESSION)):
            with pytest.raises(BackendFaultError):
                await opening
    assert set(os.listdir("/proc/self/fd")) <= before


async def test_what_a_count_remembers_and_cannot_be_read_is_counted_anew(volume: Volume, tmp_path: Path) -> None:
    assert isinstance(volume, Recounts)
    await put(volume.files(FOLDER), "a", b"abc")
    (tmp_path / ".penstock" / "usage" / FOLDER.uuid.hex).mkdir()  # it opens, and reading it fails
    assert (await volume.recount(FOLDER, full=False)).file_bytes == 3


async def test_a_storage_that_fails_as_folders_are_looked_for(
    volume: Volume, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: int) -> list[str]:
        raise OSError(errno.EIO, "the disk failed")

    with monkeypatch.context() as patch:
        patch.setattr(os, "listdir", fail)
        with pytest.raises(BackendFaultError):
            [folder async for folder in volume.folders()]
    assert [folder async for folder in volume.folders()] == [FOLDER]
