"""Archives whose download broke off in the middle of a large file, and files that change while they are sent."""

from __future__ import annotations

import asyncio
import io
import os
import zipfile
from collections.abc import AsyncIterator, Callable
from functools import partial
from pathlib import Path
from typing import Any

import aiohttp
import anyio
import pytest
from anyio import to_thread
from harness.served import FORMS, Served, served
from harness.unpacked import files_of
from harness.world import World, open_world

from backends.mounted.files import MountedFiles, MountedReadHandle
from domain.errors import BackendFaultError
from gateway.archive import blocks, contents
from gateway.transfer import send

pytestmark = pytest.mark.anyio

#: Forms whose every byte has its place before one is sent.
SIZED = ("zip", "tar")
SIZE = 8 << 20
MIB = 1 << 20


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with open_world(tmp_path) as opened:
        await opened.make_folder()
        (opened.folder / "d").mkdir()
        for name in "ab":
            (opened.folder / "d" / name).write_bytes(os.urandom(SIZE))
        yield opened


@pytest.fixture
async def archives(world: World) -> AsyncIterator[Served]:
    async with served(world) as found:
        yield found


@pytest.fixture(autouse=True)
def short_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blocks, "BLOCK_BYTES", MIB)


class Reads:
    """Bytes that are read of files; reads that begin where it `holds` wait until they may go on."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.holds: Callable[[int], bool] = lambda offset: False
        self.go_on = anyio.Event()
        self.waiting = 0
        self.bytes = 0
        read = MountedReadHandle.read

        async def reading(handle: MountedReadHandle, offset: int, count: int) -> bytes:
            if self.holds(offset):
                self.waiting += 1
                await self.go_on.wait()
            data = await read(handle, offset, count)
            self.bytes += len(data)
            return data

        monkeypatch.setattr(MountedReadHandle, "read", reading)


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> Reads:
    return Reads(monkeypatch)


def forget(world: World) -> None:
    """Another gateway has never seen the bytes."""
    known = world.gate.checksums[world.volume.name]
    known._known.clear()
    known._begun.clear()


async def part(archives: Served, whole: bytes, start: int, end: int | None = None) -> None:
    answer = await archives.get("zip", headers={"Range": f"bytes={start}-{'' if end is None else end - 1}"})
    assert (answer.status, answer.body == whole[start:end]) == (206, True)


def directory(whole: bytes) -> int:
    """Where the directory begins."""
    return whole.index(b"PK\1\2", 2 * SIZE)


async def test_what_was_sent_before_it_broke_is_not_read_again(
    world: World, archives: Served, reads: Reads
) -> None:
    whole = (await archives.get("zip")).body
    forget(world)
    reads.bytes = 0
    await part(archives, whole, 0, 5 * MIB)
    assert reads.bytes <= 5 * MIB
    await part(archives, whole, 5 * MIB)
    # The file in which it broke, but for one block, was read once for all of its bytes and its checksum.
    assert reads.bytes <= 2 * SIZE + 2 * MIB


async def test_by_another_gateway_only_what_is_missing_is_read(
    world: World, archives: Served, reads: Reads
) -> None:
    whole = (await archives.get("zip")).body
    forget(world)
    reads.bytes = 0
    await part(archives, whole, 5 * MIB)
    assert reads.bytes <= 2 * SIZE + 2 * MIB
    reads.bytes = 0
    await part(archives, whole, 5 * MIB)
    assert reads.bytes <= len(whole) - 5 * MIB, "it is kept"


async def test_several_connections_share_the_work(world: World, archives: Served, reads: Reads) -> None:
    whole = (await archives.get("zip")).body
    forget(world)
    reads.bytes = 0
    async with anyio.create_task_group() as tasks:
        for _ in range(6):
            tasks.start_soon(part, archives, whole, directory(whole))
    # Each of them tells the checksums of both files, and has none of their bytes.
    assert reads.bytes == 2 * SIZE


async def left_while_it_is_read(world: World, archives: Served, reads: Reads) -> bytes:
    """Ask for the end of an archive, and leave while its first file is read for that; returns the whole archive."""
    whole = (await archives.get("zip")).body
    forget(world)
    reads.bytes, reads.holds = 0, lambda offset: offset >= 4 * MIB
    _, writer = await asyncio.open_connection("127.0.0.1", archives.port)
    target = f"/?form=zip&path=d HTTP/1.1\r\nHost: x\r\nRange: bytes={directory(whole)}-\r\n\r\n"
    writer.write(f"GET {target}".encode())
    await world.settled(lambda: reads.waiting)
    writer.transport.abort()
    return whole


async def test_who_leaves_has_not_read_for_nothing(world: World, archives: Served, reads: Reads) -> None:
    whole = await left_while_it_is_read(world, archives, reads)
    reads.go_on.set()
    await part(archives, whole, directory(whole))
    assert reads.bytes == 2 * SIZE


async def test_nothing_is_read_for_who_has_left(
    world: World, archives: Served, reads: Reads, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(send, "_LOST_SECONDS", 0.01)
    await left_while_it_is_read(world, archives, reads)
    await anyio.sleep(0.3)
    reads.go_on.set()
    await anyio.sleep(0.3)
    assert reads.bytes <= 6 * MIB


async def test_what_can_be_sent_is_sent_before_a_checksum_is_known(
    world: World, archives: Served, reads: Reads
) -> None:
    whole = (await archives.get("zip")).body
    forget(world)
    start = 5 * MIB + MIB // 2
    reads.waiting, reads.holds = 0, lambda offset: offset < 5 * MIB
    reader, writer = await asyncio.open_connection("127.0.0.1", archives.port)
    writer.write(f"GET /?form=zip&path=d HTTP/1.1\r\nHost: x\r\nRange: bytes={start}-\r\n\r\n".encode())
    await reader.readuntil(b"\r\n\r\n")
    # All of the first file comes, and nothing of what stands behind it.
    end = whole.index(b"PK\7\x08", SIZE)
    with anyio.fail_after(20):
        assert await reader.readexactly(end - start) == whole[start:end]
    assert reads.waiting, "and meanwhile its begin is read"
    reads.go_on.set()
    with anyio.fail_after(20):
        assert await reader.readexactly(len(whole) - end) == whole[end:]
    writer.close()


async def test_a_file_that_changed_since_is_not_summed_up_from_what_it_was(world: World, archives: Served) -> None:
    first = await archives.get("zip")
    path = world.folder / "d" / "a"
    known = path.stat()
    with path.open("r+b") as file:
        file.write(b"other")
    os.utime(path, ns=(known.st_atime_ns, known.st_mtime_ns))
    # Neither length nor time tell, but everything that is told of it is right.
    again = await archives.get("zip", headers={"Range": "bytes=1000-", "If-Range": first.headers["ETag"]})
    assert (again.status, again.body[:1000] == first.body[:1000]) == (200, False)
    assert files_of("zip", again.body)["a"][:5] == b"other"


def while_reading(monkeypatch: pytest.MonkeyPatch, offset: int, change: Callable[[], object]) -> None:
    """Have something happen once a file was read up to an offset."""
    read = MountedReadHandle.read
    left = [change]

    async def reading(handle: MountedReadHandle, begin: int, count: int) -> bytes:
        data = await read(handle, begin, count)
        if begin + len(data) >= offset and left:
            await to_thread.run_sync(left.pop())
        return data

    monkeypatch.setattr(MountedReadHandle, "read", reading)


def overwrite(path: Path) -> None:
    with path.open("r+b") as file:
        file.write(b"other")


def overwrite_secretly(path: Path) -> None:
    known = path.stat()
    overwrite(path)
    os.utime(path, ns=(known.st_atime_ns, known.st_mtime_ns))


def overwrite_and_remove(path: Path) -> None:
    overwrite(path)
    path.unlink()


def overwrite_and_replace(path: Path) -> None:
    overwrite(path)
    (path.parent.parent / "another").write_bytes(bytes(SIZE))
    (path.parent.parent / "another").replace(path)


def shorten(path: Path) -> None:
    os.truncate(path, 5 * MIB)


@pytest.mark.parametrize(
    "change", [overwrite, overwrite_secretly, overwrite_and_remove, overwrite_and_replace, shorten]
)
@pytest.mark.parametrize("form", FORMS)
async def test_a_file_that_is_changed_in_its_place_while_it_is_sent(
    world: World, archives: Served, monkeypatch: pytest.MonkeyPatch, form: str, change: Callable[[Path], None]
) -> None:
    while_reading(monkeypatch, 4 * MIB, partial(change, world.folder / "d" / "a"))
    if form in SIZED:
        with pytest.raises(aiohttp.ClientError):
            await archives.get(form)
        return
    found = files_of(form, (await archives.get(form)).body)
    (line,) = found["_ERRORS.txt"].decode().splitlines()
    zeros = "its last 3145728 bytes are zeros"
    told = zeros if change is shorten else "some of its bytes are older than others"
    assert line == f"a: changed or gone; {told}"
    assert (len(found["a"]), len(found["b"])) == (SIZE, SIZE)


@pytest.mark.parametrize("size", [100, SIZE])
@pytest.mark.parametrize("form", FORMS)
async def test_a_file_whose_bytes_were_changed_secretly_before_it_is_sent(
    world: World, archives: Served, monkeypatch: pytest.MonkeyPatch, form: str, size: int
) -> None:
    """Parts of an archive that are sent by several connections have to fit; one that is sent at once is whole."""
    (world.folder / "d" / "c").write_bytes(b"x" * size)
    while_reading(monkeypatch, 4 * MIB, partial(overwrite_secretly, world.folder / "d" / "c"))
    if form in SIZED:
        with pytest.raises(aiohttp.ClientError):
            await archives.get(form)
        return
    assert files_of(form, (await archives.get(form)).body)["c"] == b"other" + b"x" * (size - 5)


@pytest.mark.parametrize("form", FORMS)
async def test_where_nothing_may_be_missing_it_ends_the_archive(
    world: World, archives: Served, monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    while_reading(monkeypatch, 4 * MIB, partial(overwrite, world.folder / "d" / "a"))
    with pytest.raises(aiohttp.ClientError):
        await archives.get(form, strict=True)


@pytest.mark.parametrize("form", FORMS)
async def test_a_file_that_is_replaced_or_removed_is_sent_as_it_was(
    world: World, archives: Served, monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    path, data = world.folder / "d" / "a", (world.folder / "d" / "a").read_bytes()

    def replace() -> None:
        new = path.with_name("new")
        new.write_bytes(b"new")
        new.replace(path)

    for change in (replace, path.unlink):
        path.write_bytes(data)
        with monkeypatch.context() as patched:
            while_reading(patched, 4 * MIB, change)
            assert files_of(form, (await archives.get(form)).body)["a"] == data


async def test_a_file_that_was_replaced_long_after_it_was_changed(
    world: World, archives: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is looked at from time to time, not only at its end."""
    monkeypatch.setattr(contents, "_LOOK_BYTES", 2 * MIB)
    path = world.folder / "d" / "a"
    while_reading(monkeypatch, 3 * MIB, partial(overwrite, path))
    while_reading(monkeypatch, 7 * MIB, path.unlink)
    with pytest.raises(aiohttp.ClientError):
        await archives.get("zip")


