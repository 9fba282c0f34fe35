"""An upload whose process dies at any step is finished by whoever comes next: whole, and told once."""

from __future__ import annotations

import os
from typing import Any

import anyio
import pytest
from harness.archives import tar_of
from harness.folders import files_below
from harness.tus import Collection
from harness.world import FOLDER, World

from backends.mounted.files import MountedFiles
from bus.contract import Records
from domain.errors import BackendFaultError, BusBrokenError
from domain.paths import ROOT
from gateway.tokens import UploadClaims
from gateway.uploads.session import UploadSession, UploadState
from gateway.uploads.sessions import Known

pytestmark = [pytest.mark.anyio, pytest.mark.folder]


async def test_an_archive_that_several_unpack_at_once_is_unpacked_once(world: World) -> None:
    contents = {f"d{number % 7}/{number}": os.urandom(number) for number in range(300)} | {"big": bytes(3 << 20)}
    _, session = await staged(world, tar_of(contents))
    known = await world.gate.uploads.sessions.require(session.id)
    done: list[Known] = []

    async def unpack(later: float) -> None:
        await anyio.sleep(later)
        done.append(await world.gate.uploads.finisher.finish(known, unpack=True))

    async with anyio.create_task_group() as tasks:
        for turn in range(4):
            tasks.start_soon(unpack, turn * 0.05)
    assert {one.session.state for one in done} == {UploadState.COMMITTED}
    assert files_below(world.folder) == contents
    assert len(world.events("archive.unpacked")) == 1


class Killed(BaseException):
    """Stands for kill -9 at one point: nothing after it runs."""


class Dying:
    """Wraps a part so that its n-th call of one method kills, before or after it took effect."""

    def __init__(self, inner: object, method: str, call: int, *, after: bool) -> None:
        self._inner = inner
        self._method = method
        self._left = call
        self._after = after

    def __getattr__(self, name: str) -> object:
        found = getattr(self._inner, name)
        if name != self._method:
            return found

        async def dying(*args: object, **kwargs: object) -> object:
            self._left -= 1
            if self._left == 0 and not self._after:
                raise Killed
            result = await found(*args, **kwargs)
            if self._left == 0:
                raise Killed
            return result

        return dying


async def staged(world: World, data: bytes) -> tuple[str, UploadSession]:
    """An upload with all bytes stored and nothing finished."""
    token = await world.upload_token("a", len(data))
    claims = world.gate.tokens.read(token, UploadClaims)
    session = (await world.gate.uploads.beginner.create(claims)).session
    files = world.volume.files(session.folder)
    await files.create_staging(session.id, destination=ROOT, length=len(data), note=session.note())
    staging = await files.open_staging(session.id)
    await staging.append([data])
    await staging.close()
    return token, session


async def finish(world: World, session: UploadSession) -> Known:
    uploads = world.gate.uploads
    return await uploads.finisher.finish(await uploads.sessions.require(session.id))


STEPS = [
    ("records", "replace", 1, False),
    ("records", "replace", 1, True),
    ("files", "commit_staging", 1, False),
    ("files", "commit_staging", 1, True),
    ("records", "replace", 2, False),
    ("records", "replace", 2, True),
]


