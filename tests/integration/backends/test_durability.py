"""What is synced, and when: all before a change is told of, no more than that where the file system keeps order.

That a power failure then finds it there is the file system's word; `tests/power` takes it at that word.
"""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from backends.conformance.words import make_directory
from backends.contract import Operation, SmallFile
from backends.mounted import appending, beneath, durable, lasting
from backends.mounted.mountinfo import MountedAs, mounted_as
from backends.mounted.staging import part_names
from backends.observer import SilentObserver
from backends.registry import Site
from backends.settings import ThreadSettings
from backends.vfs import open_volume
from backends.vfs.volume import VfsVolume
from domain.errors import BackendFaultError, ConflictError, PenstockError, StorageFullError
from domain.ids import QuotaScopeId, VFolderId, VolumeName
from domain.paths import RelativePath

pytestmark = pytest.mark.anyio

SCOPE = QuotaScopeId.parse("user:11111111-1111-4111-8111-111111111111")


class Calls:
    """System calls that change names and make them durable, in order; one of them can be made to fail."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.made: list[str] = []
        self._patch = monkeypatch
        self._failing = ("", 0, 0)
        for name in ("mkdir", "rename", "fsync", "setxattr"):
            self._watch(name)

    def begin(self) -> None:
        """Forget what was made; nothing fails any more."""
        self.made.clear()
        self._failing = ("", 0, 0)

    def fail(self, name: str, turn: int, number: int) -> None:
        """Have a call fail when it is made for the so manieth time from now on."""
        self.begin()
        self._failing = (name, turn, number)

    def _watch(self, name: str) -> None:
        real = getattr(os, name)

        def call(*args: object, **kwargs: object) -> object:
            self.made.append(name)
            failing, turn, number = self._failing
            if name == failing and self.made.count(name) == turn:
                raise OSError(number, os.strerror(number))
            return real(*args, **kwargs)

        self._patch.setattr(os, name, call)


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Calls:
    return Calls(monkeypatch)


@pytest.fixture(params=["ext4", "nfs4"])
def file_system(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """What the volume's file system says it is."""
    told = MountedAs("/", "direct", "", "", request.param)
    monkeypatch.setattr(beneath, "mounted_as", lambda path: told)
    return request.param


@pytest.fixture
async def volume(tmp_path: Path, file_system: str) -> AsyncIterator[VfsVolume]:
    site = Site(VolumeName("disk"), {"path": str(tmp_path)}, ThreadSettings(), SilentObserver())
    async with open_volume(site) as opened:
        await opened.take_over(1)
        await opened.create_scope(Operation(uuid4(), 1), SCOPE, None)
        yield opened


@pytest.fixture
def folder() -> VFolderId:
    return VFolderId(SCOPE, uuid4())


#: Syncs until a new folder is told of: one for all where order is kept; else two directories above it, itself, its
#: name.
MAKING = {"ext4": 1, "nfs4": 4}
#: The same for a deletion: the bytes of its note in any case; the note's name, the folder's, its name in the trash.
DELETING = {"ext4": 2, "nfs4": 4}


async def test_a_change_is_durable_when_it_is_told_of(
    volume: VfsVolume, calls: Calls, file_system: str, folder: VFolderId
) -> None:
    await volume.create_folder(Operation(uuid4(), 1), folder, 0o755)
    assert (calls.made[-1], calls.made.count("fsync")) == ("fsync", MAKING[file_system])
    calls.begin()
    await volume.delete_folder(Operation(uuid4(), 1), folder)
    assert (calls.made[-1], calls.made.count("fsync")) == ("fsync", DELETING[file_system])