class Disk:
    """A disk that does not give the end of some files."""

    def __init__(self, directory: Path) -> None:
        self._numbers = {path.name: path.stat().st_ino for path in directory.iterdir()}
        self.broken: tuple[str, ...] = ()

    def give(self, name: str) -> None:
        """Give all of a file."""
        if name in self.broken:
            raise BackendFaultError("the storage failed: EIO")

    def give_some(self, number: int, end: int, size: int) -> None:
        """Give a file's bytes up to an offset."""
        if end > min(MIB, size - 1):
            self.give(next(name for name, known in self._numbers.items() if known == number))


@pytest.fixture
def disk(world: World, monkeypatch: pytest.MonkeyPatch) -> Disk:
    directory = world.folder / "d"
    (directory / "c").write_bytes(b"ccc")
    (directory / "e").write_bytes(b"eee")
    disk, read_many, read = Disk(directory), MountedFiles.read_many, MountedReadHandle.read

    async def reading_many(self: MountedFiles, paths: Any, **more: Any) -> Any:
        for path in paths:
            disk.give(path.name)
        return await read_many(self, paths, **more)

    async def reading(self: MountedReadHandle, offset: int, count: int) -> bytes:
        disk.give_some(self.stat.identity, offset + count, self.stat.size_bytes)
        return await read(self, offset, count)

    monkeypatch.setattr(MountedFiles, "read_many", reading_many)
    monkeypatch.setattr(MountedReadHandle, "read", reading)
    return disk


