"""Looking after uploads nobody asks about any more."""

from __future__ import annotations

import errno
import os
from typing import Any

import anyio
import pytest
from harness.fields import TUS
from harness.limits import limit_folder
from harness.tus import LARGE, Collection
from harness.uploads import change, let_pass, reserved, session_of
from harness.world import World

from bus.codec import decode_document, encode_document
from bus.memory.store import StoredRecord
from domain.errors import BackendUnavailableError
from domain.ids import VolumeName
from gateway.uploads.at_once import AtOnce
from gateway.uploads.finishing import Finisher
from gateway.uploads.session import UploadSession
from gateway.uploads.sweeper import sweep_for_ever
from gateway.uploads.uploads import Uploads

pytestmark = [pytest.mark.anyio, pytest.mark.folder]


async def expired(world: World, name: str) -> str:
    """Id of an upload that is due."""
    files = await Collection.open(world)
    session = (await files.begin(3, name)).rpartition("/")[2]
    change(world, session, expires=1.0)
    return session


def state(world: World, session: str) -> object:
    return decode_document(world.store.records[f"upload:{session}"].data)["state"]


@pytest.mark.parametrize(
    "fields", [{"state": "frozen"}, {"folder": "nowhere"}, {"destination": 5}, {"parts": 7}, {"state": None}]
)
async def test_a_record_of_a_later_release_is_left_to_it(world: World, fields: dict[str, Any]) -> None:
    """It holds up neither the others nor the process, and who asks for it is told to come back."""
    odd, plain = await expired(world, "a"), await expired(world, "b")
    change(world, odd, due=0.5, **fields)
    before = world.store.records[f"upload:{odd}"]
    await world.gate.uploads.sweep(10)
    assert world.store.records[f"upload:{odd}"] == before
    assert state(world, plain) == "gone"
    files = await Collection.open(world)
    for method in ("HEAD", "PATCH", "DELETE"):
        headers = {**TUS, "Upload-Offset": "0", "Content-Type": "application/offset+octet-stream"}
        answer = await files.ask(method, f"/files/{odd}", headers)
        assert answer.status == 503
        assert int(answer.headers["Retry-After"]) >= 1


@pytest.mark.parametrize("error", [FileNotFoundError(errno.ENOENT, ""), PermissionError(errno.EACCES, "")])
async def test_a_file_that_can_never_be_put_at_its_place_expires(
    world: World, monkeypatch: pytest.MonkeyPatch, error: OSError
) -> None:
    await limit_folder(world, limit_bytes=2 * LARGE)
    token, rename = await world.upload_token("f", LARGE), os.rename

    def refusing(source: str, target: str, **more: int) -> None:
        if target == "f":
            raise error
        rename(source, target, **more)

    monkeypatch.setattr(os, "rename", refusing)
    assert 400 <= (await world.patch(token, 0, bytes(LARGE))).status < 500
    await world.let_go(session_of(token))
    let_pass(monkeypatch, 30 * 86400)
    await world.gate.uploads.sweep(10)
    assert (reserved(world), os.listdir(world.folder)) == ([], [])
    assert state(world, session_of(token)) == "gone"


async def test_bytes_that_are_no_record(world: World) -> None:
    odd, plain = await expired(world, "a"), await expired(world, "b")
    record = world.store.records[f"upload:{odd}"]
    world.store.records[f"upload:{odd}"] = StoredRecord(b"\xff\xff", record.revision, record.expires, 0.5)
    await world.gate.uploads.sweep(10)
    assert state(world, plain) == "gone"
    assert (await (await Collection.open(world)).head(f"/files/{odd}")).status == 503


async def test_uploads_of_volumes_of_others_take_nobodys_place(world: World) -> None:
    mine = await expired(world, "mine")
    document = decode_document(world.store.records[f"upload:{mine}"].data)
    for number in range(30):
        session = f"{number:032x}"
        data = encode_document({**document, "id": session, "volume": "elsewhere"})
        world.store.records[f"upload:{session}"] = StoredRecord(data, 1, world.bus.clock.now() + 99, 0.001 * number)
    loaded: list[str] = []
    load = world.gate.uploads.sessions.load

    async def noting(session_id: str, *volume: VolumeName) -> Any:
        loaded.append(session_id)
        return await load(session_id, *volume)

    world.gate.uploads.sessions.load = noting  # type: ignore[method-assign]
    await world.gate.uploads.sweep(5)
    assert state(world, mine) == "gone"
    assert len(loaded) > 30
    loaded.clear()
    await world.gate.uploads.sweep(5)
    assert not loaded, "whose they are is known from the last time"
    assert len(world.store.records) >= 31


async def test_of_very_many_that_are_due_all_are_found(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.uploads.sessions._PAGE", 3)
    sessions = [await expired(world, f"{number}") for number in range(20)]
    await world.gate.uploads.sweep(100)
    assert {state(world, session) for session in sessions} == {"gone"}


async def test_no_more_are_looked_after_than_is_said(world: World) -> None:
    sessions = [await expired(world, f"{number}") for number in range(6)]
    await world.gate.uploads.sweep(4)
    assert sorted(str(state(world, session)) for session in sessions) == ["gone"] * 4 + ["open"] * 2


async def test_what_goes_wrong_with_one_is_nothing_to_the_others(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    odd, plain = await expired(world, "a"), await expired(world, "b")
    expire = Finisher.expire

    async def failing(finisher: Finisher, session: UploadSession) -> None:
        if session.id == odd:
            raise RuntimeError("a defect")
        await expire(finisher, session)

    monkeypatch.setattr(Finisher, "expire", failing)
    await world.gate.uploads.sweep(10)
    assert (state(world, odd), state(world, plain)) == ("open", "gone")


async def test_a_volume_that_is_away_is_asked_once(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(5):
        await expired(world, f"{number}")
    asked: list[str] = []

    async def away(finisher: Finisher, session: UploadSession) -> None:
        asked.append(session.id)
        raise BackendUnavailableError("away")

    monkeypatch.setattr(Finisher, "expire", away)
    await world.gate.uploads.sweep(10)
    assert len(asked) == 1


async def test_no_defect_ends_the_sweeping(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    rounds: list[str] = []

    async def failing(*_: object) -> None:
        rounds.append("")
        if len(rounds) % 2:
            raise RuntimeError("a defect")

    monkeypatch.setattr(Uploads, "sweep", failing)
    monkeypatch.setattr(AtOnce, "recover", failing)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(sweep_for_ever, world.gate.uploads, 0.01)
        await world.settled(lambda: len(rounds) > 5)
        tasks.cancel_scope.cancel()


# [B11]
async def test_what_expired_is_gone(world: World, files: Collection, monkeypatch: pytest.MonkeyPatch) -> None:
    url = await files.begin(6)
    answer = await files.patch(url, 0, b"abc")
    assert "Upload-Expires" in answer.headers
    keep_seconds = world.gate.settings.upload_seconds
    for ahead, status in ((keep_seconds - 60, 200), (2 * keep_seconds, 410)):
        await world.let_go(url)
        let_pass(monkeypatch, ahead)
        await world.gate.uploads.sweep(10)
        later = await Collection.open(world)
        assert (await later.head(url)).status == status
    assert (await later.patch(url, 3, b"def")).status == 410
    assert list(world.folder.iterdir()) == []
