"""Large bodies, taken from their sockets past the HTTP library, on both event loops."""

from __future__ import annotations

import errno
import os
from typing import Any

import anyio
import pytest
from harness.bodies import cut_up
from harness.fields import TUS
from harness.line import Line
from harness.uploads import session_of
from harness.world import World, digest

from backends.mounted import staging
from gateway.transfer.handover import Handover

pytestmark = [pytest.mark.anyio, pytest.mark.folder]

MIB = 1 << 20


@pytest.fixture(params=["asyncio", "uvloop"])
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, Any]]:
    return "asyncio", {"use_uvloop": request.param == "uvloop"}


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


class TokenLine(Line):
    """A connection of somebody who uploads by the URL of a token."""

    def ask(self, method: str, token: str, **fields: int) -> None:
        named = {name.replace("_", "-"): str(value) for name, value in fields.items()}
        self.head(method, f"/upload?token={token}", {**TUS, **named})

    def patch(self, token: str, offset: int, length: int) -> None:
        self.ask("PATCH", token, Upload_Offset=offset, Content_Length=length)

    async def place(self, to: str = "") -> tuple[int, int | None]:
        """Status and offset of the next answer."""
        answer = await self.answer(to)
        offset = answer.headers.get("Upload-Offset")
        return answer.status, None if offset is None else int(offset)


async def test_requests_follow_each_other_on_one_connection(world: World, taken: list[int]) -> None:
    data = os.urandom(20 * MIB + 17)
    token = await world.upload_token("a", len(data))
    async with TokenLine.open(world) as line:
        # The second head comes right behind the first body, before that is answered.
        line.patch(token, 0, 8 * MIB)
        line.send(data[: 8 * MIB])
        line.ask("HEAD", token)
        assert await line.place() == (204, 8 * MIB)
        assert await line.place("HEAD") == (200, 8 * MIB)
        line.patch(token, 8 * MIB, len(data) - 8 * MIB)
        line.send(data[8 * MIB :])
        assert await line.place() == (204, len(data))
    assert len(taken) == 2
    assert digest((world.folder / "a").read_bytes()) == digest(data)


async def test_what_the_library_has_read_already_comes_first(world: World, taken: list[int]) -> None:
    data = os.urandom(6 * MIB)
    token = await world.upload_token("a", len(data))
    session = (await world.client("HEAD", f"/upload?token={token}")).headers
    assert session["Upload-Offset"] == "0"
    async with TokenLine.open(world) as line:
        async with world.gate.bus.leases.hold(f"upload:{session_of(token)}", wait_seconds=1) as lease:
            # While somebody else has the upload, the library reads until it holds the sender back.
            line.patch(token, 0, len(data))
            line.send(data)
            await lease.wait_asked()
            await anyio.sleep(0.1)
        assert await line.place() == (204, len(data))
    assert 0 < taken[0] < len(data)
    assert digest((world.folder / "a").read_bytes()) == digest(data)


async def test_a_cut_body_keeps_what_came(world: World, taken: list[int]) -> None:
    data = os.urandom(8 * MIB)
    token = await world.upload_token("a", len(data))
    async with TokenLine.open(world) as line:
        line.patch(token, 0, len(data))
        line.send(data[: 5 * MIB])
        await world.stored(5 * MIB)
    assert (await world.client("HEAD", f"/upload?token={token}")).headers["Upload-Offset"] == str(5 * MIB)
    async with TokenLine.open(world) as line:
        line.patch(token, 5 * MIB, 3 * MIB)
        line.send(data[5 * MIB :])
        assert await line.place() == (204, len(data))
    assert len(taken) == 2
    assert digest((world.folder / "a").read_bytes()) == digest(data)


async def test_bytes_that_trickle_are_stored_soon(world: World, taken: list[int]) -> None:
    token = await world.upload_token("a", 2 * MIB)
    async with TokenLine.open(world) as line:
        line.patch(token, 0, 2 * MIB)
        await line.drain()
        for number in range(1, 4):
            line.send(b"x" * 1000)
            await world.stored(number * 1000)
        line.send(b"x" * (2 * MIB - 3000))
        assert await line.place() == (204, 2 * MIB)
    assert len(taken) == 1


async def test_a_silent_sender_of_a_large_body_gives_way(world: World, taken: list[int]) -> None:
    data = os.urandom(4 * MIB)
    token = await world.upload_token("a", len(data))
    async with TokenLine.open(world) as line:
        line.patch(token, 0, len(data))
        line.send(data[:MIB])
        await line.drain()
        await world.stored(MIB)
        assert (await world.client("HEAD", f"/upload?token={token}")).headers["Upload-Offset"] == str(MIB)
        async with TokenLine.open(world) as other:
            other.patch(token, MIB, 3 * MIB)
            other.send(data[MIB:])
            assert await other.place() == (204, len(data))
        # The evicted one may send the rest of its body; none of it is stored, and its connection ends.
        assert (await line.answer()).status == 423
        line.send(bytes(3 * MIB))
        assert await line.has_ended()
        assert digest((world.folder / "a").read_bytes()) == digest(data)


async def test_a_full_disk_in_the_middle(world: World, taken: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    data = os.urandom(4 * MIB)
    token = await world.upload_token("a", len(data))
    room, write = 2 * MIB - 1000, os.pwritev

    def until_full(fd: int, buffers: Any, offset: int) -> int:
        if offset >= room:
            raise OSError(errno.ENOSPC, "no space left on device")
        return write(fd, [memoryview(buffers[0])[: room - offset]], offset)

    monkeypatch.setattr(staging.os, "pwritev", until_full)
    async with TokenLine.open(world) as line:
        line.patch(token, 0, len(data))
        line.send(data)
        assert (await line.answer()).status == 507
        assert await line.has_ended()
        monkeypatch.undo()
    async with TokenLine.open(world) as line:
        line.ask("HEAD", token)
        assert await line.place("HEAD") == (200, room)
        line.patch(token, room, len(data) - room)
        line.send(data[room:])
        assert await line.place() == (204, len(data))
    assert digest((world.folder / "a").read_bytes()) == digest(data)
    assert world.events("file.uploaded")[-1].body["sha256"] == digest(data)


async def test_a_body_of_unknown_length_comes_the_ordinary_way(world: World, taken: list[int]) -> None:
    data = os.urandom(2 * MIB)
    token = await world.upload_token("a", len(data))

    assert (await world.patch(token, 0, cut_up(data, 100_000))).status == 204
    assert taken == []
    assert digest((world.folder / "a").read_bytes()) == digest(data)