@pytest.mark.parametrize("form", [form for form in FORMS if form not in SIZED])
async def test_a_file_that_cannot_be_read_is_told(archives: Served, disk: Disk, form: str) -> None:
    disk.broken = ("b", "c")
    found = files_of(form, (await archives.get(form)).body)
    assert set(found) == {"a", "b", "e", "_ERRORS.txt"}
    assert found["_ERRORS.txt"].decode().splitlines() == [
        f"b: backend-fault; its last {SIZE - MIB} bytes are zeros",
        "c: backend-fault",
    ]


@pytest.mark.parametrize("form", SIZED)
async def test_a_file_that_cannot_be_read_ends_the_archive_and_is_told_in_the_next_one(
    archives: Served, disk: Disk, form: str
) -> None:
    whole = await archives.get(form)
    disk.broken = ("b", "c")
    for _ in ("b", "c"):
        with pytest.raises(aiohttp.ClientError):
            await archives.get(form)
    again = await archives.get(form, headers={"Range": "bytes=5-", "If-Range": whole.headers["ETag"]})
    found = files_of(form, again.body)
    assert (again.status, set(found)) == (200, {"a", "e", "_ERRORS.txt"}), "it is another archive"
    assert found["_ERRORS.txt"].decode().splitlines() == ["b: backend-fault", "c: backend-fault"]
    assert (await archives.get(form, strict=True)).status == 409
    rest = await archives.get(form, headers={"Range": "bytes=5-", "If-Range": again.headers["ETag"]})
    assert (rest.status, rest.body) == (206, again.body[5:])


