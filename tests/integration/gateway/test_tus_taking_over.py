"""Several requests of one upload: which of them wins, when, and what the others are told."""

from __future__ import annotations

import io
import os
import time
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from dataclasses import replace

import anyio
import pytest
from harness.fields import BODY, TUS, checksum
from harness.line import Line
from harness.tus import LARGE, Collection, is_told_to_try_again, sending
from harness.world import World

from bus.memory.leases import MemoryLeases
from domain.errors import BusBrokenError, LockedError
from domain.paths import RelativePath
from gateway.tokens import UploadClaims
from gateway.uploads import writer
from gateway.uploads.session import UploadState
from gateway.uploads.sessions import Sessions

pytestmark = [pytest.mark.anyio, pytest.mark.folder]

MIB = 1 << 20
#: What is sent of a body, and of how many bytes: one that comes in pieces, and one that is taken from its socket.
SIZES = [1000, 4 * MIB]


def patching(
    files: Collection, url: str, size: int, offset: int = 0, **more: str
) -> AbstractAsyncContextManager[Line]:
    """A PATCH of which half was sent."""
    return sending(files, "PATCH", url, size, size // 2, **BODY, Upload_Offset=str(offset), **more)


@asynccontextmanager
async def trickling(line: Line) -> AsyncIterator[None]:
    """The sender goes on with a byte now and then, never silent for long."""

    async def trickle() -> None:
        while True:
            line.send(b"y")
            await anyio.sleep(0.1)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(trickle)
        yield
        tasks.cancel_scope.cancel()


# [A13]
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("trickles", [False, True])
async def test_who_comes_back_is_served_whatever_the_old_connection_does(
    world: World, files: Collection, size: int, trickles: bool
) -> None:
    url = await files.begin(size)
    async with patching(files, url, size) as old:
        async with trickling(old) if trickles else nullcontext():
            head = await files.head(url)
        assert head.status == 200
        offset = int(head.headers["Upload-Offset"])
        assert offset >= size // 2
        old.send(b"z" * 100)
        evicted = await old.answer()
        assert is_told_to_try_again(evicted)
        assert evicted.headers["Connection"] == "close"
        rest = b"n" * (size - offset)
        assert (await files.patch(url, offset, io.BytesIO(rest))).status == 204
    found = (world.folder / "a").read_bytes()
    assert found == b"x" * (size // 2) + b"y" * (offset - size // 2) + rest, (
        "not one byte of the old one came behind"
    )


# [A13]
async def test_who_comes_back_is_served_within_two_seconds(world: World, files: Collection) -> None:
    """A third one is for a machine that is busy."""
    url = await files.begin(1000)
    async with patching(files, url, 1000) as old, trickling(old):
        began = time.monotonic()
        assert (await files.head(url)).status == 200
        assert time.monotonic() - began < 3


# [A13]
async def test_a_patch_takes_over_as_well(world: World, files: Collection) -> None:
    url = await files.begin(1000)
    async with patching(files, url, 1000) as old:
        assert (await files.patch(url, 500, b"n" * 500)).status == 204
        assert is_told_to_try_again(await old.answer())
    assert (world.folder / "a").read_bytes() == b"x" * 500 + b"n" * 500


# [A13] [A14]
async def test_a_patch_that_would_be_refused_takes_the_upload_from_nobody(world: World, files: Collection) -> None:
    url = await files.begin(1000)
    other = await Collection.open(world, owner="somebody else")
    async with patching(files, url, 1000) as old:
        for offset in (0, 499, 1000):
            answer = await files.patch(url, offset, b"n" * 10)
            assert (answer.status, answer.headers["Upload-Offset"]) == (409, "500")
            assert (answer.json["expected-offset"], answer.json["provided-offset"]) == (500, offset)
        assert (await files.patch(url, "x", b"n")).status == 400
        assert (await other.patch(url, 0, b"n")).status == 404
        old.send(b"x" * 500)
        assert (await old.answer()).status == 204
    assert (world.folder / "a").read_bytes() == b"x" * 1000


async def test_where_bytes_are_compared_at_the_end_the_upload_is_where_they_began(
    world: World, files: Collection
) -> None:
    url = await files.begin(1000)
    other = "sha1 AAAAAAAAAAAAAAAAAAAAAAAAAAA="
    async with patching(files, url, 1000, **{"Upload-Checksum": other}) as old:
        assert (await files.patch(url, 500, b"n" * 500)).status == 409
        assert (await files.patch(url, 0, b"n" * 1000)).status == 204
        assert is_told_to_try_again(await old.answer())
    assert (world.folder / "a").read_bytes() == b"n" * 1000


async def test_of_bytes_that_were_not_compared_nobody_is_told(world: World, files: Collection) -> None:
    url = await files.begin(1000)
    assert (await files.patch(url, 0, b"abc")).status == 204
    fields = {"Upload_Checksum": checksum(b"x" * 997), "Upload_Offset": "3"}
    async with sending(files, "PATCH", url, 997, 500, **{**BODY, **fields}) as old:
        await world.stored(503)
        for offset in (0, 250, 503):
            answer = await files.patch(url, offset, b"n")
            assert (answer.status, answer.headers["Upload-Offset"]) == (409, "3")
            assert (answer.json["expected-offset"], answer.json["provided-offset"]) == (3, offset)
        old.send(b"x" * 497)
        assert (await old.answer()).status == 204, "it was taken from nobody"
    assert (world.folder / "a").read_bytes() == b"abc" + b"x" * 997


# [A2] [A6]
@pytest.mark.parametrize("fields", [{"Tus-Resumable": "0.2.2"}, {"Content-Type": "text/plain"}])
async def test_a_request_that_is_no_tus_disturbs_nobody(
    world: World, files: Collection, fields: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is processed: no lease is asked for, and an upload nobody knows is none that is missing."""
    url = await files.begin(1000)
    asked: list[str] = []
    hold = MemoryLeases.hold

    def noting(leases: MemoryLeases, name: str, **more: float) -> object:
        asked.append(name)
        return hold(leases, name, **more)

    async with patching(files, url, 1000) as old:
        monkeypatch.setattr(MemoryLeases, "hold", noting)
        for method in ("PATCH", "POST") if "Content-Type" in fields else ("PATCH", "DELETE", "POST"):
            for place in (url, f"/files/{'0' * 32}"):
                override = {"X-HTTP-Method-Override": "PATCH"} if method == "POST" else {}
                answer = await files.ask(method, place, {**BODY, "Upload-Offset": "500", **override, **fields})
                assert answer.status == (412 if "Tus-Resumable" in fields else 415)
        assert asked == []
        old.send(b"x" * 500)
        assert (await old.answer()).status == 204
    assert (world.folder / "a").read_bytes() == b"x" * 1000


# [B14]
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("trickles", [False, True])
async def test_dropping_ends_a_running_request_at_once(
    world: World, files: Collection, size: int, trickles: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "SILENCE_SECONDS", 30.0)
    monkeypatch.setattr(writer, "YIELD_SECONDS", 30.0)
    url = await files.begin(size)
    async with patching(files, url, size) as old:
        with anyio.fail_after(15):
            if trickles:
                async with trickling(old):
                    assert (await files.delete(url)).status == 204
            else:
                assert (await files.delete(url)).status == 204
        assert list(world.folder.iterdir()) == []
        for method in ("HEAD", "PATCH", "DELETE", "GET"):
            answer = await files.ask(method, url, {**BODY, "Upload-Offset": "0"})
            assert answer.status == 410
        old.send(b"z" * (size // 2))
        answer = await old.answer()
        assert (answer.status, answer.headers["Connection"]) == (410, "close")
    assert list(world.folder.iterdir()) == []
    assert world.events("file.uploaded") == []
    assert not [m for name, found in world.store.view.indexes.items() if ":uploads" in name for m in found]
    assert not world.store.leases


# [B14]
async def test_dropping_is_not_held_up_by_who_waits(world: World, files: Collection) -> None:
    """One writes, one waits for it to let go: both are told that the upload is gone."""
    url = await files.begin(1000)
    waited: list[int] = []

    async def wait() -> None:
        waited.append((await files.head(url)).status)

    async with patching(files, url, 1000) as old, trickling(old), anyio.create_task_group() as tasks:
        tasks.start_soon(wait)
        await world.settled(lambda: world.store.asked)
        assert (await files.delete(url)).status == 204
        assert (await old.answer()).status == 410
    assert waited == [410]


# [B14]
async def test_an_upload_whose_holder_cannot_let_go_is_dropped_all_the_same(
    world: World, files: Collection
) -> None:
    url = await files.begin(1000)
    assert (await files.patch(url, 0, b"abc")).status == 204
    session = url.rpartition("/")[2]
    await world.settled(lambda: not world.store.leases)
    async with world.gate.bus.leases.hold(f"upload:{session}", wait_seconds=1):
        assert (await files.delete(url)).status == 204
        assert (await files.delete(url)).status == 410
        await world.gate.uploads.sweep(10)
        assert len(list((world.folder / ".upload").iterdir())) == 1
    await world.gate.uploads.sweep(10)
    assert list(world.folder.iterdir()) == []
    known = await world.gate.uploads.sessions.load(session)
    assert known is not None
    assert known.session.state is UploadState.GONE


# [B14]
async def test_dropping_what_is_only_kept_open(world: World, files: Collection) -> None:
    url = await files.begin(1000)
    assert (await files.patch(url, 0, b"abc")).status == 204
    assert world.store.leases, "it is kept open for a moment"
    assert (await files.delete(url)).status == 204
    assert list(world.folder.iterdir()) == []
    assert not world.store.leases


# [A13]
async def test_who_cannot_have_the_upload_is_told_to_come_back(world: World, files: Collection) -> None:
    """Somebody has it who does not let go, e.g. because its storage stands still."""
    url = await files.begin(LARGE)
    async with world.gate.bus.leases.hold(f"upload:{url.rpartition('/')[2]}", wait_seconds=1):
        assert is_told_to_try_again(await files.patch(url, 0, b"abc"))
        head = await files.head(url)
        assert (head.status, int(head.headers["Retry-After"]) >= 1) == (423, True)
    assert (await files.patch(url, 0, b"abc")).status == 204


async def test_who_loses_the_upload_while_it_is_recorded_is_told_to_come_back(world: World) -> None:
    """Somebody else has begun to finish it."""
    token, uploads = await world.upload_token("t", 3), world.gate.uploads
    claims = world.gate.tokens.read(token, UploadClaims)

    async def lose() -> None:
        async with uploads.use(claims, claims.session) as opened:
            known = await uploads.sessions.require(claims.session)
            assert await uploads.sessions.replace(known, replace(known.session, state=UploadState.COMMITTING))
            await uploads.describe(opened, {"destination": RelativePath.parse("elsewhere")})

    with pytest.raises(LockedError):
        await lose()


# [A14]
async def test_of_four_that_begin_together_one_wins_however_long_it_takes(world: World, files: Collection) -> None:
    """Longer than any of them would have to wait to take over."""
    url = await files.begin(40)
    found: list[int] = []

    async def send(letter: bytes) -> None:
        async def slowly() -> AsyncIterator[bytes]:
            for _ in range(20):
                yield letter * 2
                await anyio.sleep(0.1)

        found.append((await files.patch(url, 0, slowly())).status)

    async with anyio.create_task_group() as tasks:
        for letter in (b"a", b"b", b"c", b"d"):
            tasks.start_soon(send, letter)
            await files.world.stored(1)
    assert sorted(found) == [204, 409, 409, 409]
    assert len(set((world.folder / "a").read_bytes())) == 1


async def test_a_bus_that_is_away_while_somebody_waits(
    world: World, files: Collection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether an upload was dropped cannot be known then; who waits is served all the same."""
    url = await files.begin(1000)

    async def away(*_: object) -> bool:
        raise BusBrokenError("away")

    monkeypatch.setattr(Sessions, "is_gone", away)
    async with patching(files, url, 1000) as old:
        assert (await files.head(url)).headers["Upload-Offset"] == "500"
        assert is_told_to_try_again(await old.answer())


async def test_bytes_that_came_are_kept_by_who_has_to_let_go(world: World, files: Collection) -> None:
    data = os.urandom(2 * MIB)
    url = await files.begin(len(data))
    fields = {**BODY, "Authorization": f"Bearer {files.token}", "Upload-Offset": "0"}
    async with Line.open(world) as old:
        old.head("PATCH", url, {**fields, "Content-Length": str(len(data))})
        old.send(data[:MIB])
        await files.world.stored(MIB)
        head = await files.ask("HEAD", url, dict(TUS))
        assert head.headers["Upload-Offset"] == str(MIB)
    assert (await files.patch(url, MIB, data[MIB:])).status == 204
    assert (world.folder / "a").read_bytes() == data


# [A14]
async def test_of_four_at_the_same_offset_one_is_stored(world: World, files: Collection) -> None:
    url = await files.begin(1000)
    found: list[int] = []

    async def send(letter: bytes) -> None:
        found.append((await files.patch(url, 0, letter * 1000)).status)

    async with anyio.create_task_group() as tasks:
        for letter in (b"a", b"b", b"c", b"d"):
            tasks.start_soon(send, letter)
    assert found.count(204) == 1
    assert set(found) <= {204, 409, 423}, "the others may be wrong, or late, and never too long"
    assert len(set((world.folder / "a").read_bytes())) == 1


async def test_an_upload_is_given_back_and_taken_again_many_times(world: World, files: Collection) -> None:
    url = await files.begin(200)
    for offset in range(0, 200, 2):
        assert (await files.head(url)).headers["Upload-Offset"] == str(offset)
        assert (await files.patch(url, offset, b"ab")).status == 204
        if offset % 50 == 0:
            await anyio.lowlevel.checkpoint()
    assert (world.folder / "a").read_bytes() == b"ab" * 100
    await world.settled(lambda: not world.store.leases)
