"""Uploads that are taken without the HTTP library: the same answers, files and events, whoever takes them."""

from __future__ import annotations

import asyncio
import gc
import os
import socket
import struct
import time
from collections.abc import Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import pytest
from harness.begun import DATA as WHOLE
from harness.begun import begin, look, send
from harness.fields import BODY, metadata
from harness.line import Line
from harness.spans import Tracer
from harness.tus import Collection
from harness.uploads import let_pass
from harness.world import FOLDER, ONCE, Answer, World, open_world
from loguru import logger

from backends.mounted.files import MountedFiles
from domain.errors import BackendFaultError, PenstockError, StorageFullError
from domain.spans import NoSpans
from gateway import app
from gateway.express import handler, uploads
from gateway.express.request import SimpleRequest
from gateway.express.uploads import ExpressUploads

pytestmark = [pytest.mark.anyio, pytest.mark.folder]

DATA = os.urandom(4096)
#: A field that nobody heeds, but makes a request no simple one.
ORDINARY = {"X-Unheard-Of": "1"}
Fields = Mapping[str, str]


class Spied:
    """What became of requests that were begun at once: whether they were answered."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.answered: list[bool] = []
        begin = ExpressUploads.begin

        def spy(express: ExpressUploads, request: SimpleRequest, transport: Any) -> Any:
            begun = begin(express, request, transport)
            if begun is None:
                self.answered.append(False)
                return None
            return self._noted(begun)

        monkeypatch.setattr(ExpressUploads, "begin", spy)

    async def _noted(self, begun: Any) -> bytes | None:
        answer: bytes | None = await begun
        self.answered.append(answer is not None)
        return answer


@pytest.fixture
def spied(monkeypatch: pytest.MonkeyPatch) -> Spied:
    return Spied(monkeypatch)


def fields_of(data: bytes, name: str, more: Fields) -> dict[str, str]:
    told = {**BODY, "Upload-Length": str(len(data)), "Upload-Metadata": metadata(filename=name)}
    return {name: value for name, value in {**told, **more}.items() if value}


def post(line: Line, target: str, data: bytes, name: str = "a", **more: str) -> None:
    """Send a request in one piece; a field that is empty is left out."""
    dashed = {field.replace("_", "-"): value for field, value in more.items()}
    fields = {"Content-Length": str(len(data)), **fields_of(data, name, dashed)}
    head = [f"POST {target} HTTP/1.1", "Host: x", *(f"{field}: {value}" for field, value in fields.items())]
    line.send("\r\n".join([*head, "", ""]).encode() + data)


def fail_first(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    """Have the first file not come to its place."""
    real = MountedFiles.place_whole
    errors = [error]

    async def place(files: MountedFiles, *args: Any) -> bool:
        if errors:
            raise errors.pop()
        return await real(files, *args)

    monkeypatch.setattr(MountedFiles, "place_whole", place)


async def warm(line: Line) -> None:
    """The first request of a connection may come before the library waits for one."""
    line.head("GET", "/", {})
    assert (await line.answer()).status == 200


def comparable(answer: Answer) -> tuple[int, dict[str, str], bytes]:
    passing = {"Date", "X-Request-ID"}
    assert passing <= set(answer.headers)
    # When it may be dropped is told by the second, and another one may have begun meanwhile.
    told = {name: value for name, value in answer.headers.items() if name not in {*passing, "Upload-Expires"}}
    if "Location" in told:
        place, _, query = told["Location"].partition("?")
        told["Location"] = f"{place[:-32]}?{query}"
    return answer.status, told, answer.body


async def both_ways(world: World, target: str, data: bytes, name: str, **more: str) -> tuple[Answer, Answer]:
    """What is answered at once, or not, and what the ordinary way answers; each on a connection of its own."""
    async with Line.open(world) as line, Line.open(world) as other:
        await warm(line)
        post(line, target, data, name, **more)
        told = await line.answer()
        post(other, target, data, f"{name}", **more, **ORDINARY)
        ordinary = await other.answer()
    await world.take_over()
    return told, ordinary


# --- the same ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [1, 4096, 200_000])
@pytest.mark.parametrize("bearer", [True, False])
async def test_it_makes_no_difference_who_takes_it(
    world: World, files: Collection, spied: Spied, monkeypatch: pytest.MonkeyPatch, size: int, bearer: bool
) -> None:
    monkeypatch.setattr(handler, "_REST_SECONDS", 5.0)  # the largest comes in several pieces
    data = os.urandom(size)
    target = "/files" if bearer else f"/files?token={files.token}"
    more = {"Authorization": f"Bearer {files.token}"} if bearer else {}
    told, ordinary = await both_ways(world, target, data, "new/dir/é", **more)
    assert spied.answered == [True]
    assert told.status == 201
    assert comparable(told) == comparable(ordinary)
    assert (world.folder / "new/dir/é").read_bytes() == data
    head = await files.head("/" + told.headers["Location"])
    assert (head.status, head.headers["Upload-Offset"]) == (200, str(size))
    first, second = (event.body for event in world.events("file.uploaded"))
    assert {**first, "session": "", "replaced_bytes": size} == {**second, "session": ""}
    counted = [(one.method, one.endpoint, one.status) for one in world.watching.answers if one.method == "POST"]
    assert counted[-2:] == [("POST", "/files", 201)] * 2


@pytest.mark.parametrize(
    ("front", "endpoint"),
    [
        ("token", "/upload"),
        ("named", "/files/{session}"),
        ("bearer", "/files/{session}"),
        ("query", "/files/{session}"),
    ],
)
async def test_one_that_was_begun_is_counted_by_its_endpoint_whoever_takes_it(
    world: World, spied: Spied, front: str, endpoint: str
) -> None:
    told = await send(world, await begin(world, front))
    assert spied.answered.count(True) == 1
    ordinary = await send(world, await begin(world, front), X_Unheard_Of="1")
    assert spied.answered.count(True) == 1
    assert comparable(told) == comparable(ordinary)
    counted = [(one.method, one.endpoint, one.status) for one in world.watching.answers if one.method == "PATCH"]
    assert counted == [("PATCH", endpoint, 204)] * 2


async def test_many_on_one_connection(world: World, files: Collection, spied: Spied) -> None:
    async with Line.open(world) as line:
        await warm(line)
        for n in range(20):
            post(line, f"/files?token={files.token}", b"%d" % n, f"f{n}")
            assert (await line.answer()).status == 201
    assert spied.answered == [True] * 20
    assert [(world.folder / f"f{n}").read_bytes() for n in range(20)] == [b"%d" % n for n in range(20)]
    await world.take_over()
    assert [event.body["path"] for event in world.events("file.uploaded")] == [f"f{n}" for n in range(20)]


@pytest.mark.parametrize("pieces", [1, 2, 5])
async def test_a_body_that_comes_behind_its_head(
    world: World, files: Collection, spied: Spied, monkeypatch: pytest.MonkeyPatch, pieces: int
) -> None:
    """As most libraries send them."""
    monkeypatch.setattr(handler, "_REST_SECONDS", 5.0)
    async with Line.open(world) as line:
        await warm(line)
        for n in range(3):
            told = {**fields_of(DATA, f"f{n}", {}), "Content-Length": str(len(DATA))}
            line.head("POST", f"/files?token={files.token}", told)
            for piece in range(pieces):
                await line.drain()
                await anyio.sleep(0.01)
                line.send(DATA[piece * len(DATA) // pieces : (piece + 1) * len(DATA) // pieces])
            assert (await line.answer()).status == 201
    assert spied.answered == [True] * 3
    assert [(world.folder / f"f{n}").read_bytes() for n in range(3)] == [DATA] * 3


@pytest.fixture
def takers(monkeypatch: pytest.MonkeyPatch) -> list[ExpressUploads]:
    """Who holds bodies in memory."""
    found: list[ExpressUploads] = []
    make = ExpressUploads.__init__

    def noting(mine: ExpressUploads, *args: Any) -> None:
        make(mine, *args)
        found.append(mine)

    monkeypatch.setattr(ExpressUploads, "__init__", noting)
    return found


@pytest.mark.parametrize("pieces", [False, True])
async def test_bodies_that_are_too_many_together_are_stored_as_they_come(
    takers: list[ExpressUploads], tmp_path: Path, spied: Spied, monkeypatch: pytest.MonkeyPatch, pieces: bool
) -> None:
    monkeypatch.setattr(handler, "_REST_SECONDS", 5.0)
    async with open_world(tmp_path) as world:
        await world.make_folder()
        files, (taker,) = await Collection.open(world), takers
        for most, is_taken in ((3 * len(DATA), True), (len(DATA) - 1, False)):
            monkeypatch.setattr(uploads, "_HELD_BYTES", most)
            async with Line.open(world) as line:
                await warm(line)
                if pieces:
                    told = {**fields_of(DATA, "a", {}), "Content-Length": str(len(DATA))}
                    line.head("POST", f"/files?token={files.token}", told)
                    await line.drain()
                    await world.settled(lambda held=is_taken: (taker._held_bytes > 0) == held)
                    line.send(DATA)
                else:
                    post(line, f"/files?token={files.token}", DATA)
                assert (await line.answer()).status == 201
            assert any(spied.answered) == is_taken
            spied.answered.clear()
            assert taker._held_bytes == 0, "what was held is given back"
            assert (world.folder / "a").read_bytes() == DATA
            (world.folder / "a").unlink()


@pytest.mark.parametrize("ends", ["by a reset", "later"])
async def test_of_what_is_broken_off_nothing_is_held(
    takers: list[ExpressUploads], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ends: str
) -> None:
    monkeypatch.setattr(handler, "_REST_SECONDS", 0.2)
    async with open_world(tmp_path) as world:
        await world.make_folder()
        files, (taker,) = await Collection.open(world), takers
        async with Line.open(world) as line:
            await warm(line)
            told = {**fields_of(DATA, "a", {}), "Content-Length": str(len(DATA))}
            line.head("POST", f"/files?token={files.token}", told)
            line.send(DATA[:1000])
            await line.drain()
            await world.settled(lambda: taker._held_bytes > len(DATA))
            if ends == "later":
                await world.settled(lambda: taker._held_bytes == 0)
        await world.settled(lambda: taker._held_bytes == 0)


async def test_who_is_too_slow_is_left_to_the_ordinary_way(world: World, files: Collection, spied: Spied) -> None:
    async with Line.open(world) as line:
        await warm(line)
        told = {**fields_of(DATA, "a", {}), "Content-Length": str(len(DATA))}
        for n in range(2):
            line.head("POST", f"/files?token={files.token}", told)
            await anyio.sleep(0.05)
            # What follows looks like a request, and is a part of this one's body.
            line.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            await anyio.sleep(0.05)
            line.send(DATA[len("GET / HTTP/1.1\r\nHost: x\r\n\r\n") :])
            assert (await line.answer()).status == 201, n
    assert spied.answered == []
    assert (world.folder / "a").read_bytes()[:14] == b"GET / HTTP/1.1"


@pytest.mark.parametrize("ends", ["at once", "at once by its end", "by a reset", "later", "by its end"])
async def test_what_has_come_of_one_that_is_broken_off_is_stored(
    world: World, files: Collection, ends: str
) -> None:
    url, complaints = await files.begin(len(DATA)), list[Any]()
    asyncio.get_running_loop().set_exception_handler(lambda _, what: complaints.append(what))
    sink = logger.add(complaints.append, level="WARNING", format="{message}", backtrace=False, diagnose=False)
    fields = {**BODY, "Upload-Offset": "0", "Authorization": f"Bearer {files.token}"}
    async with Line.open(world) as line:
        await warm(line)
        line.head("PATCH", url, {**fields, "Content-Length": str(len(DATA))})
        line.send(DATA[:1000])
        await line.drain()
        if ends == "by a reset":
            await anyio.sleep(0.004)
            line.reset()
        elif not ends.startswith("at once"):
            await anyio.sleep(0.05)
        if ends.endswith("by its end"):
            line.end()
            await anyio.sleep(0.05)
    await anyio.sleep(0.1)
    logger.remove(sink)
    stored = int((await files.head(url)).headers["Upload-Offset"])
    assert stored == 1000 or (ends in ("at once", "by a reset") and stored == 0)
    assert complaints == []
    assert (await files.patch(url, stored, DATA[stored:])).status == 204
    assert (world.folder / "a").read_bytes() == DATA


async def test_one_that_is_reset_when_its_rest_is_no_longer_waited_for_is_left_to_nobody(
    world: World, files: Collection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The process was busy, and learns of both in one moment: the library must not begin on it any more."""
    monkeypatch.setattr(handler, "_REST_SECONDS", 0.1)
    url, loop, complaints = await files.begin(len(DATA)), asyncio.get_running_loop(), list[Any]()
    loop.set_exception_handler(lambda _, what: complaints.append(what))
    fields = {**BODY, "Upload-Offset": "0", "Authorization": f"Bearer {files.token}"}
    lines = [f"{name}: {value}" for name, value in {**fields, "Content-Length": str(len(DATA))}.items()]
    with socket.socket() as peer:
        peer.setblocking(False)
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        await loop.sock_connect(peer, ("127.0.0.1", world.client_port))
        await loop.sock_sendall(peer, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        await loop.sock_recv(peer, 1 << 16)
        head = "\r\n".join([f"PATCH {url} HTTP/1.1", "Host: x", *lines, "", ""]).encode()
        await loop.sock_sendall(peer, head + DATA[:1000])
        await anyio.sleep(0.05)
        peer.close()
        busy_until = time.monotonic() + 0.1
        while time.monotonic() < busy_until:
            pass
    await anyio.sleep(0.05)
    gc.collect()
    assert complaints == []
    assert (await files.head(url)).headers["Upload-Offset"] == "0"


# --- what is left to the ordinary way -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("more", "status"),
    [
        ({"Tus-Resumable": ""}, 412),
        ({"Tus-Resumable": "0.2.2"}, 412),
        ({"Content-Type": "text/plain"}, 415),
        ({"Upload-Length": "4097"}, 201),
        ({"Upload-Length": "5"}, 413),
        ({"Upload-Length": "-1"}, 400),
        ({"Upload-Length": ""}, 400),
        ({"Upload-Metadata": ""}, 400),
        ({"Upload-Metadata": "filename ***"}, 400),
        ({"Upload-Metadata": metadata(filename="../away")}, 400),
        ({"Upload-Metadata": metadata(filename=".upload/x")}, 400),
        ({"Upload-Metadata": metadata(filename="a", sha256="0" * 64)}, 460),
        ({"Upload-Metadata": metadata(filename="a", extract="1")}, 400),
        ({"Upload-Metadata": metadata(filename="dir")}, 400),
        ({"Upload-Metadata": metadata(filename="out/x")}, 400),
        ({"Authorization": "Bearer nonsense"}, 401),
        ({"Authorization": "Basic YTpi"}, 401),
        ({"Origin": "https://a.example"}, 201),
        ({"Upload-Checksum": "sha1 AAAAAAAAAAAAAAAAAAAAAAAAAAA="}, 460),
        ({"Upload-Concat": "partial", "Upload-Metadata": ""}, 201),
    ],
)
async def test_everything_else_is_answered_as_ever(
    world: World, files: Collection, spied: Spied, more: dict[str, str], status: int
) -> None:
    (world.folder / "dir").mkdir()
    (world.folder / "out").symlink_to(world.path)
    fields = {"Authorization": f"Bearer {files.token}", **more}
    dashed = {name.replace("-", "_"): value for name, value in fields.items()}
    told, ordinary = await both_ways(world, "/files", DATA, "a", **dashed)
    assert told.status == status
    assert comparable(told) == comparable(ordinary)
    assert not any(spied.answered)


