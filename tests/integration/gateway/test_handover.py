"""Large bodies, taken from their sockets past the HTTP library, on both event loops."""

from __future__ import annotations

import asyncio
import errno
import os
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import anyio
import jwt
import pytest
from harness.world import World, digest, open_world

from backends.mounted import staging
from gateway.transfer.handover import Handover

pytestmark = pytest.mark.anyio

MIB = 1 << 20


@pytest.fixture(params=["asyncio", "uvloop"])
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, Any]]:
    return "asyncio", {"use_uvloop": request.param == "uvloop"}


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with open_world(tmp_path) as opened:
        await opened.make_folder()
        yield opened


@pytest.fixture
def taken(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many bytes each body had left when it was taken over."""
    found: list[int] = []
    begin = Handover.begin

    def watched(self: Handover) -> list[bytes]:
        early = begin(self)
        found.append(self.left)
        return early

    monkeypatch.setattr(Handover, "begin", watched)
    return found


def _session(token: str) -> str:
    return str(jwt.decode(token, options={"verify_signature": False})["session"])


class Line:
    """One connection, by hand."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    @classmethod
    async def open(cls, world: World) -> Line:
        return cls(*await asyncio.open_connection("127.0.0.1", world.client_port))

    def head(self, method: str, token: str, *headers: str) -> None:
        lines = [f"{method} /upload?token={token} HTTP/1.1", "Host: x", "Tus-Resumable: 1.0.0", *headers, "", ""]
        self.writer.write("\r\n".join(lines).encode())

    def patch(self, token: str, offset: int, length: int) -> None:
        self.head("PATCH", token, f"Upload-Offset: {offset}", f"Content-Length: {length}")

    async def answer(self) -> tuple[int, int | None]:
        """Status and offset."""
        with anyio.fail_after(10):
            head = await self.reader.readuntil(b"\r\n\r\n")
            length = re.search(rb"(?i)content-length: (\d+)", head)
            if length and not head.startswith(b"HTTP/1.1 200"):
                await self.reader.readexactly(int(length[1]))
        offset = re.search(rb"(?i)upload-offset: (\d+)", head)
        return int(head.split()[1]), int(offset[1]) if offset else None

    async def has_ended(self) -> bool:
        """Whether nothing more comes; then it is closed here as well."""
        with anyio.fail_after(20):
            try:
                rest = await self.reader.read()
            except ConnectionError:
                rest = b""
        self.writer.transport.abort()
        return rest == b""

    async def close(self) -> None:
        self.writer.close()
        await self.writer.wait_closed()


async def test_requests_follow_each_other_on_one_connection(world: World, taken: list[int]) -> None:
    data = os.urandom(20 * MIB + 17)
    token = await world.upload_token("a", len(data))
    line = await Line.open(world)
    # The second head comes right behind the first body, before that is answered.
    line.patch(token, 0, 8 * MIB)
    line.writer.write(data[: 8 * MIB])
    line.head("HEAD", token)
    assert await line.answer() == (204, 8 * MIB)
    assert await line.answer() == (200, 8 * MIB)
    line.patch(token, 8 * MIB, len(data) - 8 * MIB)
    line.writer.write(data[8 * MIB :])
    assert await line.answer() == (204, len(data))
    await line.close()
    assert len(taken) == 2
    assert digest((world.folder / "a").read_bytes()) == digest(data)


async def test_what_the_library_has_read_already_comes_first(world: World, taken: list[int]) -> None:
    data = os.urandom(6 * MIB)
    token = await world.upload_token("a", len(data))
    session = (await world.client("HEAD", f"/upload?token={token}")).headers
    assert session["Upload-Offset"] == "0"
    line = await Line.open(world)
    async with world.gate.bus.leases.hold(f"upload:{_session(token)}", wait_seconds=1):
        # While somebody else has the upload, the library reads until it holds the sender back.
        line.patch(token, 0, len(data))
        line.writer.write(data)
        await anyio.sleep(0.3)
    assert await line.answer() == (204, len(data))
    await line.close()
    assert 0 < taken[0] < len(data)
    assert digest((world.folder / "a").read_bytes()) == digest(data)


async def test_a_cut_body_keeps_what_came(world: World, taken: list[int]) -> None:
    data = os.urandom(8 * MIB)
    token = await world.upload_token("a", len(data))
    line = await Line.open(world)
    line.patch(token, 0, len(data))
    line.writer.write(data[: 5 * MIB])
    await line.writer.drain()
    await line.close()
    await _until(world, token, 5 * MIB)
    line = await Line.open(world)
    line.patch(token, 5 * MIB, 3 * MIB)
    line.writer.write(data[5 * MIB :])
    assert await line.answer() == (204, len(data))
    await line.close()
    assert len(taken) == 2
    assert digest((world.folder / "a").read_bytes()) == digest(data)


async def _until(world: World, token: str, offset: int) -> None:
    with anyio.fail_after(5):
        while True:
            answer = await world.client("HEAD", f"/upload?token={token}")
            if answer.headers.get("Upload-Offset") == str(offset):
                return
            await anyio.sleep(0.05)


async def test_bytes_that_trickle_are_stored_soon(world: World, taken: list[int]) -> None:
    token = await world.upload_token("a", 2 * MIB)
    line = await Line.open(world)
    line.patch(token, 0, 2 * MIB)
    await line.writer.drain()
    for number in range(1, 4):
        line.writer.write(b"x" * 1000)
        await world.stored(number * 1000)
    line.writer.write(b"x" * (2 * MIB - 3000))
    assert await line.answer() == (204, 2 * MIB)
    await line.close()
    assert len(taken) == 1


async def test_a_silent_sender_of_a_large_body_gives_way(world: World, taken: list[int]) -> None:
    data = os.urandom(4 * MIB)
    token = await world.upload_token("a", len(data))
    line = await Line.open(world)
    line.patch(token, 0, len(data))
    line.writer.write(data[:MIB])
    await line.writer.drain()
    await world.stored(MIB)
    assert (await world.client("HEAD", f"/upload?token={token}")).headers["Upload-Offset"] == str(MIB)
    other = await Line.open(world)
    other.patch(token, MIB, 3 * MIB)
    other.writer.write(data[MIB:])
    assert await other.answer() == (204, len(data))
    await other.close()
    # The evicted one may send the rest of its body; none of it is stored, and its connection ends.
    assert (await line.answer())[0] == 423
    line.writer.write(bytes(3 * MIB))
    assert await line.has_ended()
    assert digest((world.folder / "a").read_bytes()) == digest(data)


async def test_a_full_disk_in_the_middle(world: World, taken: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    data = os.urandom(4 * MIB)
    token = await world.upload_token("a", len(data))
    write = os.pwritev

    def until_full(fd: int, buffers: Any, offset: int) -> int:
        if offset >= 2 * MIB:
            raise OSError(errno.ENOSPC, "no space left on device")
        return write(fd, [memoryview(buffers[0])[: 2 * MIB - offset]], offset)

    monkeypatch.setattr(staging.os, "pwritev", until_full)
    line = await Line.open(world)
    line.patch(token, 0, len(data))
    line.writer.write(data)
    assert (await line.answer())[0] == 507
    assert await line.has_ended()
    monkeypatch.undo()
    line = await Line.open(world)
    line.head("HEAD", token)
    assert await line.answer() == (200, 2 * MIB)
    line.patch(token, 2 * MIB, 2 * MIB)
    line.writer.write(data[2 * MIB :])
    assert await line.answer() == (204, len(data))
    await line.close()
    assert digest((world.folder / "a").read_bytes()) == digest(data)


async def test_a_body_of_unknown_length_comes_the_ordinary_way(world: World, taken: list[int]) -> None:
    data = os.urandom(2 * MIB)
    token = await world.upload_token("a", len(data))

    async def pieces() -> AsyncIterator[bytes]:
        for start in range(0, len(data), 100_000):
            yield data[start : start + 100_000]

    assert (await world.patch(token, 0, pieces())).status == 204
    assert taken == []
    assert digest((world.folder / "a").read_bytes()) == digest(data)
