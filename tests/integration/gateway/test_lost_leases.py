"""Requests that stood still for so long that somebody else has the upload, and then go on."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import anyio
import pytest
from harness.fields import BODY, checksum
from harness.line import Line
from harness.losing import Losing
from harness.tus import Collection, is_told_to_try_again, sending
from harness.world import FOLDER, World

from backends.mounted.appending import MountedStaging
from backends.mounted.files import MountedFiles
from bus.memory.leases import MemoryLease
from domain.errors import BusBrokenError, LockedError
from domain.ids import VFolderId, VolumeName
from gateway.protocol.checksum import parse_checksum
from gateway.protocol.tus import Accept
from gateway.uploads.sessions import Known, Sessions
from gateway.uploads.writer import Writer

pytestmark = [pytest.mark.anyio, pytest.mark.folder]

SIZE = 1000


@pytest.fixture
def losing(world: World, monkeypatch: pytest.MonkeyPatch) -> Losing:
    return Losing(world.store, monkeypatch)


def staged(world: World, session: str) -> bytes:
    path = world.folder / ".upload" / session
    return path.read_bytes() if path.exists() else b""


@asynccontextmanager
async def comparing(
    files: Collection, url: str, offset: int, size: int, sent: bytes, body: bytes
) -> AsyncIterator[Line]:
    """A PATCH with a checksum of which the head and some bytes were sent, and stored."""
    world, session = files.world, url.rpartition("/")[2]
    fields = {
        **BODY,
        "Authorization": f"Bearer {files.token}",
        "Upload-Offset": str(offset),
        "Upload-Checksum": checksum(body),
    }
    async with Line.open(world) as line:
        line.head("PATCH", url, {**fields, "Content-Length": str(size)})
        line.send(sent)
        await world.settled(lambda: staged(world, session)[offset:] == sent)
        yield line


async def test_who_lost_an_upload_takes_nothing_back_of_it(world: World, files: Collection, losing: Losing) -> None:
    """Its bytes were to be compared, and went when somebody else came; what lies there now is not its own."""
    url = await files.begin(SIZE)
    session = url.rpartition("/")[2]
    async with comparing(files, url, 0, SIZE, b"a" * 500, b"a" * SIZE) as old:
        await losing.lose(session)
        assert (await files.patch(url, 0, b"n" * 600)).status == 204
        old.send(b"a" * 500)
        assert (await old.answer()).status == 423
        assert staged(world, session) == b"n" * 600
    assert (await files.patch(url, 600, b"m" * 400)).status == 204
    data = b"n" * 600 + b"m" * 400
    assert (world.folder / "a").read_bytes() == data
    (event,) = world.events("file.uploaded")
    assert event.body["sha256"] == hashlib.sha256(data).hexdigest()


async def test_who_lost_an_upload_leaves_word_of_what_its_new_owner_has_to_compare(
    world: World, files: Collection, losing: Losing
) -> None:
    url = await files.begin(SIZE)
    session = url.rpartition("/")[2]
    async with comparing(files, url, 0, SIZE, b"a" * 500, b"a" * SIZE) as old:
        await losing.lose(session)
        async with comparing(files, url, 0, SIZE, b"b" * 300, b"b" * SIZE) as new:
            old.send(b"a" * 500)
            assert (await old.answer()).status == 423
            known = await world.gate.uploads.sessions.require(session)
            assert known.session.floor == 0
            assert staged(world, session) == b"b" * 300
            new.send(b"b" * 700)
            assert (await new.answer()).status == 204
    assert (world.folder / "a").read_bytes() == b"b" * SIZE


async def test_who_still_trusts_a_lease_that_redis_has_forgotten_takes_nothing_back(
    world: World, files: Collection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its sender is gone, has come back by another gateway, and has heard how far the upload is."""
    trusted, undo, undone = MemoryLease.confirm, Writer._undo, anyio.Event()
    losing = Losing(world.store, monkeypatch)

    async def told(*args: Any) -> None:
        try:
            await undo(*args)
        finally:
            undone.set()

    monkeypatch.setattr(MemoryLease, "confirm", trusted)
    monkeypatch.setattr(Writer, "_undo", told)
    url = await files.begin(SIZE)
    session = url.rpartition("/")[2]
    async with comparing(files, url, 0, SIZE, b"a" * 500, b"a" * SIZE):
        world.store.records.clear()
        await losing.lose(session)
        assert (await files.patch(url, 500, b"a" * 100)).status == 204
    await undone.wait()
    assert (await files.patch(url, 600, b"a" * 400)).status == 204
    assert (world.folder / "a").read_bytes() == b"a" * SIZE


class Small:
    """A body that has come."""

    idle_seconds = 1.0
    length = 1

    def at_hand(self, most: int) -> bytes:
        del most
        return b"a"

    def handover(self) -> None:
        """It has nothing left to come."""

    async def read(self) -> bytes:
        return b""