async def test_folders_that_are_not_there_or_limited(world: World, files: Collection, spied: Spied) -> None:
    away = world.folder.rename(world.path / "elsewhere")
    told, ordinary = await both_ways(world, f"/files?token={files.token}", DATA, "a")
    assert (told.status, comparable(told)) == (404, comparable(ordinary))
    away.rename(world.folder)
    body = {"volume": "disk", "vfid": FOLDER, "options": {"limit_bytes": 10_000}}
    assert (await world.manager("PUT", "/folder/quota", body)).status == 204
    told, ordinary = await both_ways(world, f"/files?token={files.token}", DATA, "a")
    assert (told.status, ordinary.status) == (201, 201)
    told, ordinary = await both_ways(world, f"/files?token={files.token}", DATA * 3, "b")
    assert (told.status, comparable(told)) == (413, comparable(ordinary))
    assert not any(spied.answered)


async def test_a_token_that_expired_begins_nothing(
    world: World, files: Collection, spied: Spied, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor does one that was read while it was good."""
    target = f"/files?token={files.token}"
    told, _ = await both_ways(world, target, DATA, "a")
    assert (told.status, spied.answered) == (201, [True])
    let_pass(monkeypatch, 10**6)
    told, ordinary = await both_ways(world, target, DATA, "b")
    assert (told.status, comparable(told)) == (401, comparable(ordinary))
    assert spied.answered == [True, False]
    assert not (world.folder / "b").exists()


async def test_it_counts_as_running_while_it_runs(
    world: World, files: Collection, spied: Spied, monkeypatch: pytest.MonkeyPatch
) -> None:
    running = [0]

    def count(kind: str, change: int) -> None:
        assert kind == "upload"
        running.append(running[-1] + change)

    monkeypatch.setattr(world.watching, "transferring", count)
    async with Line.open(world) as line:
        await warm(line)
        post(line, f"/files?token={files.token}", DATA)
        assert (await line.answer()).status == 201
    assert spied.answered == [True]
    assert running == [0, 1, 0]


async def test_a_token_for_one_upload_is_not_for_this(world: World, spied: Spied) -> None:
    token = await world.upload_token("a", len(DATA))
    async with Line.open(world) as line:
        await warm(line)
        post(line, f"/files?token={token}", DATA)
        assert (await line.answer()).status == 201
    assert spied.answered == [False]
    assert (world.folder / "a").read_bytes() == DATA


async def test_a_volume_without_an_outbox(tmp_path: Path, spied: Spied, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("backends.mounted.mountinfo.MountedAs.keeps_order", False)
    async with open_world(tmp_path) as world:
        await world.make_folder()
        files = await Collection.open(world)
        told, ordinary = await both_ways(world, f"/files?token={files.token}", DATA, "a")
        assert (told.status, comparable(told)) == (201, comparable(ordinary))
        assert (world.folder / "a").read_bytes() == DATA
        assert len(world.events("file.uploaded")) == 2
    assert spied.answered == [False]


@pytest.mark.parametrize("error", [BackendFaultError("EIO"), RuntimeError("a defect")])
async def test_what_fails_is_tried_on_the_ordinary_way(
    world: World, files: Collection, spied: Spied, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    fail_first(monkeypatch, error)
    async with Line.open(world) as line:
        await warm(line)
        for name in ("a", "b"):
            post(line, f"/files?token={files.token}", DATA, name)
            assert (await line.answer()).status == 201
    assert spied.answered == [False, True] if isinstance(error, PenstockError) else [True]
    assert (world.folder / "a").read_bytes() == DATA


# --- connections ----------------------------------------------------------------------------------------


class Gate:
    """Holds back what is put at its place, until it is opened."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.begun = anyio.Event()
        self.opened = anyio.Event()
        real = MountedFiles.place_whole

        async def held(files: MountedFiles, *args: Any) -> bool:
            self.begun.set()
            await self.opened.wait()
            return await real(files, *args)

        monkeypatch.setattr(MountedFiles, "place_whole", held)


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> Gate:
    return Gate(monkeypatch)


async def test_what_comes_meanwhile_is_answered_behind_it(
    world: World, files: Collection, spied: Spied, gate: Gate
) -> None:
    target = f"/files?token={files.token}"
    async with Line.open(world) as line:
        await warm(line)
        post(line, target, DATA, "a", X_Request_ID="first")
        await gate.begun.wait()
        line.head("GET", "/", {"X-Request-ID": "second"})
        post(line, target, DATA, "b", X_Request_ID="third", **ORDINARY)
        await anyio.sleep(0.05)
        post(line, target, DATA, "c", X_Request_ID="fourth")
        await anyio.sleep(0.05)
        gate.opened.set()
        told = [await line.answer() for _ in range(4)]
        assert [answer.headers["X-Request-ID"] for answer in told] == ["first", "second", "third", "fourth"]
        assert [answer.status for answer in told] == [201, 200, 201, 201]
        post(line, target, DATA, "d")
        assert (await line.answer()).status == 201
    assert spied.answered[0]
    assert {name.name for name in world.folder.iterdir()} == {"a", "b", "c", "d"}


async def test_a_simple_request_that_waited_is_simple(
    world: World, files: Collection, spied: Spied, gate: Gate
) -> None:
    async with Line.open(world) as line:
        await warm(line)
        post(line, f"/files?token={files.token}", DATA, "a")
        await gate.begun.wait()
        post(line, f"/files?token={files.token}", DATA, "b")
        await anyio.sleep(0.05)
        gate.opened.set()
        assert [(await line.answer()).status for _ in range(2)] == [201, 201]
        post(line, f"/files?token={files.token}", DATA, "c")
        assert (await line.answer()).status == 201
    assert spied.answered == [True] * 3


async def test_a_client_that_sends_on_and_on_is_held_back(world: World, files: Collection, gate: Gate) -> None:
    """Nothing of what it sends is read before its first request is answered, but for what came at once."""
    async with Line.open(world) as line:
        await warm(line)
        post(line, f"/files?token={files.token}", DATA, "a")
        await gate.begun.wait()
        for n in range(400):
            post(line, f"/files?token={files.token}", b"x" * 60_000, f"f{n}", **ORDINARY)
            await anyio.lowlevel.checkpoint()
        await anyio.sleep(0.2)
        assert line.unsent > 10 << 20
        gate.opened.set()
        for _ in range(401):
            assert (await line.answer()).status == 201


async def test_it_is_stored_for_a_client_that_has_left(world: World, files: Collection, gate: Gate) -> None:
    async with Line.open(world) as line:
        await warm(line)
        post(line, f"/files?token={files.token}", DATA, "a")
        await gate.begun.wait()
    await anyio.sleep(0.05)
    gate.opened.set()
    await world.settled(lambda: world.events("file.uploaded"))
    assert (world.folder / "a").read_bytes() == DATA


@pytest.mark.parametrize("front", ["token", "bearer"])
@pytest.mark.parametrize("leaves", ["ends", "resets"])
async def test_what_has_come_is_stored_though_it_has_to_be_replaced_and_the_client_has_left(
    world: World, gate: Gate, front: str, leaves: str
) -> None:
    (world.folder / "new").mkdir()
    (world.folder / "new/a").write_bytes(b"old")
    begun = await begin(world, front)
    async with Line.open(world) as line:
        await warm(line)
        line.head("PATCH", begun.target, {**BODY, **begun.fields, "Upload-Offset": "0", "Content-Length": "4096"})
        line.send(WHOLE)
        await gate.begun.wait()
        if leaves == "resets":
            line.reset()
        else:
            line.end()
        await anyio.sleep(0.05)
        gate.opened.set()
        await world.settled(lambda: (world.folder / "new/a").read_bytes() == WHOLE)
    assert await look(world, begun) == (200, str(len(WHOLE)))
    assert len(world.events("file.uploaded")) == 1


async def test_an_answer_that_takes_longer_than_connections_are_kept(
    tmp_path: Path, gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(app, "_KEEPALIVE_SECONDS", 0.2)
    async with open_world(tmp_path) as world:
        await world.make_folder()
        files = await Collection.open(world)
        async with Line.open(world) as line:
            await warm(line)
            post(line, f"/files?token={files.token}", DATA, "a")
            await gate.begun.wait()
            await anyio.sleep(0.7)
            gate.opened.set()
            assert (await line.answer()).status == 201
            assert await line.has_ended(), "nothing comes any more"


async def test_the_log_has_the_id_its_client_was_told(
    world: World, files: Collection, monkeypatch: pytest.MonkeyPatch
) -> None:
    logged: list[dict[str, object]] = []
    sink = logger.add(lambda text: logged.append(text.record["extra"]), level="WARNING")
    fail_first(monkeypatch, StorageFullError("the volume is full"))
    try:
        async with Line.open(world) as line:
            await warm(line)
            post(line, f"/files?token={files.token}", DATA, "a")
            answer = await line.answer()
    finally:
        logger.remove(sink)
    assert answer.status == 507
    (extra,) = logged
    assert (extra["request_id"], extra["operation"]) == (answer.headers["X-Request-ID"], "POST /files")


async def test_a_server_that_stops_answers_first(tmp_path: Path, spied: Spied, gate: Gate) -> None:
    told: list[int] = []

    async def read(line: Line) -> None:
        told.append((await line.answer()).status)
        assert await line.has_ended()

    async def open_soon() -> None:
        await anyio.sleep(0.3)
        gate.opened.set()

    async with AsyncExitStack() as stack, anyio.create_task_group() as tasks, open_world(tmp_path) as world:
        await world.make_folder()
        files = await Collection.open(world)
        line = await stack.enter_async_context(Line.open(world))
        await warm(line)
        post(line, f"/files?token={files.token}", DATA, "a")
        await gate.begun.wait()
        tasks.start_soon(read, line)
        tasks.start_soon(open_soon)
    assert told == [201]
    assert spied.answered == [True]
    assert (world.folder / "a").read_bytes() == DATA


async def test_a_peer_who_asks_too_much_is_refused(tmp_path: Path, spied: Spied) -> None:
    async with open_world(tmp_path, peer_rate=ONCE) as world:
        await world.make_folder()
        files = await Collection.open(world)
        async with Line.open(world) as line:
            await warm(line)
            told = []
            for n in range(3):
                post(line, f"/files?token={files.token}", DATA, f"f{n}")
                told.append((await line.answer()).status)
    assert told == [201, 429, 429]
    assert spied.answered == [True, False, False]


async def test_who_traces_hears_of_every_request(tmp_path: Path) -> None:
    async with open_world(tmp_path, NoSpans()) as world:
        assert ExpressUploads.offered(world.gate) is not None
    async with open_world(tmp_path, Tracer()) as world:
        assert ExpressUploads.offered(world.gate) is None
