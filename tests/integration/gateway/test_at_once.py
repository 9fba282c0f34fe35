"""Small uploads that were begun, and come whole in one request: they are put at their places in one step.

Each is told of once and counted no more, however many bring it, ask for it, drop it or die meanwhile.
"""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest
from harness.begun import DATA, Begun, begin, look, send, told
from harness.dying import dies_at
from harness.fields import BODY, checksum
from harness.line import Line
from harness.ordered import keep_order
from harness.placing import CALLS, made
from harness.tus import LARGE, Collection, is_told_to_try_again
from harness.uploads import change, let_pass, reserved
from harness.world import FOLDER, Answer, World, digest, open_world

from backends.contract import Tell
from backends.mounted import arrivals
from backends.mounted.files import MountedFiles
from backends.mounted.outbox import MountedOutbox
from backends.powers import Recovered, WholeUpload
from bus import relay
from domain.errors import BackendUnavailableError, StorageFullError
from domain.ids import VFolderId
from domain.paths import RelativePath
from gateway.uploads import at_once
from gateway.uploads.at_once import AtOnce, Expected
from gateway.uploads.brief import Brief
from gateway.uploads.reserved import owner_index
from gateway.uploads.session import UploadSession

pytestmark = [pytest.mark.anyio, pytest.mark.folder]

BODIES = {"all": DATA, "rest": DATA[1:], "first": DATA[:1], "nothing": b"", "more": DATA + b"x"}
FRONTS = ("token", "named", "bearer", "query")
#: A field that nobody heeds, but makes a request no simple one.
ORDINARY = {"X-Unheard-Of": "1"}