@pytest.mark.parametrize("number", [errno.EIO, errno.ENOSPC, errno.EDQUOT])
async def test_a_folder_that_is_there_is_not_refused_for_want_of_room(
    volume: VfsVolume, calls: Calls, file_system: str, folder: VFolderId, tmp_path: Path, number: int
) -> None:
    op = Operation(uuid4(), 1)
    calls.fail("fsync", MAKING[file_system], number)
    with pytest.raises(BackendFaultError):
        await volume.create_folder(op, folder, 0o755)
    assert tmp_path.joinpath(*folder.directory).is_dir()
    calls.begin()
    await volume.create_folder(op, folder, 0o755)
    assert calls.made == ["fsync"], "what failed before is done now"


@pytest.mark.parametrize("number", [errno.EIO, errno.ENOSPC, errno.EDQUOT])
@pytest.mark.parametrize(("name", "turn"), [("rename", 4), ("fsync", 0)])
async def test_a_folder_that_is_gone_is_not_refused_for_want_of_room(
    volume: VfsVolume,
    calls: Calls,
    file_system: str,
    folder: VFolderId,
    tmp_path: Path,
    number: int,
    name: str,
    turn: int,
) -> None:
    await volume.create_folder(Operation(uuid4(), 1), folder, 0o755)
    op = Operation(uuid4(), 1)
    calls.fail(name, turn or DELETING[file_system], number)
    with pytest.raises(BackendFaultError):
        await volume.delete_folder(op, folder)
    assert not tmp_path.joinpath(*folder.directory).exists()
    calls.begin()
    await volume.delete_folder(op, folder)
    assert calls.made[-1] == "fsync", "what failed before is done now"
    assert [entry.folder for entry in await volume.trash()] == [folder]


async def test_before_it_shows_a_full_storage_refuses(
    volume: VfsVolume, calls: Calls, folder: VFolderId, tmp_path: Path
) -> None:
    op = Operation(uuid4(), 1)
    calls.fail("setxattr", 1, errno.ENOSPC)
    with pytest.raises(StorageFullError):
        await volume.create_folder(op, folder, 0o755)
    assert not tmp_path.joinpath(*folder.directory).exists()
    await volume.create_folder(op, folder, 0o755)
    with pytest.raises(ConflictError):
        await volume.create_folder(Operation(uuid4(), 1), folder, 0o755)


@pytest.mark.parametrize("number", [errno.ENOENT, errno.ESTALE])
async def test_folders_beside_each_other_are_deleted_at_the_same_time(
    volume: VfsVolume, monkeypatch: pytest.MonkeyPatch, folder: VFolderId, tmp_path: Path, number: int
) -> None:
    """Whoever empties the directory above them removes it, while the other is in the middle of its deletion."""
    await volume.create_folder(Operation(uuid4(), 1), folder, 0o755)
    place, rename, sync = tmp_path.joinpath(*folder.directory), os.rename, durable.sync_directory

    def and_prune(source: str, target: str, **more: int) -> None:
        rename(source, target, **more)
        if source == place.name:
            place.parent.rmdir()

    def as_a_mount_does(fd: int) -> None:
        if os.fstat(fd).st_nlink == 0:
            raise OSError(number, os.strerror(number))
        sync(fd)

    monkeypatch.setattr(os, "rename", and_prune)
    monkeypatch.setattr(durable, "sync_directory", as_a_mount_does)
    op = Operation(uuid4(), 1)
    await volume.delete_folder(op, folder)
    assert not place.parent.exists()
    assert [entry.id for entry in await volume.trash()] == [op.id]


async def test_what_a_mount_denies_for_a_moment_is_not_left_half_way(
    volume: VfsVolume, calls: Calls, folder: VFolderId, tmp_path: Path
) -> None:
    await volume.create_folder(Operation(uuid4(), 1), folder, 0o755)
    op = Operation(uuid4(), 1)
    # The renames of a deletion: a look whether it was begun, its note, the folder from its place, into the trash.
    calls.fail("rename", 4, errno.ENOENT)
    with pytest.raises(BackendFaultError):
        await volume.delete_folder(op, folder)
    assert not tmp_path.joinpath(*folder.directory).exists()
    assert await volume.trash() == []
    calls.begin()
    await volume.delete_folder(op, folder)
    assert [entry.id for entry in await volume.trash()] == [op.id]


