"""Uploads that were begun without the HTTP library, and did not come to a good end there."""

from __future__ import annotations

from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import anyio
import pytest
from harness.fields import BODY, metadata
from harness.line import Line
from harness.tus import Collection
from harness.world import Answer, World, open_world

from backends.mounted.files import MountedFiles
from domain.errors import BackendFaultError, BackendUnavailableError, PenstockError, StorageFullError
from gateway.express import handler

pytestmark = [pytest.mark.anyio, pytest.mark.folder]

DATA = b"d" * 4096
#: Peers may begin two requests at once, and the next one much later.
RATE = 0.001


def post(line: Line, files: Collection, name: str, **more: str) -> None:
    """A small file in one packet."""
    length = str(len(DATA))
    told = {"Upload-Length": length, "Content-Length": length, "Upload-Metadata": metadata(filename=name)}
    line.head("POST", f"/files?token={files.token}", {**BODY, **told, "X-Request-ID": "it", **more})
    line.send(DATA)


async def warm(line: Line) -> None:
    """The first request of a connection may come before the library waits for one."""
    line.head("GET", "/", {})
    assert (await line.answer()).status == 200


def comparable(answer: Answer) -> tuple[int, dict[str, str], bytes]:
    told = {name: value for name, value in answer.headers.items() if name != "Date"}
    return answer.status, told, answer.body


def sessions(world: World) -> set[str]:
    return {event.body["session"] for event in world.events("file.uploaded")}


@pytest.mark.parametrize(
    "error", [BackendUnavailableError("no answer in time"), StorageFullError("the outbox is full")]
)
async def test_a_file_that_may_be_at_its_place_is_not_put_there_again(
    world: World, files: Collection, monkeypatch: pytest.MonkeyPatch, error: PenstockError
) -> None:
    """Its client is told what is wrong, in the words of the ordinary way, and knows that it has to look."""
    place, tried = MountedFiles.place_whole, list[str]()

    async def late(access: MountedFiles, upload: Any, tell: Any) -> bool:
        tried.append(upload.session)
        await place(access, upload, tell)
        raise error

    monkeypatch.setattr(MountedFiles, "place_whole", late)
    told: list[Answer] = []
    for name, more in (("a", {}), ("b", {"X-Unheard-Of": "1"})):
        async with Line.open(world) as line:
            await warm(line)
            post(line, files, name, **more)
            told.append(await line.answer())
            line.head("GET", "/", {})
            assert (await line.answer()).status == 200, "the connection goes on"
    assert comparable(told[0]) == comparable(told[1])
    assert told[0].status == (503 if isinstance(error, BackendUnavailableError) else 507)
    assert len(tried) == 2
    await world.take_over()
    assert sessions(world) == set(tried)
    counted = [(one.status, one.domain, one.detail) for one in world.watching.answers if one.endpoint == "/files"]
    assert len(counted) == 2
    assert counted[0] == counted[1]


async def test_a_request_that_is_left_to_the_ordinary_way_counts_once(tmp_path: Path) -> None:
    async with open_world(tmp_path, peer_rate=RATE) as world:
        await world.make_folder()
        files = await Collection.open(world)
        (world.folder / "a").write_bytes(b"there already")
        async with Line.open(world) as line:
            await warm(line)
            post(line, files, "a")
            assert (await line.answer()).status == 201
            post(line, files, "a")
            assert (await line.answer()).status == 429
        assert (world.folder / "a").read_bytes() == DATA


@pytest.mark.parametrize("error", [None, BackendFaultError("EIO")])
async def test_what_is_left_to_the_ordinary_way_while_the_server_stops_is_answered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception | None
) -> None:
    begun, free, told = anyio.Event(), anyio.Event(), list[int]()

    async def held(access: MountedFiles, upload: Any, tell: Any) -> bool:
        if begun.is_set():
            return False
        begun.set()
        await free.wait()
        if error is not None:
            raise error
        return False

    async def read(line: Line) -> None:
        told.append((await line.answer()).status)
        assert await line.has_ended()

    async def go_on_soon() -> None:
        await anyio.sleep(0.3)
        free.set()

    monkeypatch.setattr(MountedFiles, "place_whole", held)
    async with AsyncExitStack() as stack, anyio.create_task_group() as tasks, open_world(tmp_path) as world:
        await world.make_folder()
        files = await Collection.open(world)
        line = await stack.enter_async_context(Line.open(world))
        await warm(line)
        post(line, files, "a")
        await begun.wait()
        tasks.start_soon(read, line)
        tasks.start_soon(go_on_soon)
    assert told == [201]
    assert (world.folder / "a").read_bytes() == DATA


async def test_a_request_of_which_the_rest_is_still_to_come_is_answered_though_the_server_stops(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(handler, "_REST_SECONDS", 0.3)
    told: list[Answer] = []

    async def go_on(line: Line) -> None:
        await anyio.sleep(0.1)
        line.send(DATA)
        told.append(await line.answer())

    async with AsyncExitStack() as stack, anyio.create_task_group() as tasks, open_world(tmp_path) as world:
        await world.make_folder()
        token = await world.upload_token("a", len(DATA))
        line = await stack.enter_async_context(Line.open(world))
        line.head("GET", "/", {})
        assert (await line.answer()).status == 200
        fields = {**BODY, "Upload-Offset": "0", "Content-Length": str(len(DATA))}
        line.head("PATCH", f"/upload?token={token}", fields)
        await anyio.sleep(0.02)
        tasks.start_soon(go_on, line)
    assert [answer.status for answer in told] == [204]
    assert (world.folder / "a").read_bytes() == DATA