@pytest.mark.parametrize("length", [SIZE, None])
async def test_who_lost_an_upload_before_its_first_byte_records_nothing_of_it(
    world: World, files: Collection, losing: Losing, length: int | None
) -> None:
    """What its new owner has stored would count for nothing, or something else would be reserved for it."""
    told = {} if length else {"Upload_Defer_Length": "1"}
    url = await files.begin(length, **told)
    session, uploads = url.rpartition("/")[2], world.gate.uploads
    known = parse_checksum({"Upload-Checksum": checksum(b"a")})

    async def store_late() -> None:
        async with uploads.opened.use(session) as opened:
            await losing.lose(session)
            assert (await files.patch(url, 0, b"n" * 600)).status == 204
            await uploads.store(opened, Small(), Accept(0, SIZE, None if length else SIZE, known))

    with pytest.raises(LockedError):
        await store_late()
    recorded = (await uploads.sessions.require(session)).session
    assert (recorded.floor, recorded.length) == (None, length)
    await world.settled(lambda: not world.store.leases)
    assert (await files.head(url)).headers["Upload-Offset"] == "600"
    assert staged(world, session) == b"n" * 600


async def test_who_lost_an_upload_at_its_last_byte_does_not_say_that_it_was_compared(
    world: World, files: Collection, losing: Losing, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All of a body was stored, then its sender's lease went on, then it was found to be the right one."""
    url = await files.begin(SIZE)
    session = url.rpartition("/")[2]
    append = MountedStaging.append

    async def slow(staging: MountedStaging, chunks: Sequence[bytes | memoryview]) -> None:
        await append(staging, chunks)
        if bytes(chunks[0]).startswith(b"a"):
            await losing.lose(session)
            assert (await files.patch(url, 0, b"n" * 600)).status == 204

    monkeypatch.setattr(MountedStaging, "append", slow)
    body = b"a" * 500
    answer = await files.patch(url, 0, body, Upload_Checksum=checksum(body))
    assert answer.status == 423
    assert staged(world, session) == b"n" * 600


@pytest.mark.parametrize("size", [SIZE, 4 << 20])
async def test_who_lost_an_upload_stops_at_once_though_nobody_asks_for_it(
    world: World, files: Collection, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    """Whoever has it now may be on another host; its sender says nothing that would have it look."""
    lost = anyio.Event()

    async def wait_lost(lease: MemoryLease) -> None:
        await lost.wait()

    monkeypatch.setattr(MemoryLease, "wait_lost", wait_lost)
    url = await files.begin(size)
    async with sending(files, "PATCH", url, size, 500, **BODY, Upload_Offset="0") as old:
        lost.set()
        assert is_told_to_try_again(await old.answer(patience=5))


@pytest.mark.parametrize(("floor", "late"), [(None, True), (2, False), (5, False)])
async def test_who_lost_an_upload_while_taking_it_changes_nothing(
    world: World, files: Collection, losing: Losing, monkeypatch: pytest.MonkeyPatch, floor: int | None, late: bool
) -> None:
    """It was to be kept for longer, or what had not been compared was to be dropped."""
    url = await files.begin(SIZE)
    session, uploads = url.rpartition("/")[2], world.gate.uploads
    assert (await files.patch(url, 0, b"abcde")).status == 204
    await uploads.opened.let_go(session)
    known = await uploads.sessions.require(session)
    expires = known.session.expires - 0.5 * uploads.sessions.open_seconds * late
    before = await uploads.sessions.replace(known, replace(known.session, floor=floor, expires=expires))
    assert before is not None
    require = Sessions.require

    async def required(sessions: Sessions, session_id: str, volume: VolumeName | None = None) -> Known:
        found = await require(sessions, session_id, volume)
        await losing.lose(session)
        return found

    with monkeypatch.context() as patched:
        patched.setattr(Sessions, "require", required)
        answer = await files.head(url)
    assert answer.status == 423
    assert await uploads.sessions.load(session) == before
    assert staged(world, session) == b"abcde"


async def test_who_lost_an_upload_does_not_keep_it(world: World, files: Collection, losing: Losing) -> None:
    url = await files.begin(SIZE)
    session, uploads = url.rpartition("/")[2], world.gate.uploads

    async def keep_late() -> None:
        async with uploads.opened.use(session) as opened:
            opened.known = replace(opened.known, session=replace(opened.session, expires=uploads.sessions.now))
            await losing.lose(session)
            await opened.keep(uploads.sessions)

    with pytest.raises(LockedError):
        await keep_late()


@pytest.mark.parametrize("size", [SIZE, 1 << 20])
async def test_who_is_not_told_whose_an_upload_is_may_come_again(
    files: Collection, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    """Redis is away for long; what was stored before stays."""

    async def confirm(lease: MemoryLease) -> None:
        raise BusBrokenError("nobody knows")

    url = await files.begin(size)
    access = files.world.volume.files(VFolderId.parse(FOLDER))
    assert isinstance(access, MountedFiles)
    async with sending(files, "PATCH", url, size, 500, **BODY, Upload_Offset="0") as old:
        # A thread that is still at it would take more.
        await files.world.settled(lambda: not access._threads._pool.pending)
        with monkeypatch.context() as patched:
            patched.setattr(MemoryLease, "confirm", confirm)
            old.send(b"x" * (size - 500))
            answer = await old.answer(patience=5)
    assert (answer.status, answer.headers["Retry-After"]) == (503, "1")
    offset = int((await files.head(url)).headers["Upload-Offset"])
    assert 500 <= offset < size
    assert (await files.patch(url, offset, b"x" * (size - offset))).status == 204