# [A16]
@pytest.mark.parametrize(("part", "method", "call", "after"), STEPS)
@pytest.mark.parametrize("recovery", ["head", "patch", "sweep", "all"])
async def test_a_kill_at_any_step(
    world: World, part: str, method: str, call: int, after: bool, recovery: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = b"0123456789"
    token, session = await staged(world, data)
    uploads = world.gate.uploads
    with monkeypatch.context() as patched:
        if part == "records":
            records = Dying(world.bus.records, method, call, after=after)
            patched.setattr(uploads.sessions, "_records", records)
        else:
            files = Dying(world.volume.files(session.folder), method, call, after=after)
            patched.setattr(uploads.finisher, "_files", lambda _: files)
        with pytest.raises(Killed):
            await finish(world, session)
    if recovery in ("sweep", "all"):
        for stored in world.store.records.values():
            stored.due = 0.0 if stored.due is not None else None
        await uploads.sweep(10)
    if recovery in ("patch", "all"):
        assert (await world.patch(token, len(data), b"")).status == 204
    if recovery in ("head", "all"):
        answer = await world.client("HEAD", f"/upload?token={token}")
        assert answer.headers["Upload-Offset"] == "10"
    if recovery == "sweep" and (method, call, after) == ("replace", 1, False):
        # Nothing of the commit had begun: the upload is open and waits for its client.
        assert world.events("file.uploaded") == []
        return
    assert (world.folder / "a").read_bytes() == data
    (event,) = world.events("file.uploaded")
    assert event.body["size_bytes"] == 10


async def test_a_file_replaced_before_the_commit_was_recorded_is_told_once_and_kept(world: World) -> None:
    token, session = await staged(world, b"first")
    with pytest.MonkeyPatch.context() as patched:
        records = Dying(world.bus.records, "replace", 2, after=False)
        patched.setattr(world.gate.uploads.sessions, "_records", records)
        with pytest.raises(Killed):
            await finish(world, session)
    await world.upload("a", b"second")
    await world.client("HEAD", f"/upload?token={token}")
    assert (world.folder / "a").read_bytes() == b"second"
    assert len(world.events("file.uploaded")) == 2


async def test_two_processes_finish_the_same_upload_at_once(world: World) -> None:
    _, session = await staged(world, b"data")
    done: list[UploadSession] = []

    async def one() -> None:
        done.append((await finish(world, session)).session)

    async with anyio.create_task_group() as tasks:
        for _ in range(8):
            tasks.start_soon(one)
    assert {session.state for session in done} == {UploadState.COMMITTED}
    assert len(world.events("file.uploaded")) == 1


async def test_a_bus_that_is_away_answers_with_try_later(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    token = await world.upload_token("a", 3)

    async def away(*_: object, **__: object) -> None:
        raise BusBrokenError("away")

    with monkeypatch.context() as patched:
        patched.setattr(type(world.bus.records), "load", away)
        answer = await world.patch(token, 0, b"abc")
    assert answer.status == 503
    assert int(answer.headers["Retry-After"]) >= 1
    assert (await world.patch(token, 0, b"abc")).status == 204


async def never_placed(*_: object) -> bool:
    """Small uploads that are whole are recorded when they are told of; this is about the others."""
    return False


class AskedTwice:
    """Records of a bus that loses its n-th answer, and then asks again."""

    def __init__(self, inner: Records, lost: int) -> None:
        self._inner = inner
        self.left = lost

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._inner, name)

        async def asked_twice(*args: object, **kwargs: object) -> object:
            self.left -= 1
            if self.left == 0:
                await found(*args, **kwargs)
            return await found(*args, **kwargs)

        return asked_twice


@pytest.mark.parametrize("size", [0, 100, 300_000])
@pytest.mark.parametrize("by", ["token", "collection"])
async def test_an_answer_of_the_bus_is_lost(
    world: World, monkeypatch: pytest.MonkeyPatch, by: str, size: int
) -> None:
    """Whichever it is: what was asked for is done, once."""
    monkeypatch.setattr(MountedFiles, "place_whole", never_placed)
    collection = await Collection.open(world)
    for lost in range(1, 30):
        records = AskedTwice(world.bus.records, lost)
        monkeypatch.setattr(world.gate.uploads.sessions, "_records", records)
        name, data = f"{lost}", os.urandom(size)
        if by == "token":
            await world.upload(name, data)
        else:
            assert (await collection.create(size, name, data if data else None)).status == 201
        assert (world.folder / name).read_bytes() == data
        assert len(world.events("file.uploaded")) == lost
        if records.left > 0:
            break
    assert 3 <= lost < 29


@pytest.mark.parametrize("call", ["stage_whole", "create_staging"])
async def test_nothing_is_left_of_what_the_storage_did_and_did_not_tell(
    world: World, files: Collection, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    """Whoever asked for it has heard of no upload, and never asks for that one again."""
    await world.upload("b", b"bytes")
    done = getattr(MountedFiles, call)

    async def untold(*args: Any, **more: Any) -> None:
        await done(*args, **more)
        raise BackendFaultError("no answer")

    async def not_at_once(*_: Any) -> bool:
        return False

    monkeypatch.setattr(MountedFiles, call, untold)
    monkeypatch.setattr(MountedFiles, "place_whole", not_at_once)
    if call == "stage_whole":
        assert (await files.create(5, "a", b"bytes")).status == 502
    else:
        body = {"volume": "disk", "vfid": FOLDER, "relpath": "b", "dst_relpath": "a"}
        assert (await world.manager("POST", "/folder/file/copy", body)).status == 502
    assert sorted(os.listdir(world.folder)) == ["b"]
    assert not [name for name, record in world.store.records.items() if record.due is not None]


# [A16]
async def test_an_upload_whose_record_was_lost_goes_on(world: World, files: Collection) -> None:
    url = await files.begin(6, "d/x")
    await files.patch(url, 0, b"abc")
    await world.let_go(url)
    world.store.records.clear()
    other = await Collection.open(world, owner="somebody else")
    assert (await other.head(url)).status == 404
    assert (await files.head(url)).headers["Upload-Offset"] == "3"
    assert (await files.patch(url, 3, b"def")).status == 204
    assert (world.folder / "d" / "x").read_bytes() == b"abcdef"
    assert os.listxattr(world.folder / "d" / "x") == ["user.penstock.sha256"]
    world.store.records.clear()
    assert (await files.head(url)).status == 404
