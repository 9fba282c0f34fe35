"""Files that are written to while they are sent: nobody is given bytes of two states as one whole."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from functools import partial
from pathlib import Path

import aiohttp
import anyio
import pytest
from anyio import to_thread
from harness.world import FOLDER, World

from domain.errors import BackendUnavailableError, BusyError
from domain.ids import VFolderId
from domain.paths import RelativePath
from gateway.transfer.send import Outlet, Sender
from gateway.transfer.tail import TAIL_BYTES

pytestmark = [pytest.mark.anyio, pytest.mark.folder]

MIB = 1 << 20
PATH = RelativePath.parse("f")
#: Long before any test: whatever is written is another time, however coarse the file system's clock is.
LONG_AGO = (10**9, 10**9)


def make(world: World, size: int) -> Path:
    path = world.folder / "f"
    path.write_bytes(b"o" * size)
    os.utime(path, LONG_AGO)
    return path


def write_over(path: Path) -> None:
    """Other bytes in the same file, and its time set back, as `cp -p` does."""
    with path.open("r+b") as file:
        while file.tell() < path.stat().st_size:
            file.write(b"n" * min(MIB, path.stat().st_size - file.tell()))
    os.utime(path, LONG_AGO)


async def downloaded(world: World, size: int, first: int, change: Callable[[], object]) -> bytes | None:
    """Read a body up to `first` bytes, have something done, read the rest; None if it is not all there."""
    target = f"/download?token={await world.download_token('f')}"
    reader, writer = await asyncio.open_connection("127.0.0.1", world.client_port, limit=1 << 16)
    writer.write(f"GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
    try:
        head = await reader.readuntil(b"\r\n\r\n")
        assert f"Content-Length: {size}\r\n".encode() in head
        body = bytearray()
        while len(body) < first:
            body += await reader.read(min(1 << 16, first - len(body)))
        await anyio.sleep(0.3)  # the sockets are as full as they get
        await to_thread.run_sync(change)
        with anyio.fail_after(30):
            while len(body) < size and (piece := await reader.read(1 << 20)):
                body += piece
    except ConnectionError:
        return None
    finally:
        writer.close()
    return bytes(body) if len(body) == size else None


BIG = TAIL_BYTES + 24 * MIB


# [D15]
@pytest.mark.parametrize(
    ("size", "first"),
    [
        (MIB, 0),
        (3 * MIB, 1),
        (12 * MIB, 10 * MIB),
        (BIG, 1),
        (BIG, 20 * MIB),
        (BIG, BIG - TAIL_BYTES),
        (BIG, BIG - 8 * MIB),
        (BIG, BIG - MIB),
        (BIG, BIG - 1000),
    ],
)
async def test_a_file_that_is_written_over_is_never_mixed(world: World, size: int, first: int) -> None:
    body = await downloaded(world, size, first, partial(write_over, make(world, size)))
    assert body is None or body == b"o" * size


async def test_a_large_one_is_cut(world: World) -> None:
    assert await downloaded(world, BIG, MIB, partial(write_over, make(world, BIG))) is None


async def test_a_large_one_that_nobody_touches_is_whole(world: World) -> None:
    make(world, BIG)
    assert await downloaded(world, BIG, MIB, lambda: None) == b"o" * BIG


# [D15]
@pytest.mark.parametrize("in_pieces", [False, True])
@pytest.mark.parametrize("how", ["replaced", "removed"])
async def test_one_that_loses_its_name_is_sent_as_it_was(
    world: World, monkeypatch: pytest.MonkeyPatch, how: str, in_pieces: bool
) -> None:
    if in_pieces:
        monkeypatch.setattr(Outlet, "socket_fd", None)
    path = make(world, BIG)

    def change() -> None:
        if how == "removed":
            path.unlink()
        else:
            other = path.with_name("other")
            other.write_bytes(b"n" * BIG)
            other.replace(path)

    assert await downloaded(world, BIG, MIB, change) == b"o" * BIG


async def test_one_that_is_read_in_pieces_is_cut(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Outlet, "socket_fd", None)  # as with TLS
    assert await downloaded(world, BIG, MIB, partial(write_over, make(world, BIG))) is None
    make(world, BIG)
    assert await downloaded(world, BIG, MIB, lambda: None) == b"o" * BIG


# [D15]
async def test_a_part_is_not_mixed_either(world: World) -> None:
    path = make(world, BIG)
    target = f"/download?token={await world.download_token('f')}"
    reader, writer = await asyncio.open_connection("127.0.0.1", world.client_port, limit=1 << 16)
    fields = f"Host: localhost\r\nRange: bytes=1-{BIG - 2}"
    writer.write(f"GET {target} HTTP/1.1\r\n{fields}\r\n\r\n".encode())
    assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 206 ")
    await to_thread.run_sync(write_over, path)
    with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
        await reader.readexactly(BIG - 2)
    writer.close()


async def test_what_fails_on_the_way_is_no_answer_of_its_own(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is put behind a body that has begun, as if it were a part of it."""
    make(world, BIG)

    async def away(*_: object) -> None:
        raise BackendUnavailableError("the volume does not answer")

    monkeypatch.setattr("backends.mounted.read_handle.MountedReadHandle.send", away)
    assert await downloaded(world, BIG, 0, lambda: None) is None
    await world.settled(lambda: any(one.endpoint == "/download" for one in world.watching.answers))
    (answer,) = [one for one in world.watching.answers if one.endpoint == "/download"]
    assert answer.status == 499


# [D15]
async def test_few_bytes_are_of_one_state(world: World) -> None:
    path = make(world, 1000)
    files = world.volume.files(VFolderId.parse(FOLDER))
    asked: list[int] = []

    def few(_: object) -> tuple[int, int]:
        """Between what is known of the file and its bytes: what is read is not what is known."""
        asked.append(1)
        if len(asked) == 1:
            path.write_bytes(b"n" * 1000)
        return 0, 1000

    known, found = await files.open_or_read(PATH, few)
    assert (found, known.modified_ns, len(asked)) == (b"n" * 1000, path.stat().st_mtime_ns, 2)
    asked.clear()
    os.utime(path, LONG_AGO)
    assert await anyio.to_thread.run_sync(files.read_at_once, PATH, few) is None
    assert files.read_at_once(PATH, few) == b"n" * 1000


async def test_a_file_that_is_written_to_without_a_pause_is_asked_for_later(world: World) -> None:
    path = make(world, 1000)
    files = world.volume.files(VFolderId.parse(FOLDER))
    count = 0

    def few(_: object) -> tuple[int, int]:
        nonlocal count
        count += 1
        path.write_bytes(b"n" * 1000)
        os.utime(path, (10**9 + count, 10**9 + count))
        return 0, 1000

    with pytest.raises(BusyError):
        await files.open_or_read(PATH, few)


@pytest.mark.parametrize("form", ["", "zip", "tar.gz"])
async def test_a_defect_on_the_way_ends_the_connection(
    world: World, monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    """No second answer stands in the middle of the first."""

    async def failing(*args: object, **more: object) -> None:
        raise ValueError("a defect")

    (world.folder / "d").mkdir()
    (world.folder / "d" / "large").write_bytes(bytes(1 << 20))
    token = await world.download_token("d" if form else "d/large")
    how = f"&archive=1&format={form}" if form else ""
    monkeypatch.setattr(Sender, "send_pieces" if form == "tar.gz" else "send_made" if form else "send", failing)
    with anyio.fail_after(10), pytest.raises(aiohttp.ClientError):
        await world.client("GET", f"/download?token={token}{how}")