@pytest.fixture(autouse=True)
def ordered(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the tests run on is taken for a file system that keeps the order of changes."""
    keep_order(monkeypatch)


@pytest.fixture
def placed(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """What came of each try to put one at its place."""
    found: list[bool] = []
    place = AtOnce.place

    async def noting(mine: AtOnce, expected: Expected, data: bytes) -> UploadSession | None:
        done = await place(mine, expected, data)
        found.append(done is not None)
        return done

    monkeypatch.setattr(AtOnce, "place", noting)
    return found


def comparable(answer: Answer) -> tuple[int, dict[str, str], bytes]:
    passing = {"Date", "X-Request-ID", "Upload-Expires", "Upload-Metadata"}
    return answer.status, {name: told for name, told in answer.headers.items() if name not in passing}, answer.body


def owned(world: World) -> set[str]:
    """Unfinished uploads, as they count among those of their owners."""
    indexes = world.store.view.indexes
    return set().union(*(found for name, found in indexes.items() if name.startswith(owner_index(""))))


# --- the same, whoever takes it -------------------------------------------------------------------------


@pytest.mark.parametrize("front", FRONTS)
async def test_it_makes_no_difference_who_takes_it(
    world: World, placed: list[bool], front: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At once, by the HTTP library, and in the ordinary steps."""
    answers = []
    for turn in range(3):
        begun = await begin(world, front, f"new/{turn}")
        assert await look(world, begun) == (200, "0")
        assert not (world.folder / ".upload").exists()
        with monkeypatch.context() as patch:
            if turn == 2:
                patch.setattr(AtOnce, "_is_expected", lambda *_: False)
            answers.append(await send(world, begun, **(ORDINARY if turn else {})))
        assert (world.folder / f"new/{turn}").read_bytes() == DATA
        assert await look(world, begun) == (200, str(len(DATA)))
        assert (await send(world, begun)).status == 409
        if front != "token":
            assert (await send(world, begun, b"", method="GET", Content_Length="")).body == DATA
    assert placed == [True, True]
    assert answers[0].status == 204
    assert comparable(answers[0]) == comparable(answers[1]) == comparable(answers[2])
    events = [{**event.body, "session": "", "path": ""} for event in world.events("file.uploaded")]
    assert events == [events[0]] * 3
    assert events[0]["sha256"] == digest(DATA)
    assert "replaced_bytes" not in events[0]
    counts = [(one.method, one.endpoint, one.status) for one in world.watching.answers if one.method == "PATCH"]
    assert len(set(counts[::2])) == 1
    assert not (world.folder / ".upload").exists()
    assert not owned(world)


@pytest.mark.parametrize("front", FRONTS)
@pytest.mark.parametrize(
    ("more", "sent", "status"),
    [
        ({"Upload-Offset": "1"}, "rest", 409),
        ({"Upload-Offset": ""}, "all", 400),
        ({"Upload-Offset": "x"}, "all", 400),
        ({"Upload-Length": "4096"}, "all", 204),
        ({"Upload-Length": "4097"}, "all", 400),
        ({"Upload-Checksum": checksum(DATA)}, "all", 204),
        ({"Upload-Checksum": checksum(b"others")}, "all", 460),
        ({"Upload-Checksum": "nonsense"}, "all", 400),
        ({"Origin": "https://a.example"}, "all", 204),
        ({}, "first", 204),
        ({}, "nothing", 204),
        ({}, "more", 413),
        ({"Tus-Resumable": ""}, "all", {"token": 204}),
        ({"Content-Type": "text/plain"}, "all", {"token": 204}),
        ({"Authorization": "Bearer nonsense"}, "all", {"token": 204}),
    ],
)
async def test_everything_else_is_answered_as_ever(
    world: World,
    front: str,
    more: dict[str, str],
    sent: str,
    status: int | dict[str, int],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    data = BODIES[sent]
    dashed = {name.replace("-", "_"): value for name, value in more.items()}
    seen = []
    for turn in range(3):
        begun = await begin(world, front, f"new/{turn}")
        with monkeypatch.context() as patch:
            if turn == 2:
                patch.setattr(AtOnce, "_is_expected", lambda *_: False)
            answer = await send(world, begun, data, **dashed, **(ORDINARY if turn else {}))
        place = world.folder / f"new/{turn}"
        found = place.read_bytes() if place.exists() else None
        seen.append((comparable(answer), await look(world, begun), found, told(world).count(begun.session)))
    expected = status if isinstance(status, int) else status.get(front)
    assert seen[0] == seen[1] == seen[2]
    answered = seen[0][0][0]
    assert answered == expected if expected is not None else answered >= 400
    assert seen[0][2:] == ((DATA, 1) if data == DATA and answered == 204 else (None, 0))


@pytest.mark.parametrize("front", ["token", "bearer"])
@pytest.mark.parametrize("there", ["file", "directory", "parent", "link", "nothing"])
async def test_what_is_in_its_way(world: World, front: str, there: str) -> None:
    """Where nothing stands it is put there; a file that stands there is replaced; the rest is refused."""
    seen, away = [], world.path / "away"
    away.mkdir()
    for turn, more in enumerate(({}, ORDINARY)):
        name = f"{turn}/a"
        begun = await begin(world, front, name)
        (world.folder / str(turn)).mkdir()
        if there == "file":
            (world.folder / name).write_bytes(b"old")
        elif there == "directory":
            (world.folder / name).mkdir()
        elif there == "parent":
            (world.folder / str(turn)).rmdir()
            (world.folder / str(turn)).write_bytes(b"no directory")
        elif there == "link":
            (world.folder / str(turn)).rmdir()
            (world.folder / str(turn)).symlink_to(away)
        answer = await send(world, begun, **more)
        replaced = [event.body.get("replaced_bytes") for event in world.events("file.uploaded")]
        seen.append((answer.status, await look(world, begun), replaced[turn:]))
        if answer.status == 204:
            assert (world.folder / name).read_bytes() == DATA
    assert seen[0] == seen[1]
    assert (seen[0][0] == 204) == (there in ("file", "nothing"))
    assert seen[0][2] == {"file": [3], "nothing": [None]}.get(there, [])
    assert sorted(place.name for place in away.iterdir()) == []


@pytest.mark.parametrize("front", ["token", "bearer"])
async def test_one_that_comes_in_pieces(world: World, placed: list[bool], front: str) -> None:
    begun = await begin(world, front)
    assert (await send(world, begun, DATA[:100])).status == 204
    assert await look(world, begun) == (200, "100")
    assert (await send(world, begun, DATA)).status == 409
    assert (await send(world, begun, DATA[100:], Upload_Offset="100")).status == 204
    assert (world.folder / "new/a").read_bytes() == DATA
    assert (told(world), any(placed)) == ([begun.session], False)


async def test_a_body_that_comes_behind_its_head(world: World) -> None:
    begun = await begin(world, "token")
    async with Line.open(world) as line:
        line.head("PATCH", begun.target, {**BODY, "Upload-Offset": "0", "Content-Length": str(len(DATA))})
        await anyio.sleep(0.05)
        line.send(DATA[:1000])
        await anyio.sleep(0.05)
        assert (await look(world, begun))[0] == 200
        line.send(DATA[1000:])
        await line.answer()
    _, offset = await look(world, begun)
    if offset != str(len(DATA)):
        assert (await send(world, begun, DATA[int(offset or 0) :], Upload_Offset=str(offset))).status == 204
    assert (world.folder / "new/a").read_bytes() == DATA
    assert told(world) == [begun.session]


# --- limits ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("front", ["token", "bearer"])
async def test_limits_hold_and_nothing_stays_reserved(world: World, placed: list[bool], front: str) -> None:
    body = {"volume": "disk", "vfid": FOLDER, "options": {"limit_bytes": 10_000}}
    assert (await world.manager("PUT", "/folder/quota", body)).status == 204
    first, second = await begin(world, front, "a"), await begin(world, front, "b")
    too_much = {"volume": "disk", "vfid": FOLDER, "relpath": "c", "size": 4096}
    for begun, left in ((first, [4096]), (second, [])):
        assert (await world.manager("POST", "/folder/file/upload", too_much)).status == 413
        assert (await send(world, begun)).status == 204
        assert reserved(world) == left
    assert (await world.manager("POST", "/folder/file/upload", too_much)).status == 413
    assert (
        await world.manager("POST", "/folder/file/upload", {**too_much, "size": 10_000 - 2 * 4096})
    ).status == 200
    assert placed == [True, True]
    assert list((world.path / ".penstock/arriving").iterdir()) == [], "what is refused leaves nothing there"


async def test_owners_may_begin_as_many_as_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Though what is finished is only known to be when it was taken over."""
    say_nothing(monkeypatch)
    async with open_world(tmp_path, relays=False, uploads_per_owner=2) as world:
        await world.make_folder()
        for number in range(6):
            begun = await begin(world, "bearer", f"f{number}")
            assert (await send(world, begun)).status == 204
        for number in range(2):
            await begin(world, "bearer", f"g{number}")
        with pytest.raises(AssertionError, match="too-many"):
            await begin(world, "bearer", "too many")


# --- many at once, and the moment before it is known ----------------------------------------------------


def say_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have nothing taken over but what somebody asks for."""
    monkeypatch.setattr(relay, "_LOOK_SECONDS", 1000.0)
    monkeypatch.setattr(relay, "_LULL_SECONDS", 1000.0)


@pytest.fixture
async def halted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[World]:
    """A gateway that says nothing to the bus of what it has written down."""
    say_nothing(monkeypatch)
    async with open_world(tmp_path, relays=False) as found:
        await found.make_folder()
        yield found


@pytest.mark.parametrize("front", ["token", "bearer"])
async def test_whoever_asks_for_it_is_told_that_it_is_finished(halted: World, front: str) -> None:
    begun = await begin(halted, front)
    assert (await send(halted, begun)).status == 204
    assert told(halted) == []
    assert await look(halted, begun) == (200, str(len(DATA)))
    assert told(halted) == [begun.session]


async def test_whoever_drops_it_then_drops_one_that_is_finished(halted: World) -> None:
    begun = await begin(halted, "bearer")
    assert (await send(halted, begun)).status == 204
    assert (await send(halted, begun, b"", method="DELETE", Content_Type="", Upload_Offset="")).status == 204
    await halted.take_over()
    assert (await look(halted, begun))[0] == 410
    assert (told(halted), (halted.folder / "new/a").read_bytes()) == ([begun.session], DATA)
    assert not owned(halted)


async def test_the_sweeper_knows_that_it_is_finished(halted: World, monkeypatch: pytest.MonkeyPatch) -> None:
    begun = await begin(halted, "bearer")
    assert (await send(halted, begun)).status == 204
    let_pass(monkeypatch, 3 * 24 * 3600)
    await halted.gate.uploads.sweep(10)
    assert told(halted) == [begun.session]
    let_pass(monkeypatch, 0)
    assert await look(halted, begun) == (200, str(len(DATA)))


# [C5]
@pytest.mark.parametrize("more", [{}, ORDINARY], ids=["simple", "ordinary"])
@pytest.mark.parametrize("method", ["HEAD", "PATCH"])
async def test_one_that_is_somebody_elses(world: World, method: str, more: dict[str, str]) -> None:
    files, other = await Collection.open(world), await Collection.open(world, "somebody else")
    url = await files.begin(len(DATA))
    head = {**BODY, "Upload-Offset": "0", **more}
    answer = await other.ask(method, url, head, DATA if method == "PATCH" else None)
    assert (answer.status, answer.headers.get("Upload-Offset")) == (404, None)
    assert not (world.folder / "a").exists()
    assert (await files.patch(url, 0, DATA)).status == 204


@pytest.mark.parametrize("found", [Recovered.BUSY, Recovered.UNTOLD])
async def test_while_somebody_is_at_it_nobody_else_stores_it(
    world: World, monkeypatch: pytest.MonkeyPatch, found: Recovered
) -> None:
    """Who is at it comes to no end, or has put it there and cannot tell."""

    async def recover(*_: object) -> Recovered:
        return found

    monkeypatch.setattr(MountedOutbox, "recover", recover)
    monkeypatch.setattr(world.gate.uploads.at_once, "_patience", 0.1)
    begun = await begin(world, "bearer")
    assert is_told_to_try_again(await send(world, begun, DATA[:1]))


@pytest.mark.parametrize("front", ["token", "bearer"])
async def test_where_its_record_is_lost_meanwhile_it_is_finished_all_the_same(halted: World, front: str) -> None:
    begun = await begin(halted, front)
    assert (await send(halted, begun)).status == 204
    halted.store.records.clear()
    assert await look(halted, begun) == (200, str(len(DATA)))
    assert told(halted) == [begun.session]


async def test_one_that_expired_is_not_put_at_its_place(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    begun = await begin(world, "bearer")
    change(world, begun.session, expires=1.0)
    await world.gate.uploads.sweep(10)
    assert (await send(world, begun)).status == 410
    assert not (world.folder / "new").exists()


@pytest.mark.parametrize("front", ["bearer", "query"])
@pytest.mark.parametrize("more", [{}, ORDINARY])
async def test_one_that_expired_and_was_not_swept_yet_is_not_put_at_its_place_either(
    world: World, front: str, more: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = await begin(world, front)
    let_pass(monkeypatch, world.gate.settings.upload_seconds + 100)
    assert (await send(world, begun, **more)).status == 410
    assert not (world.folder / "new").exists()
    assert told(world) == []


@pytest.mark.parametrize("front", ["token", "bearer"])
@pytest.mark.parametrize("gateways", [1, 2])
async def test_many_bring_the_same_at_once(world: World, front: str, gateways: int) -> None:
    """Also by several gateways, some in one piece and some not."""
    async with other_gateways(world, gateways - 1) as worlds:
        for turn in range(10):
            begun = await begin(world, front, f"f{turn}")
            answers: list[Answer] = []

            async def bring(where: World, data: bytes, begun: Begun = begun, to: list[Answer] = answers) -> None:
                to.append(await send(where, begun, data, **(ORDINARY if len(data) % 2 else {})))

            async with anyio.create_task_group() as tasks:
                for number in range(4):
                    tasks.start_soon(bring, worlds[number % gateways], DATA)
                tasks.start_soon(bring, worlds[-1], DATA[: turn * 100 + 1])
            assert {answer.status for answer in answers} <= {204, 409, 413, 423}
            status, offset = await look(world, begun)
            assert status == 200
            if offset != str(len(DATA)):
                rest = DATA[int(offset or 0) :]
                assert (await send(world, begun, rest, Upload_Offset=str(offset))).status == 204
            assert (world.folder / f"f{turn}").read_bytes() == DATA
            assert told(world).count(begun.session) == 1
    assert not (world.folder / ".upload").exists()
    assert not owned(world)


@asynccontextmanager
async def other_gateways(world: World, count: int) -> AsyncIterator[list[World]]:
    if count == 0:
        yield [world]
        return
    async with open_world(world.path, store=world.store) as other:
        yield [world, other]


@pytest.mark.parametrize("front", ["token", "bearer"])
@pytest.mark.parametrize("comes", ["at once", "rest"])
async def test_one_that_is_finished_while_it_is_asked_for_is_not_told_to_have_nothing(
    world: World, monkeypatch: pytest.MonkeyPatch, front: str, comes: str
) -> None:
    begun = await begin(world, front)
    start = 1000 if comes == "rest" else 0
    if start:
        assert (await send(world, begun, DATA[:start])).status == 204
        await world.let_go(begun.session)
    look_there, looked = MountedFiles.is_untouched, list[bool]()

    async def late(files: MountedFiles, session: str) -> bool:
        if not looked:
            looked.append(True)
            assert (await send(world, begun, DATA[start:], Upload_Offset=str(start))).status == 204
        return await look_there(files, session)

    monkeypatch.setattr(MountedFiles, "is_untouched", late)
    assert await look(world, begun) == (200, str(len(DATA)))
    assert looked


# --- somebody stands still, or dies, in the middle of it ------------------------------------------------


class Standing:
    """Has whoever comes to one step stand still there until it is let go on."""

    def __init__(self, patch: pytest.MonkeyPatch, name: str) -> None:
        self.reached = threading.Event()
        self.may_go = threading.Event()
        real = getattr(arrivals, name)

        def stand(*args: object) -> object:
            self.reached.set()
            assert self.may_go.wait(20)
            return real(*args)

        patch.setattr(arrivals, name, stand)


@pytest.mark.parametrize("front", ["token", "bearer"])
@pytest.mark.parametrize("asked", ["HEAD", "PATCH", "DELETE"])
@pytest.mark.parametrize("step", ["write_out", "in_directory"])
async def test_who_comes_while_it_is_put_there(
    world: World, monkeypatch: pytest.MonkeyPatch, front: str, asked: str, step: str
) -> None:
    """Before or after it was seen that nobody has a staging of it."""
    if (front, asked) == ("token", "DELETE"):
        return  # there is none
    begun, answers = await begin(world, front, "a"), dict[str, Answer | tuple[int, str | None]]()

    async def first() -> None:
        answers["first"] = await send(world, begun)

    async def second() -> None:
        if asked == "HEAD":
            answers["second"] = await look(world, begun)
        else:
            body = DATA if asked == "PATCH" else b""
            more = {} if asked == "PATCH" else {"Content_Type": "", "Upload_Offset": ""}
            answers["second"] = await send(world, begun, body, method=asked, **more)

    with monkeypatch.context() as patch:
        standing = Standing(patch, step)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(first)
            await world.settled(standing.reached.is_set)
            tasks.start_soon(second)
            if asked == "DELETE":
                await world.settled((world.path / f".penstock/arriving/{begun.session}.").exists)
            else:
                await anyio.sleep(0.3)
            standing.may_go.set()
    last = answers["first"]
    assert isinstance(last, Answer)
    status, offset = await look(world, begun)
    is_there = (world.folder / "a").exists()
    assert told(world).count(begun.session) == int(is_there)
    assert not (world.folder / ".upload").exists() or offset == "0"
    if asked == "DELETE":
        second_answer = answers["second"]
        assert isinstance(second_answer, Answer)
        assert (last.status, is_there) == ((204, True) if step == "in_directory" else (410, False))
        assert (second_answer.status, status) == (204, 410)
        assert not owned(world)
        return
    assert last.status in (204, 409, 423)
    assert status == 200
    if offset != str(len(DATA)):
        assert (await send(world, begun)).status == 204
    assert (world.folder / "a").read_bytes() == DATA
    assert told(world) == [begun.session]


@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("finished", ["elsewhere", "there, and moved", "dropped"])
async def test_who_comes_too_late_changes_nothing(
    world: World, monkeypatch: pytest.MonkeyPatch, finished: str, full: bool
) -> None:
    """It has looked before, and goes on when somebody else has finished the upload, or dropped it."""
    if full:  # so that there is no room for a bar

        def is_full(mine: arrivals.Arrivals, session: str) -> None:
            raise StorageFullError("the volume is full")

        monkeypatch.setattr(arrivals.Arrivals, "bar", is_full)
    else:  # so that nothing but a bar holds it back
        monkeypatch.setattr(at_once, "_FRESH_SECONDS", 20.0)
    begun, answers, looked, may_go = await begin(world, "bearer", "a"), list[Answer](), anyio.Event(), anyio.Event()
    place = AtOnce.place

    async def late(mine: AtOnce, expected: Expected, data: bytes) -> UploadSession | None:
        if not looked.is_set():
            looked.set()
            await may_go.wait()
        return await place(mine, expected, data)

    async def first() -> None:
        answers.append(await send(world, begun))

    monkeypatch.setattr(AtOnce, "place", late)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(first)
        await looked.wait()
        if finished == "dropped":
            assert (await send(world, begun, b"", method="DELETE", Content_Type="", Upload_Offset="")).status == 204
        elif finished == "elsewhere":
            with monkeypatch.context() as patch:
                patch.setattr(AtOnce, "_is_expected", lambda *_: False)
                assert (await send(world, begun)).status == 204
        else:
            assert (await send(world, begun)).status == 204
        if finished != "dropped":
            body = {"volume": "disk", "vfid": FOLDER, "relpath": "a", "new_name": "b"}
            assert (await world.manager("POST", "/folder/file/rename", body)).status < 300
        may_go.set()
    assert answers[0].status == (410 if finished == "dropped" else 409)
    assert [path.name for path in world.folder.iterdir()] == ([] if finished == "dropped" else ["b"])
    assert told(world) == ([] if finished == "dropped" else [begun.session])


async def test_a_storage_that_fails_when_it_is_there_is_no_reason_to_store_it_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(arrivals, "_LEAST_SECONDS", 0)
    begun = await begin(world, "bearer", "a")

    fdatasync, failed = os.fdatasync, list[int]()

    def fails_once(fd: int) -> None:
        failed.append(fd)
        if len(failed) == 1:
            raise OSError(errno.EIO, "input/output error")
        fdatasync(fd)

    monkeypatch.setattr(os, "fdatasync", fails_once)
    assert (await send(world, begun)).status == 503
    assert await look(world, begun) == (200, str(len(DATA)))
    assert told(world) == [begun.session]
    assert (world.folder / "a").read_bytes() == DATA


async def test_what_is_wrong_with_one_that_was_left_is_nothing_to_the_others(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(arrivals, "_LEAST_SECONDS", 0)
    begun = [await begin(world, "bearer", name) for name in ("a", "b", "c")]
    for one, name in zip(begun, ("a", "b", "c"), strict=True):
        note = Brief(VFolderId.parse(FOLDER), RelativePath.parse(name)).encode()
        left = world.path / ".penstock/arriving" / f"{one.session}.{arrivals._text(note)}"
        left.write_bytes(DATA)
        os.link(left, world.folder / name)
    change(world, begun[1].session, due=9e9, volume=5)  # nobody knows what that is to mean
    await world.gate.uploads.at_once.recover()
    await world.take_over()
    assert sorted(told(world)) == sorted([begun[0].session, begun[2].session])
    assert [await look(world, one) for one in (begun[0], begun[2])] == [(200, str(len(DATA)))] * 2


@pytest.mark.timeout(120)
@pytest.mark.parametrize("front", ["token", "bearer"])
@pytest.mark.parametrize("next_comes", ["HEAD", "PATCH", "nobody"])
async def test_whenever_its_gateway_dies_it_is_told_of_once(
    world: World, monkeypatch: pytest.MonkeyPatch, front: str, next_comes: str
) -> None:
    """Before any call of the system; and whoever comes next finds it at its place, or not begun."""
    monkeypatch.setattr(arrivals, "_LEAST_SECONDS", 0)
    outcomes = set()
    for call in range(1, 100):
        name, died = f"d{call}/a", list[bool]()
        begun = await begin(world, front, name)

        async def place(
            mounted: MountedFiles, upload: WholeUpload, tell: Tell[None], call: int = call, died: list[bool] = died
        ) -> bool:
            assert mounted._outbox is not None
            begin, parts = mounted._begin(mounted._outbox.arrivals.place, upload, tell), mounted._outbox.written
            died.append(dies_at(call, CALLS, lambda: made(parts, begin())))
            raise BackendUnavailableError("its gateway is dead")

        with monkeypatch.context() as patch:
            patch.setattr(MountedFiles, "place_whole", place)
            assert (await send(world, begun)).status == 503
        if next_comes == "PATCH":
            await send(world, begun)
        elif next_comes == "nobody":
            await world.gate.uploads.at_once.recover()
            await world.take_over()
        status, offset = await look(world, begun)
        path = world.folder / name
        assert status == 200
        assert (offset, path.exists()) in (("0", False), (str(len(DATA)), True)), call
        assert told(world).count(begun.session) == int(path.exists())
        outcomes.add(path.exists())
        if not path.exists():
            assert (await send(world, begun)).status == 204
        assert path.read_bytes() == DATA
        assert told(world).count(begun.session) == 1
        await world.gate.uploads.at_once.recover()
        assert not list((world.path / ".penstock/arriving").iterdir())
        assert told(world).count(begun.session) == 1
        if not died[0]:
            break
    assert not died[0]
    assert outcomes == ({True} if next_comes == "PATCH" else {True, False})
    assert not (world.folder / ".upload").exists()
    assert not owned(world)


async def test_one_that_is_too_long_for_this_has_a_staging(world: World, placed: list[bool]) -> None:
    data = os.urandom(LARGE)
    begun = await begin(world, "bearer", size=LARGE)
    assert len(list((world.folder / ".upload").iterdir())) == 1
    assert (await send(world, begun, data)).status == 204
    assert (world.folder / "new/a").read_bytes() == data
    assert placed == []


async def test_a_file_that_was_announced_and_is_another_one_is_dropped(world: World, placed: list[bool]) -> None:
    collection = await Collection.open(world)
    announced = checksum(b"x" * len(DATA))
    url = await collection.begin(len(DATA), Upload_Checksum=announced)
    begun = Begun(url.rpartition("/")[2], url, {"Authorization": f"Bearer {collection.token}"})
    assert (await send(world, begun)).status == 460
    assert (await look(world, begun))[0] == 410
    assert placed == [False]
    assert list(world.folder.iterdir()) == []