@pytest.mark.parametrize("form", SIZED)
async def test_a_file_that_can_be_read_again_is_not_left_out(archives: Served, disk: Disk, form: str) -> None:
    disk.broken = ("b",)
    with pytest.raises(aiohttp.ClientError):
        await archives.get(form)
    assert "b" not in files_of(form, (await archives.get(form)).body)
    disk.broken = ()
    assert set(files_of(form, (await archives.get(form)).body)) == {"a", "b", "c", "e"}


async def test_a_large_zip_is_what_others_find_in_it(archives: Served, world: World) -> None:
    with zipfile.ZipFile(io.BytesIO((await archives.get("zip")).body)) as archive:
        assert archive.testzip() is None
        assert archive.read("b") == (world.folder / "d" / "b").read_bytes()


@pytest.mark.parametrize("form", ["zip", "tar"])
async def test_a_part_that_ends_in_a_file_is_not_whole_if_the_file_was_changed(
    world: World, archives: Served, monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    """Nothing of the archive comes behind it by whose absence that would show."""
    path = world.folder / "d" / "a"
    begin = (await archives.get(form)).body.index(path.read_bytes()[:100])

    def overwrite_what_comes() -> None:
        with path.open("r+b") as file:
            file.seek(3 * MIB)
            file.write(b"other")

    while_reading(monkeypatch, 3 * MIB, overwrite_what_comes)
    with pytest.raises(aiohttp.ClientError):
        await archives.get(form, headers={"Range": f"bytes={begin}-{begin + 4 * MIB - 1}"})
