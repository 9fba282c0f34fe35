"""What is told of changes on a volume itself: in order, durable, by many processes at once, whoever dies."""

from __future__ import annotations

import errno
import fcntl
import os
import signal
import threading
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

import anyio
import pytest
from harness.dying import child_that, dies_at
from harness.ordered import FOLDER, SCOPE, keep_order, open_ordered
from harness.placing import CALLS, made

from backends.contract import Tell
from backends.mounted import arrivals, outbox_parts
from backends.mounted.area import Area
from backends.mounted.arrivals import Arrivals
from backends.mounted.beneath import Beneath, open_root
from backends.mounted.outbox_parts import OutboxParts
from backends.powers import Arrival, Recovered, WholeUpload
from backends.vfs.volume import VfsVolume
from domain.errors import BackendFaultError, BackendUnavailableError, NotFoundError, PenstockError, StorageFullError
from domain.ids import VFolderId
from domain.paths import RelativePath

pytestmark = pytest.mark.anyio


@pytest.fixture(autouse=True)
def ordered(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the tests run on is taken for a file system that keeps the order of changes."""
    keep_order(monkeypatch)


@pytest.fixture
async def volume(tmp_path: Path) -> AsyncIterator[VfsVolume]:
    async with open_ordered(tmp_path) as opened:
        yield opened


@pytest.fixture
def area(tmp_path: Path) -> Iterator[Area]:
    with open_root(tmp_path) as mount:
        found = Area(mount)
        found.prepare()
        yield found


def opened(area: Area) -> OutboxParts:
    parts = OutboxParts(area)
    parts.open()
    return parts


def entries(parts: OutboxParts) -> list[bytes]:
    """All that was written, in order."""
    found: list[bytes] = []
    for part in names_of(parts):
        at = 0
        while some := parts.read(part, at):
            found += [entry.data for entry in some]
            at = some[-1].end
    return found


def names_of(parts: OutboxParts) -> list[str]:
    return [name for name, _ in parts.parts()]


async def told(volume: VfsVolume) -> list[bytes]:
    assert volume.outbox is not None
    return await anyio.to_thread.run_sync(entries, volume.outbox.written)


def arrivals_of(area: Area, parts: OutboxParts) -> Arrivals:
    found = Arrivals(area, parts)
    found.open()
    return found


def path(text: str) -> RelativePath:
    return RelativePath.parse(text)


# --- writing and reading ------------------------------------------------------------------------------


def test_entries_are_read_in_the_order_in_which_they_were_written(area: Area) -> None:
    first, second = opened(area), opened(area)
    written = [b"%d" % number for number in range(40)]
    for number, entry in enumerate(written):
        assert (first, second)[number % 2].put(entry)
    assert entries(first) == entries(second) == written
    (part,) = names_of(first)
    (some, *rest) = first.read(part, 0)
    assert [entry.data for entry in first.read(part, some.end)] == written[1:]
    assert not any(entry.again for entry in (some, *rest))
    assert second.put(b"twice", again=True)
    assert [(entry.data, entry.again) for entry in first.read(part, rest[-1].end)] == [(b"twice", True)]


def test_a_mark_differs_once_anything_was_written(area: Area, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbox_parts, "_TICK_NS", -1)
    first, second = opened(area), opened(area)
    marks = [first.mark()]
    for writer in (first, second, first):
        assert writer.put(b"x")
        marks.append(first.mark())
    assert None not in marks
    assert len(set(marks)) == 4
    assert first.mark() == marks[-1]


def test_a_mark_is_not_trusted_where_the_clock_could_hide_another_part(area: Area) -> None:
    """A part that somebody made within the same tick as the last one does not show by the directory's time."""
    parts = opened(area)
    assert parts.mark() is None
    time.sleep(outbox_parts._TICK_NS / 1e9 + 0.02)
    assert parts.parts()
    assert parts.mark() is not None


def test_a_mark_of_what_cannot_be_looked_at(area: Area, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on XFS that has shut down: that is told where it can be waited for."""
    monkeypatch.setattr(outbox_parts, "_TICK_NS", -1)
    parts, fstat = opened(area), os.fstat
    assert parts.put(b"a")
    told = parts.mark()
    for number in (1, 2):
        left = number

        def fail(fd: int) -> os.stat_result:
            nonlocal left
            left -= 1
            if not left:
                raise OSError(errno.EIO, "the file system has shut down")
            return fstat(fd)

        with monkeypatch.context() as patch:
            patch.setattr(os, "fstat", fail)
            assert parts.mark() is None
    assert parts.mark() == told is not None
    parts.close()


def test_many_threads_and_instances_write_at_once(area: Area, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbox_parts, "_PART_BYTES", 400)
    monkeypatch.setattr(outbox_parts, "_PARTS", 10_000)
    instances = [opened(area) for _ in range(3)]

    def write(worker: int) -> None:
        for number in range(50):
            assert instances[worker % 3].put(b"%d %d" % (worker, number))

    threads = [threading.Thread(target=write, args=(worker,)) for worker in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = entries(instances[0])
    assert len(names_of(instances[0])) > 3
    assert len(found) == len(set(found)) == 300
    for worker in range(6):
        mine = [entry for entry in found if entry.startswith(b"%d " % worker)]
        assert mine == [b"%d %d" % (worker, number) for number in range(50)], "who writes later comes later"


def test_who_writes_after_another_part_was_begun_writes_there(area: Area, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else what was told of later, by somebody who has not noticed, would be read before."""
    first, second = opened(area), opened(area)
    assert first.put(b"1")
    assert second.put(b"2")
    monkeypatch.setattr(outbox_parts, "_PART_BYTES", 1)
    assert first.put(b"3")
    monkeypatch.undo()
    assert second.put(b"4")
    assert first.put(b"5")
    before, after = names_of(first)
    assert [entry.data for entry in first.read(before, 0)] == [b"1", b"2", b"3"]
    assert [entry.data for entry in first.read(after, 0)] == [b"4", b"5"]


def test_what_a_process_left_half_written_is_passed_over(area: Area, tmp_path: Path) -> None:
    parts = opened(area)
    assert parts.put(b"before")
    (name,) = names_of(parts)
    with (tmp_path / ".penstock/outbox" / name).open("ab") as file:
        file.write(b"\x50\0\0\0torn")
    assert parts.put(b"after")
    assert entries(parts) == [b"before", b"after"]


def test_entries_longer_than_what_is_read_at_once(area: Area) -> None:
    parts = opened(area)
    long = os.urandom(outbox_parts._READ_BYTES + 1)
    assert parts.put(b"a")
    assert parts.put(long)
    assert parts.put(b"b")
    assert entries(parts) == [b"a", long, b"b"]
    assert not parts.put(bytes(outbox_parts._ENTRY_BYTES)), "it has to be told some other way"


@pytest.mark.parametrize("call", ["write", "fdatasync"])
def test_a_storage_that_fails(area: Area, monkeypatch: pytest.MonkeyPatch, call: str) -> None:
    parts = opened(area)
    assert parts.put(b"before")

    def fail(*_: object) -> int:
        raise OSError(errno.EIO, "gone wrong")

    with monkeypatch.context() as patch:
        patch.setattr(os, call, fail)
        if call == "write":
            assert not parts.put(b"x"), "nothing was written: it has to be told some other way"
        else:
            with pytest.raises(BackendFaultError):
                parts.put(b"x")
    assert parts.put(b"after")
    # Behind what may be lost nothing is written that must not be.
    assert len(parts.parts()) == (1 if call == "write" else 2)


def test_a_storage_that_is_full_tears_an_entry(area: Area, monkeypatch: pytest.MonkeyPatch) -> None:
    parts = opened(area)
    write = os.write
    with monkeypatch.context() as patch:
        patch.setattr(os, "write", lambda fd, data: write(fd, data[:9]))
        assert not parts.put(b"torn, and told some other way")
    assert parts.put(b"after")
    assert entries(parts) == [b"after"]


# --- parts --------------------------------------------------------------------------------------------


def test_a_part_goes_when_it_was_read_and_nobody_can_write_to_it(
    area: Area, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox_parts, "_PART_BYTES", 1)
    first, second = opened(area), opened(area)
    assert first.put(b"1")
    assert first.put(b"2")
    old, middle, newest = names_of(first)
    end = first.read(old, 0)[-1].end
    assert not first.drop(old, 0), "not all of it was read"
    assert not first.drop(old, end), "the other one may be about to write there"
    assert names_of(second) == [old, middle, newest]
    assert first.drop(old, end)
    assert not first.drop(newest, 0), "it is the one that is written to"
    assert names_of(first) == [middle, newest]
    assert first.read(old, 0) == ()
    assert first.drop(old, end), "somebody else has done it"


def test_a_process_that_is_halted_keeps_its_part(area: Area, monkeypatch: pytest.MonkeyPatch) -> None:
    """It may have asked already where to write."""
    with child_that(lambda: opened(area)) as pid:
        os.kill(pid, signal.SIGSTOP)
        monkeypatch.setattr(outbox_parts, "_PART_BYTES", 1)
        parts = opened(area)
        assert parts.put(b"1")
        old = names_of(parts)[0]
        end = parts.read(old, 0)[-1].end
        assert not parts.drop(old, end)
    assert parts.drop(old, end), "a lock ends with its process"


def test_when_nobody_reads_nothing_more_is_taken(area: Area, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbox_parts, "_PART_BYTES", 100)
    monkeypatch.setattr(outbox_parts, "_PARTS", 3)
    first, second = opened(area), opened(area)
    taken = [parts.put(bytes(60)) for _ in range(10) for parts in (first, second)]
    assert len(names_of(first)) == 3
    assert taken[:4] == [True] * 4
    assert taken[-12:] == [False] * 12, "they have to be told some other way"
    assert entries(first) == [bytes(60)] * taken.count(True)
    assert opened(area).put(b"x") is False
    old = names_of(first)[0]
    second.close()
    assert first.drop(old, first.read(old, 0)[-1].end)
    assert first.put(b"there is room again")


def test_behind_what_may_be_lost_nothing_follows_though_there_is_no_room_for_another_part(
    area: Area, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox_parts, "_PARTS", 1)
    parts = opened(area)

    def fail(fd: int) -> None:
        raise OSError(errno.EIO, "gone wrong")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fdatasync", fail)
        with pytest.raises(BackendFaultError):
            parts.put(b"x")
    assert not parts.put(b"after")
    monkeypatch.setattr(outbox_parts, "_PARTS", 2)
    assert parts.put(b"after")
    assert [len(entries_of) for entries_of in (parts.read(name, 0) for name in names_of(parts))] == [1, 1]


def test_nobody_reads_what_a_power_failure_could_still_take(area: Area, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else the bus would know of what is not there, and pass over what is written in its place later."""
    writer, reader = opened(area), opened(area)
    syncs: list[str] = []
    fdatasync = os.fdatasync
    (name,) = names_of(reader)

    def sync(fd: int) -> None:
        """Somebody reads while the writer waits for the disk."""
        syncs.append("writer")
        monkeypatch.setattr(os, "fdatasync", lambda fd: (syncs.append("reader"), fdatasync(fd))[1])
        assert [entry.data for entry in reader.read(name, 0)] == [b"1", b"2"]
        assert syncs == ["writer", "reader"], "what is not known to be durable is made so"
        reader.read(name, 0)
        assert syncs == ["writer", "reader"]
        fdatasync(fd)

    monkeypatch.setattr(os, "fdatasync", sync)
    writer.put_all([b"1", b"2"])
    syncs.clear()
    assert [entry.data for entry in writer.read(name, 0)] == [b"1", b"2"]
    assert syncs == [], "its own sync was enough"


@pytest.mark.parametrize("written", [True, False])
def test_nothing_is_written_behind_what_another_life_has_left(area: Area, tmp_path: Path, written: bool) -> None:
    """A power failure, or a backup, may have left less of a part than the bus has taken over."""
    former = opened(area)
    assert former.put(b"1") is True
    assert former.put(b"2")
    (old,) = names_of(former)
    former.close()
    place = tmp_path / ".penstock/outbox" / old
    place.write_bytes(place.read_bytes()[: place.stat().st_size // 2 if written else 0])
    parts = opened(area)
    assert parts.put(b"3")
    assert [name > old for name in names_of(parts)] == ([False, True] if written else [True])
    assert entries(parts) == ([b"1", b"3"] if written else [b"3"])
    # Where somebody lives who writes there, it goes on.
    other = opened(area)
    assert other.put(b"4")
    assert len(names_of(parts)) == 1 + written


def test_an_outbox_without_room_for_its_first_part(area: Area, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.open

    def full(path: str, flags: int, *args: int, dir_fd: int | None = None) -> int:
        if flags & os.O_CREAT:
            raise OSError(errno.ENOSPC, "no space left")
        return real(path, flags, *args, dir_fd=dir_fd)

    with monkeypatch.context() as patch:
        patch.setattr(os, "open", full)
        parts = opened(area)
        assert not parts.put(b"x")
        assert parts.parts() == []
        assert parts.mark() is None
    assert parts.put(b"y")
    assert entries(parts) == [b"y"]


def test_who_closes_it_waits_for_no_thread_that_stands_still_in_it(
    area: Area, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts = opened(area)
    stands, goes_on = threading.Event(), threading.Event()
    real = os.listdir

    def hang(path: int) -> list[str]:
        stands.set()
        assert goes_on.wait(10)
        return real(path)

    monkeypatch.setattr(os, "listdir", hang)
    thread = threading.Thread(target=parts.parts)
    thread.start()
    assert stands.wait(10)
    parts.close()
    goes_on.set()
    thread.join()
    monkeypatch.undo()
    assert parts.put(b"its descriptors are still good")


# --- changes that are told of ---------------------------------------------------------------------------


async def test_one_sync_is_for_a_change_and_what_is_told_of_it(
    volume: VfsVolume, monkeypatch: pytest.MonkeyPatch
) -> None:
    syncs: list[str] = []
    for name in ("fsync", "fdatasync"):
        real = getattr(os, name)
        monkeypatch.setattr(os, name, lambda fd, name=name, real=real: (syncs.append(name), real(fd))[1])
    files = volume.files(FOLDER)

    def words(result: object) -> bytes:
        return repr(result).encode()

    made = Tell(words)
    failures = await files.make_directories([path("a"), path("b/c")], parents=True, exist_ok=False, tell=made)
    moved = Tell(words)
    assert not await files.move(path("a"), path("d"), tell=moved)
    assert await files.delete(path("d"), recursive=True)
    gone = Tell(words)
    await files.sync_names([path("d")], tell=gone)
    assert failures == [None, None]
    assert syncs == ["fdatasync"] * 3
    assert None not in [tell.place for tell in (made, moved, gone)]
    assert await told(volume) == [b"[None, None]", b"False", b"None"]


async def test_where_it_cannot_be_written_down_a_change_is_durable_all_the_same(
    volume: VfsVolume, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert volume.outbox is not None
    nothing_is_taken(monkeypatch, volume)
    synced: list[int] = []
    fsync = os.fsync
    monkeypatch.setattr(os, "fsync", lambda fd: (synced.append(fd), fsync(fd))[1])
    tell: Tell[object] = Tell(lambda _: b"x")
    await volume.files(FOLDER).make_directories([path("a")], parents=False, exist_ok=False, tell=tell)
    assert tell.place is None
    assert len(synced) == 1


async def test_of_nothing_nothing_is_told(volume: VfsVolume) -> None:
    tell: Tell[object] = Tell(lambda _: b"")
    await volume.files(FOLDER).make_directories([], parents=False, exist_ok=False, tell=tell)
    assert tell.place is None
    assert await told(volume) == []


# --- small files ----------------------------------------------------------------------------------------


def nothing_is_taken(patch: pytest.MonkeyPatch, volume: VfsVolume) -> None:
    assert volume.outbox is not None

    def put_all(entries: Sequence[bytes], *, again: bool = False) -> Sequence[None]:
        return [None] * len(entries)

    patch.setattr(volume.outbox.written, "put_all", put_all)


def upload(destination: str = "d/a", data: bytes = b"bytes", session: str = "ab12") -> WholeUpload:
    return WholeUpload(session, data, path(destination), b"note \xff\0", b"\1" * 32)


def arriving(root: Path) -> list[str]:
    return os.listdir(root / ".penstock/arriving")


async def test_a_small_file_is_there_whole_and_told_of(volume: VfsVolume, tmp_path: Path) -> None:
    tell: Tell[None] = Tell(lambda _: b"it is there")
    files = volume.files(FOLDER)
    assert await files.place_whole(upload(), tell)
    assert tell.place is not None
    place = tmp_path.joinpath(*FOLDER.directory) / "d/a"
    assert place.read_bytes() == b"bytes"
    assert (place.stat().st_nlink, place.stat().st_mode & 0o777) == (1, 0o644)
    handle = await files.open_read(path("d/a"))
    assert await handle.sha256() == b"\1" * 32
    await handle.close()
    assert await told(volume) == [b"it is there"]
    assert arriving(tmp_path) == []


@pytest.mark.parametrize("there", ["file", "directory", "link"])
async def test_what_is_there_is_left_alone(volume: VfsVolume, tmp_path: Path, there: str) -> None:
    place = tmp_path.joinpath(*FOLDER.directory) / "a"
    if there == "file":
        place.write_bytes(b"mine")
    elif there == "directory":
        place.mkdir()
    else:
        place.symlink_to("elsewhere")
    before = place.lstat()
    tell: Tell[None] = Tell(lambda _: b"x")
    assert not await volume.files(FOLDER).place_whole(upload("a"), tell)
    assert tell.place is None
    assert place.lstat() == before
    assert arriving(tmp_path) == await told(volume) == []


@pytest.mark.parametrize("destination", ["a/b", "link/b", "."])
async def test_what_leads_nowhere_or_out(volume: VfsVolume, tmp_path: Path, destination: str) -> None:
    folder = tmp_path.joinpath(*FOLDER.directory)
    (folder / "a").write_bytes(b"no directory")
    (folder / "link").symlink_to("/tmp")
    with pytest.raises(PenstockError):
        await volume.files(FOLDER).place_whole(upload(destination), Tell(lambda _: b"x"))
    assert arriving(tmp_path) == await told(volume) == []


async def test_what_is_being_stored_is_left_to_who_stores_it(volume: VfsVolume, tmp_path: Path) -> None:
    files = volume.files(FOLDER)
    assert await files.is_untouched("ab12")
    await files.create_staging("ab12", destination=path("a"), length=5)
    assert not await files.is_untouched("ab12")
    for claim, placed in ((lambda: True, False), (None, True)):
        whole = replace(upload("a"), claim=claim)
        assert await files.place_whole(whole, Tell(lambda _: b"x")) == placed
    await files.discard_staging("ab12")
    assert await files.is_untouched("ab12")
    assert await files.place_whole(replace(upload("b"), claim=lambda: True), Tell(lambda _: b"x"))


async def test_who_stores_it_sees_who_puts_it_at_its_place(
    volume: VfsVolume, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each makes its own first, and looks for the other's then."""
    files, seen = volume.files(FOLDER), list[object]()

    def look(root: Beneath, session: str) -> bool:
        seen.append(volume.outbox.arrivals.arriving() if volume.outbox else None)
        return False

    monkeypatch.setattr(arrivals, "exists", look)
    assert await files.place_whole(replace(upload("a"), claim=lambda: True), Tell(lambda _: b"x"))
    assert seen == [["ab12"]]


async def test_a_bar_holds_those_back_who_have_begun_already(
    volume: VfsVolume, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert volume.outbox is not None
    files = volume.files(FOLDER)
    await files.bar_whole("ab12")
    await files.bar_whole("ab12")
    for claim, placed in ((lambda: True, False), (None, True)):
        assert await files.place_whole(replace(upload("a"), claim=claim), Tell(lambda _: b"x")) == placed
    assert await volume.outbox.recover("ab12", lambda _: b"x") is Recovered.NOTHING
    assert await volume.outbox.arriving() == []
    assert arriving(tmp_path) == ["ab12."], "it stands for a second"
    monkeypatch.setattr(arrivals, "_LEAST_SECONDS", 0)
    assert await volume.outbox.arriving() == []
    assert arriving(tmp_path) == []


async def test_where_many_bars_are_put_up_few_are_there(
    volume: VfsVolume, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = volume.files(FOLDER)
    for number in range(20):
        await files.bar_whole(f"{number:032x}")
    assert len(arriving(tmp_path)) == 20
    (tmp_path / ".penstock/arriving" / f"{3:032x}.bm90ZQ").write_bytes(b"somebody may not have seen it")
    monkeypatch.setattr(arrivals, "_LEAST_SECONDS", 0)
    await files.bar_whole("ab12")
    assert sorted(arriving(tmp_path)) == [f"{3:032x}.", f"{3:032x}.bm90ZQ"]


def test_a_bar_stands_as_long_as_somebody_may_not_have_seen_it(
    area: Area, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts = opened(area)
    mine = arrivals_of(area, parts)

    def look(fd: int) -> None:
        monkeypatch.setattr(arrivals, "_LEAST_SECONDS", 0)
        mine.bar("ab12")
        other = arrivals_of(area, parts)
        other.lift()
        assert other.recover("ab12", lambda _: b"x") is Recovered.BUSY

    monkeypatch.setattr(arrivals, "write_out", look)
    with area.mount.below(()) as root:
        assert not made(parts, mine.place(root, replace(upload("a"), claim=lambda: True), Tell(lambda _: b"told")))
    assert arriving(tmp_path) == ["ab12."]
    assert not (tmp_path / "a").exists()


def test_a_bar_is_there_whoever_takes_old_ones_away(area: Area, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also the one that was just taken away when it was put up anew."""
    mine = arrivals_of(area, opened(area))
    mine.bar("ab12")
    utime, done = os.utime, list[int]()

    def slow(fd: int) -> None:
        if not done:
            done.append(fd)
            os.unlink("ab12.", dir_fd=mine._directory)
        utime(fd)

    monkeypatch.setattr(os, "utime", slow)
    mine.bar("ab12")
    assert mine._is_barred("ab12")


def test_whoever_looks_for_files_sees_them_all(area: Area, tmp_path: Path) -> None:
    """However many look at the same time."""
    mine = arrivals_of(area, opened(area))
    names = [f"ab{number}.bm90ZQ" for number in range(3)]
    for name in names:
        (tmp_path / ".penstock/arriving" / name).touch()
    wrong: list[list[str]] = []

    def look() -> None:
        wrong.extend(found for _ in range(2000) if len(found := mine.arriving()) != len(names))

    threads = [threading.Thread(target=look) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_who_was_taken_for_dead_before_it_had_its_lock_lets_go(
    area: Area, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(arrivals, "_LEAST_SECONDS", 0)
    parts = opened(area)
    mine = arrivals_of(area, parts)
    flock, others = fcntl.flock, list[Path]()

    def halted(fd: int, how: int) -> None:
        if not others:
            (left,) = (tmp_path / ".penstock/arriving").iterdir()
            left.unlink()
            left.write_bytes(b"another one's")
            others.append(left)
        flock(fd, how)

    monkeypatch.setattr(fcntl, "flock", halted)
    with area.mount.below(()) as root:
        assert not made(parts, mine.place(root, upload("d/a"), Tell(lambda _: b"told")))
    assert others[0].read_bytes() == b"another one's"
    assert not (tmp_path / "d").exists()


async def test_a_fault_behind_its_place_is_no_reason_to_try_it_again(
    volume: VfsVolume, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(fd: int) -> None:
        raise OSError(errno.EIO, "input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fdatasync", fails)
        with pytest.raises(BackendUnavailableError):
            await volume.files(FOLDER).place_whole(upload("a"), Tell(lambda _: b"x"))
    assert len(arriving(tmp_path)) == 1
    assert tmp_path.joinpath(*FOLDER.directory, "a").exists()


async def test_what_is_not_to_be_any_more_is_not_put_at_its_place(volume: VfsVolume, tmp_path: Path) -> None:
    asked: list[bool] = []

    def claim() -> bool:
        asked.append(not asked)
        return len(asked) > 1

    for placed in (False, True):
        whole = replace(upload("a"), claim=claim)
        assert await volume.files(FOLDER).place_whole(whole, Tell(lambda _: b"x")) == placed
        assert tmp_path.joinpath(*FOLDER.directory, "a").exists() == placed
    assert arriving(tmp_path) == []
    assert len(asked) == 2


async def test_a_file_to_come_is_expected_where_there_is_room(volume: VfsVolume, tmp_path: Path) -> None:
    await volume.files(FOLDER).expect_whole(5)
    with pytest.raises(StorageFullError):
        await volume.files(FOLDER).expect_whole(1 << 60)
    with pytest.raises(NotFoundError):
        await volume.files(VFolderId(SCOPE, uuid4())).expect_whole(5)
    assert not tmp_path.joinpath(*FOLDER.directory, ".upload").exists()


async def test_a_note_that_is_too_long(volume: VfsVolume, tmp_path: Path) -> None:
    too_long = WholeUpload("ab12", b"x", path("a"), bytes(200))
    assert not await volume.files(FOLDER).place_whole(too_long, Tell(lambda _: b"x"))
    assert arriving(tmp_path) == []


async def test_the_bytes_are_on_their_way_before_the_name_is(
    volume: VfsVolume, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A power failure must not leave the name without the bytes; nor the name without what is told of it."""
    calls: list[str] = []
    write_out = arrivals.write_out
    monkeypatch.setattr(arrivals, "write_out", lambda fd: (calls.append("bytes"), write_out(fd))[1])
    for name in ("link", "unlink", "fdatasync"):
        real = getattr(os, name)
        monkeypatch.setattr(
            os, name, lambda *args, name=name, real=real, **more: (calls.append(name), real(*args, **more))[1]
        )
    assert await volume.files(FOLDER).place_whole(upload("a"), Tell(lambda _: b"x"))
    assert calls == ["bytes", "link", "fdatasync", "unlink"]


async def test_what_cannot_be_told_of_now_is_told_of_later(
    volume: VfsVolume, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is there, and may have been seen: taking it away again could take away somebody else's."""
    monkeypatch.setattr(arrivals, "_LEAST_SECONDS", 0)
    assert volume.outbox is not None
    with monkeypatch.context() as patch:
        nothing_is_taken(patch, volume)
        with pytest.raises(StorageFullError):
            await volume.files(FOLDER).place_whole(upload(), Tell(lambda _: b"it is there"))
        assert await volume.outbox.recover("ab12", lambda arrival: arrival.note) is Recovered.UNTOLD
    assert len(arriving(tmp_path)) == 1
    assert await volume.outbox.arriving() == ["ab12"]
    assert await volume.outbox.recover("ab", lambda arrival: arrival.note) is Recovered.NOTHING
    assert await told(volume) == []
    assert await volume.outbox.recover("ab12", lambda arrival: arrival.note) is Recovered.ENDED
    assert await told(volume) == [b"note \xff\0"]
    assert arriving(tmp_path) == []


def test_whenever_its_process_dies_a_small_file_is_told_of_or_not_there(
    area: Area, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(arrivals, "_LEAST_SECONDS", 0)
    place = tmp_path / "d" / "a"
    kinds = set()
    for call in range(1, 100):
        parts = opened(area)
        mine = arrivals_of(area, parts)
        before = len(entries(parts))

        def put(mine: Arrivals = mine, parts: OutboxParts = parts) -> None:
            with area.mount.below(()) as root:
                assert made(parts, mine.place(root, upload(), Tell(lambda _: b"told at once")))

        died = dies_at(call, CALLS, put)
        found: list[Arrival] = []
        for _ in range(2):
            again = mine.recover("ab12", lambda arrival, found=found: (found.append(arrival), b"told later")[1])
            assert again is not Recovered.BUSY
        words = entries(parts)[before:]
        assert arriving(tmp_path) == []
        if place.exists():
            assert place.read_bytes() == b"bytes"
            assert words in ([b"told at once"], [b"told later"], [b"told at once", b"told later"])
            place.unlink()
            (tmp_path / "d").rmdir()
        else:
            assert words == []
        assert all((one.session, one.note, one.size_bytes) == ("ab12", b"note \xff\0", 5) for one in found)
        kinds.add(tuple(words))
        mine.close()
        parts.close()
        if not died:
            break
    assert not died
    assert kinds == {(), (b"told at once",), (b"told later",), (b"told at once", b"told later")}


def test_who_says_it_may_be_the_second_time_is_known(
    area: Area, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process that died behind its entry has told of its file: the bus looks whether it knows."""
    monkeypatch.setattr(arrivals, "_LEAST_SECONDS", 0)
    parts = opened(area)
    (tmp_path / ".penstock/arriving" / "ab12.bm90ZQ").write_bytes(b"x")
    os.link(tmp_path / ".penstock/arriving" / "ab12.bm90ZQ", tmp_path / "a")
    assert arrivals_of(area, parts).recover("ab12", lambda arrival: arrival.note) is Recovered.ENDED
    (part,) = names_of(parts)
    assert [(entry.data, entry.again) for entry in parts.read(part, 0)] == [(b"note", True)]


def test_a_file_somebody_is_at_is_left_alone(area: Area, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also in the moment before its maker has locked it."""
    parts = opened(area)
    mine = arrivals_of(area, parts)
    found: list[Recovered] = []

    def look(fd: int) -> None:
        monkeypatch.setattr(arrivals, "_LEAST_SECONDS", 0)
        found.append(arrivals_of(area, parts).recover("ab12", lambda _: b"x"))

    monkeypatch.setattr(arrivals, "write_out", look)
    with area.mount.below(()) as root:
        assert made(parts, mine.place(root, upload("a"), Tell(lambda _: b"told")))
    assert found == [Recovered.BUSY]
    assert entries(parts) == [b"told"]
    monkeypatch.undo()
    (tmp_path / ".penstock/arriving/cd34.bm90ZQ").write_bytes(b"")
    assert mine.recover("cd34", lambda _: b"x") is Recovered.BUSY
    assert arriving(tmp_path) == ["cd34.bm90ZQ"]
