"""Archives of one volume do not wait for those of another, however slow that is; and those of one have a limit."""

from __future__ import annotations

import io
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import anyio
import pytest
from harness.archives import zip_of
from harness.around import Around
from harness.second_volume import second_volume
from harness.world import FOLDER, Answer, World, open_world

from backends.contract import ReadHandle
from gateway.archive import crew
from gateway.archive.crew import Crew

pytestmark = pytest.mark.anyio

#: More than the event loop's own threads, which many other things share.
MANY = 50


@pytest.fixture
def places(tmp_path: Path) -> tuple[Path, Path]:
    """Where two volumes may lie."""
    found = (tmp_path / "disk", tmp_path / "other")
    for place in found:
        place.mkdir()
    return found


@pytest.fixture
async def world(places: tuple[Path, Path]) -> AsyncIterator[World]:
    async with open_world(places[0]) as opened:
        await opened.make_folder()
        yield opened


@pytest.fixture(autouse=True)
def crews_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests share an event loop, and would share its crews."""
    for name in ("_unpackers", "_packers"):
        monkeypatch.setattr(crew, name, crew.RunVar(name))


class Hanging(Around):
    """Reads of uploads that wait for something."""

    def __init__(self, inner: Any, go_on: anyio.Event, waiting: list[str]) -> None:
        super().__init__(inner)
        self._go_on = go_on
        self._waiting = waiting

    async def read_staging(self, session: str) -> ReadHandle:
        return HangingHandle(await self._inner.read_staging(session), self._go_on, self._waiting)


class HangingHandle:
    """An open upload of which no byte comes."""

    def __init__(self, inner: ReadHandle, go_on: anyio.Event, waiting: list[str]) -> None:
        self._inner = inner
        self._go_on = go_on
        self._waiting = waiting

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    async def read(self, offset: int, count: int) -> bytes:
        self._waiting.append("")
        await self._go_on.wait()
        return await self._inner.read(offset, count)


def hang(world: World) -> tuple[anyio.Event, list[str]]:
    """Have the world's volume give no byte of uploads until it may go on; tells what waits there."""
    go_on, waiting = anyio.Event(), list[str]()
    files = world.volume.files
    world.volume.files = lambda folder: Hanging(files(folder), go_on, waiting)
    return go_on, waiting


async def send(world: World, name: str, volume: str = "disk") -> Answer:
    data = zip_of({"a": b"1"})
    body = {"volume": volume, "vfid": FOLDER, "relpath": f"{name}/x.zip", "size": len(data)}
    token = (await world.manager("POST", "/folder/file/upload", body)).json["token"]
    return await world.patch(token, 0, io.BytesIO(data), extract="1")


async def archive(world: World, volume: str, form: str) -> Answer:
    body = {"volume": volume, "vfid": FOLDER, "relpath": "."}
    token = (await world.manager("POST", "/folder/file/download", body)).json["token"]
    return await world.client("GET", f"/download?token={token}&archive=1&format={form}")


async def test_a_volume_that_hangs_holds_up_no_other(world: World, places: tuple[Path, Path]) -> None:
    go_on, waiting = hang(world)
    answers: list[Answer] = []
    async with second_volume(world, places[1]) as other, anyio.create_task_group() as tasks:
        (other / "there").write_bytes(b"2")

        async def one(number: int) -> None:
            answers.append(await send(world, str(number)))

        for number in range(MANY):
            tasks.start_soon(one, number)
        await world.settled(lambda: len(waiting) >= 8 and len(answers) >= MANY - 32)
        with anyio.fail_after(20):
            assert (await send(world, "in", "other")).status == 204
            for form in ("zip", "tar", "tar.gz", "tar.zst"):
                assert (await archive(world, "other", form)).status == 200
                # What is packed does not wait for what is unpacked, on the same volume either.
                assert (await archive(world, "disk", form)).status == 200
        assert (other / "in" / "a").read_bytes() == b"1"
        busy = [answer for answer in answers if answer.status == 503]
        assert len(busy) == len(answers) == MANY - 32
        assert {answer.headers["Retry-After"] for answer in busy} == {"5"}
        go_on.set()
    assert sorted(answer.status for answer in answers) == [204] * 32 + [503] * (MANY - 32)
    assert len(list(world.folder.glob("*/a"))) == 32


async def test_whoever_is_refused_for_want_of_threads_is_served_later(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(crew, "_UNPACKED_WAITING", 0)
    monkeypatch.setattr(crew, "_UNPACKED", 1)
    go_on, waiting = hang(world)
    data = zip_of({"a": b"1"})
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(send, world, "first")
        await world.settled(lambda: waiting)
        token = await world.upload_token("second/x.zip", len(data))
        refused = await world.patch(token, 0, io.BytesIO(data), extract="1")
        assert refused.status == 503
        go_on.set()
    head = await world.client("HEAD", f"/upload?token={token}&extract=1")
    assert head.headers["Upload-Offset"] == str(len(data))
    assert (world.folder / "second" / "a").read_bytes() == b"1"


async def test_archives_that_are_made_have_a_limit_of_their_own(
    world: World, places: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(crew, "_PACKED_WAITING", 0)
    monkeypatch.setattr(crew, "_PACKED", 1)
    go_on = threading.Event()
    async with second_volume(world, places[1]), anyio.create_task_group() as tasks:
        tasks.start_soon(crew.packers(world.volume.name).run, go_on.wait)
        await anyio.wait_all_tasks_blocked()
        refused = await archive(world, "disk", "tar")
        assert (refused.status, refused.headers["Retry-After"]) == (503, "5")
        assert (await archive(world, "other", "tar")).status == 200
        go_on.set()
    assert (await archive(world, "disk", "tar")).status == 200


async def test_a_turn_is_not_waited_for_for_ever() -> None:
    few = Crew("of them", 1, 10, patience_seconds=0.05)
    async with few.turn():
        with pytest.raises(crew.BusyError):
            await few.run(int)
    assert await few.run(int, "3") == 3
    assert await few.go_on(int, "4") == 4