FILES = [SmallFile(RelativePath.parse(name), name.encode()) for name in ("a/1", "a/2", "b/3", "4")]
UPLOAD = "5" * 32
#: Syncs of their names: of the last directory where order is kept; else of the two made, and each they are put in.
STORING = {"ext4": 1, "nfs4": 5}


#: Syncs until an upload cannot be lost any more where it is: its bytes; where order is not kept, its name and that
#: of the place it is in.
STAGING = {"ext4": 1, "nfs4": 3}


async def test_an_upload_is_durable_where_it_is_and_then_under_its_name(
    volume: VfsVolume, calls: Calls, file_system: str, folder: VFolderId
) -> None:
    await volume.create_folder(Operation(uuid4(), 1), folder, 0o755)
    files, session, path = volume.files(folder), uuid4().hex, RelativePath.parse("a")
    calls.begin()
    assert (await files.stage_whole(session, b"abc", path)).size_bytes == 3
    assert calls.made.count("fsync") == STAGING[file_system]
    calls.begin()
    assert (await files.sync_staging(session, path)).size_bytes == 3
    assert calls.made.count("fsync") == STAGING[file_system]
    assert "rename" not in calls.made
    calls.begin()
    await files.commit_staging(session, path)
    assert calls.made == ["rename", "fsync"]


async def test_an_upload_with_all_its_bytes_is_not_begun_if_they_are_not_durable(
    volume: VfsVolume, calls: Calls, folder: VFolderId, tmp_path: Path, file_system: str
) -> None:
    await volume.create_folder(Operation(uuid4(), 1), folder, 0o755)
    for turn in range(1, STAGING[file_system] + 1):
        calls.fail("fsync", turn, errno.EIO)
        with pytest.raises(PenstockError):
            await volume.files(folder).stage_whole(UPLOAD, b"abc", RelativePath.parse("a"))
        assert list(tmp_path.joinpath(*folder.directory).rglob("*")) == []


async def test_names_that_are_told_of_are_durable(volume: VfsVolume, calls: Calls, folder: VFolderId) -> None:
    await volume.create_folder(Operation(uuid4(), 1), folder, 0o755)
    files = volume.files(folder)
    for name in ("d", "d/e"):
        await make_directory(files, RelativePath.parse(name))
    calls.begin()
    # Whoever has made it may have been killed before it was durable.
    await make_directory(files, RelativePath.parse("d"), exist_ok=True)
    assert calls.made == ["mkdir", "fsync"]
    await files.store_many(UPLOAD, FILES)
    paths = [file.path for file in FILES]
    calls.begin()
    for path in paths:
        assert await files.delete(path, recursive=False)
    await files.sync_names(paths)
    assert calls.made == ["fsync"] * len({path.parent for path in paths})
    gone = RelativePath.parse("d/e")
    assert await files.delete(gone.parent, recursive=True)
    calls.begin()
    await files.sync_names([gone])
    assert calls.made == [], "names in what is gone itself"


async def test_bytes_that_are_dropped_do_not_come_back(volume: VfsVolume, calls: Calls, folder: VFolderId) -> None:
    await volume.create_folder(Operation(uuid4(), 1), folder, 0o755)
    files = volume.files(folder)
    await files.stage_whole(UPLOAD, b"12345", FILES[0].path)
    staging = await files.open_staging(UPLOAD)
    calls.begin()
    await staging.truncate(2)
    assert calls.made[-1] == "fsync"
    await staging.close()


@pytest.mark.parametrize(
    ("seconds", "steps", "sound"),
    [(60, (5,), 0), (60, (3000, 2000, 40), 5000), (60, (5000, -1000, 2000), 4000), (0, (3000, 40), 3040)],
)
async def test_after_a_power_failure_only_synced_bytes_of_an_upload_count(
    volume: VfsVolume,
    folder: VFolderId,
    file_system: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    seconds: float,
    steps: tuple[int, ...],
    sound: int,
) -> None:
    """Appended, or dropped; on file systems of several hosts every write is synced."""
    monkeypatch.setattr(appending, "_SYNC_BYTES", 4096)
    monkeypatch.setattr(appending, "_SYNC_SECONDS", seconds)
    await volume.create_folder(Operation(uuid4(), 1), folder, 0o755)
    files, path, data = volume.files(folder), RelativePath.parse("a"), b""
    await files.create_staging(UPLOAD, destination=path, length=None)
    for step in steps:
        staging = await files.open_staging(UPLOAD)
        assert staging.offset == len(data)
        more = os.urandom(max(step, 0))
        data = data[: len(data) + min(step, 0)] + more
        await (staging.append([more]) if more else staging.truncate(len(data)))
        await staging.close()
    assert await files.staged_bytes(UPLOAD) == len(data)
    monkeypatch.setattr(lasting, "boot_id", lambda: b"next")
    sound = sound if file_system == "ext4" else len(data)
    if sound < len(data):
        place = tmp_path.joinpath(*folder.directory, ".upload", UPLOAD)
        os.truncate(place, sound)
        os.truncate(place, len(data))  # its length is there, and its last bytes are not
    assert await files.staged_bytes(UPLOAD) == sound
    handle = await files.read_staging(UPLOAD)
    assert handle.stat.size_bytes == sound
    await handle.close()
    assert (await files.sync_staging(UPLOAD, path)).size_bytes == sound
    staging = await files.open_staging(UPLOAD)
    assert staging.offset == sound
    await staging.append([data[sound:]])
    await staging.close()
    assert (await files.sync_staging(UPLOAD, path)).size_bytes == len(data)
    monkeypatch.setattr(lasting, "boot_id", lambda: b"after-that")
    assert await files.staged_bytes(UPLOAD) == len(data), "it was synced"
    await files.commit_staging(UPLOAD, path)
    done = tmp_path.joinpath(*folder.directory, "a")
    assert done.read_bytes() == data
    assert os.listxattr(done) == []


@pytest.mark.parametrize("fails", ["as it is stored", "at its end", "as some is dropped"])
async def test_bytes_that_could_not_be_synced_do_not_count(
    volume: VfsVolume,
    folder: VFolderId,
    file_system: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    fails: str,
) -> None:
    """The kernel tells of it once; where every write is synced there is nothing that could be lost."""
    monkeypatch.setattr(appending, "_SYNC_BYTES", 4096)
    await volume.create_folder(Operation(uuid4(), 1), folder, 0o755)
    files, path, data = volume.files(folder), RelativePath.parse("a"), os.urandom(12_000)
    await files.create_staging(UPLOAD, destination=path, length=None)
    staging = await files.open_staging(UPLOAD)
    await staging.append([data[:5000]])
    await staging.append([data[5000:7000]])

    def fail_once(fd: int) -> None:
        patch.undo()
        raise OSError(errno.EIO, "the disk failed")

    with monkeypatch.context() as patch:
        for call in ("fsync", "fdatasync"):
            patch.setattr(os, call, fail_once)
        match fails:
            case "as it is stored" if file_system == "ext4":
                with pytest.raises(BackendFaultError):
                    await staging.append([data[7000:]])
            case "as some is dropped":
                with pytest.raises(BackendFaultError):
                    await staging.truncate(6000)
            case _:
                await staging.close()
                with pytest.raises(BackendFaultError):
                    await files.sync_staging(UPLOAD, path)
    await staging.close()
    left = 5000 if file_system == "ext4" else 6000 if fails == "as some is dropped" else 7000
    assert await files.staged_bytes(UPLOAD) == left
    assert (await files.sync_staging(UPLOAD, path)).size_bytes == left
    staging = await files.open_staging(UPLOAD)
    assert staging.offset == left
    await staging.append([data[left:]])
    await staging.close()
    assert (await files.sync_staging(UPLOAD, path)).size_bytes == len(data)
    await files.commit_staging(UPLOAD, path)
    assert tmp_path.joinpath(*folder.directory, "a").read_bytes() == data


async def test_bytes_of_many_files_are_durable_before_one_has_its_name(
    volume: VfsVolume, calls: Calls, file_system: str, folder: VFolderId
) -> None:
    await volume.create_folder(Operation(uuid4(), 1), folder, 0o755)
    calls.begin()
    await volume.files(folder).store_many(UPLOAD, FILES)
    first = calls.made.index("rename")
    assert calls.made[:first].count("fsync") >= len(FILES)
    assert calls.made.count("rename") == len(FILES)
    assert calls.made.count("fsync") - len(FILES) == STORING[file_system]
    assert calls.made[-1] == "fsync"


@pytest.mark.parametrize("turn", [1, len(FILES)])
async def test_of_many_files_none_is_there_whose_bytes_are_not_durable(
    volume: VfsVolume, calls: Calls, folder: VFolderId, tmp_path: Path, turn: int
) -> None:
    await volume.create_folder(Operation(uuid4(), 1), folder, 0o755)
    calls.fail("fsync", turn, errno.ENOSPC)
    with pytest.raises(StorageFullError):
        await volume.files(folder).store_many(UPLOAD, FILES)
    assert list(tmp_path.joinpath(*folder.directory).rglob("*")) == []


async def test_what_a_crash_leaves_of_many_files_goes_with_their_upload(
    volume: VfsVolume, folder: VFolderId, tmp_path: Path
) -> None:
    await volume.create_folder(Operation(uuid4(), 1), folder, 0o755)
    files = volume.files(folder)
    for session in (UPLOAD, "6" * 32):
        await files.create_staging(session, destination=FILES[0].path, length=1)
    area = tmp_path.joinpath(*folder.directory, ".upload")
    for name in part_names(UPLOAD, 3):
        (area / name).touch()
    await files.discard_staging(UPLOAD)
    assert [path.name for path in area.iterdir()] == ["6" * 32]


async def test_only_where_other_hosts_write_every_piece_waits_for_the_storage(
    volume: VfsVolume, folder: VFolderId, file_system: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    await volume.create_folder(Operation(uuid4(), 1), folder, 0o755)
    files = volume.files(folder)
    await files.stage_whole(UPLOAD, b"12345", FILES[0].path)
    written, real = [], os.pwritev

    def pwritev(fd: int, views: list[memoryview], offset: int) -> int:
        waits = bool(fcntl.fcntl(fd, fcntl.F_GETFL) & os.O_DSYNC)
        written.append((offset, sum(map(len, views)), waits))
        return real(fd, views, offset)

    monkeypatch.setattr(os, "pwritev", pwritev)
    data = os.urandom((5 << 20) + 17)
    staging = await files.open_staging(UPLOAD)
    await staging.append([b"67", data[: 3 << 20], data[3 << 20 :]])
    await staging.close()
    if file_system == "ext4":
        assert written == [(5, len(data) + 2, False)]
    else:
        mib = 1 << 20
        assert written == [(5 + turn * mib, mib, True) for turn in range(5)] + [(5 + 5 * mib, 19, True)]
    handle = await files.read_staging(UPLOAD)
    assert await handle.read(0, 6 << 20) == b"1234567" + data
    await handle.close()


def test_the_kind_of_a_file_system_is_read_from_the_mount_table() -> None:
    table = "36 35 8:1 / /data rw,relatime shared:1 - xfs /dev/sda1 rw\n35 1 0:5 / / rw - overlay overlay rw\n"
    assert mounted_as("/data/volume", table).keeps_order
    assert not mounted_as("/elsewhere", table).keeps_order
