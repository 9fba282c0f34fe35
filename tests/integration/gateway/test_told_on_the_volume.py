"""Changes are told of on the volume: what comes to the bus, in which order, whoever takes it over."""

from __future__ import annotations

import errno
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Never
from uuid import UUID

import anyio
import pytest
from harness.ordered import keep_order
from harness.tus import Collection
from harness.world import FOLDER, Answer, World, digest, open_world

from actors import fleet
from actors.told_before import ToldBefore
from backends.mounted import arrivals
from bus import relay
from bus.memory import MemoryStore
from domain.ids import VFolderId, derived_id
from domain.paths import RelativePath
from gateway.uploads.brief import Brief

pytestmark = pytest.mark.anyio

DATA = os.urandom(4096)


@pytest.fixture(autouse=True)
def ordered(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the tests run on is taken for a file system that keeps the order of changes; nobody comes by."""
    keep_order(monkeypatch)
    monkeypatch.setattr(relay, "_LOOK_SECONDS", 1000.0)


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    """A gateway that writes down what it has done, and is halted before it says that to the bus."""
    async with open_world(tmp_path, relays=False) as found:
        await found.make_folder()
        yield found


async def call(world: World, route: str, **body: Any) -> Answer:
    answer = await world.manager("POST", f"/folder/file/{route}", {"volume": "disk", "vfid": FOLDER, **body})
    assert answer.status < 300, answer.body
    return answer


def kinds(world: World) -> list[str]:
    """Types of the events so far, but for how the folder came to be."""
    return [
        event.type for event in world.events() if not event.type.endswith((".scope.created", "vfolder.created"))
    ]


async def test_what_one_gateway_has_told_of_is_told_by_another(world: World) -> None:
    await call(world, "mkdir", relpath=["d", "e"])
    await call(world, "rename", relpath="d", new_name="f")
    await call(world, "delete", relpaths=["f"], recursive=True)
    files = await Collection.open(world)
    assert (await files.create(len(DATA), "a", DATA)).status == 201
    assert kinds(world) == []
    async with open_world(world.path, store=world.store):
        await world.settled(lambda: len(kinds(world)) == 4)
    assert kinds(world) == ["directory.created", "file.moved", "file.deleted", "file.uploaded"]


async def test_what_goes_to_the_bus_directly_comes_behind_what_was_told_before(world: World) -> None:
    """A large upload has its record in the bus, and its event with it."""
    await call(world, "mkdir", relpath=["d"])
    async with open_world(world.path, store=world.store, relays=False) as other:
        await other.upload("d/big", os.urandom(300_000))
    assert kinds(world) == ["directory.created", "file.uploaded"]


async def test_what_an_actor_tells_comes_behind_what_was_told_before(world: World) -> None:
    await call(world, "mkdir", relpath=["d"])
    assert (await world.manager("POST", "/folder/delete", {"volume": "disk", "vfid": FOLDER})).status == 202
    await world.settled(lambda: "vfolder.deleted" in kinds(world))
    assert kinds(world)[:2] == ["directory.created", "vfolder.deleted"]


async def test_an_actor_that_does_not_look_tells_the_later_first(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def looks_away(self: ToldBefore) -> None:
        await anyio.lowlevel.checkpoint()

    monkeypatch.setattr(fleet.ToldBefore, "settle", looks_away)
    await call(world, "mkdir", relpath=["d"])
    assert (await world.manager("POST", "/folder/delete", {"volume": "disk", "vfid": FOLDER})).status == 202
    await world.settled(lambda: "vfolder.deleted" in kinds(world))
    assert kinds(world)[0] == "vfolder.deleted"


async def test_the_next_owner_takes_over_what_its_gateways_left(world: World) -> None:
    """Though no gateway comes back."""
    await call(world, "mkdir", relpath=["d"])
    assert kinds(world) == []
    async with open_world(world.path, store=world.store, relays=False):
        pass
    # An actor that ends takes over what is left.
    await world.settled(lambda: kinds(world) == ["directory.created"])


async def test_what_the_bus_has_lost_of_gateways_and_owners_comes_back_in_its_order(world: World) -> None:
    await call(world, "mkdir", relpath=["d"])
    assert (await world.manager("POST", "/folder/delete", {"volume": "disk", "vfid": FOLDER})).status == 202
    await world.settled(lambda: "vfolder.deleted" in kinds(world))
    told = kinds(world)
    assert told[:2] == ["directory.created", "vfolder.deleted"]
    store = MemoryStore()
    async with open_world(world.path, store=store, relays=False) as after:
        await after.settled(lambda: "vfolder.deleted" in kinds(after))
        found = [kind for kind in kinds(after) if kind in told]
    assert found[:2] == told[:2]


async def test_an_upload_that_was_just_told_of_is_known_to_all(world: World) -> None:
    files = await Collection.open(world)
    answer = await files.create(len(DATA), "a", DATA)
    assert answer.status == 201
    async with open_world(world.path, store=world.store, relays=False) as other:
        head = await Collection(other, files.token).head("/" + answer.headers["Location"])
    assert (head.status, head.headers["Upload-Offset"]) == (200, "4096")
    assert kinds(world) == ["file.uploaded"]


async def test_what_was_told_of_counts_against_limits(world: World) -> None:
    files = await Collection.open(world)
    assert (await files.create(len(DATA), "a", DATA)).status == 201
    body = {"volume": "disk", "vfid": FOLDER, "options": {"limit_bytes": 5000}}
    assert (await world.manager("PUT", "/folder/quota", body)).status < 300
    assert (await files.create(len(DATA), "b", DATA)).status == 413
    assert (await files.create(900, "c", DATA[:900])).status == 201


async def test_what_cannot_be_written_down_goes_to_the_bus_directly(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full() -> Never:
        raise OSError(errno.ENOSPC, "no space left")

    await call(world, "mkdir", relpath=["a"])
    written = world.volume.outbox.written
    with monkeypatch.context() as patch:
        patch.setattr(written, "_writing", full)
        await call(world, "mkdir", relpath=["b"])
    assert [event.body["paths"] for event in world.events("directory.created")] == [["a"], ["b"]]


async def test_one_request_tells_of_what_it_did_and_of_nothing_else(world: World) -> None:
    (world.folder / "there").mkdir()
    body = {"volume": "disk", "vfid": FOLDER, "relpath": ["there", "../x", "new", "new/er"]}
    answer = await world.manager("POST", "/folder/file/mkdir", body)
    assert answer.status == 207
    assert [item["item"] for item in answer.json["results"]["success"]] == ["new", "new/er"]
    assert [item["item"] for item in answer.json["results"]["failed"]] == ["there", "../x"]
    body["relpath"] = ["there", "../x"]
    assert (await world.manager("POST", "/folder/file/mkdir", body)).status == 422
    await world.take_over()
    assert [event.body["paths"] for event in world.events("directory.created")] == [["new", "new/er"]]


# --- a gateway that died while it put a small upload at its place -------------------------------------------


SESSION = "0123456789abcdef0123456789abcdef"


def left_behind(world: World, name: str, *, placed: bool) -> Path:
    """What a killed gateway leaves."""
    note = Brief(VFolderId.parse(FOLDER), RelativePath.parse(name)).encode()
    arriving = world.path / ".penstock/arriving" / f"{SESSION}.{arrivals._text(note)}"
    arriving.write_bytes(DATA)
    if placed:
        os.link(arriving, world.folder / name)
    return arriving


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arrivals, "_LEAST_SECONDS", 0)


@pytest.mark.usefixtures("at_once")
async def test_a_file_of_a_gateway_that_died_is_told_of_once(world: World) -> None:
    arriving = left_behind(world, "a", placed=True)
    for _ in range(2):
        await world.gate.uploads.at_once.recover()
        await world.take_over()
        assert not arriving.exists()
        (event,) = world.events("file.uploaded")
        assert event.id == derived_id(UUID(SESSION), 0)
        assert (event.body["path"], event.body["size_bytes"], event.body["session"]) == ("a", len(DATA), SESSION)
        assert event.key == FOLDER.replace("-4000-8000-", "40008000").replace("aabb0001-0000", "aabb00010000")
    assert (world.folder / "a").read_bytes() == DATA


@pytest.mark.usefixtures("at_once")
async def test_what_it_had_told_of_already_is_not_told_again(world: World) -> None:
    """It died between its entry in the outbox and the end."""
    files = await Collection.open(world)
    answer = await files.create(len(DATA), "a", DATA)
    session = answer.headers["Location"].rpartition("/")[2]
    await world.take_over()
    note = Brief(VFolderId.parse(FOLDER), RelativePath.parse("a")).encode()
    arriving = world.path / ".penstock/arriving" / f"{session}.{arrivals._text(note)}"
    os.link(world.folder / "a", arriving)
    await world.gate.uploads.at_once.recover()
    await world.take_over()
    assert not arriving.exists()
    assert len(world.events("file.uploaded")) == 1
    assert world.events("file.uploaded")[0].body["sha256"] == digest(DATA)


@pytest.mark.usefixtures("at_once")
async def test_what_was_not_at_its_place_yet_is_gone(world: World) -> None:
    arriving = left_behind(world, "a", placed=False)
    await world.gate.uploads.at_once.recover()
    await world.take_over()
    assert not arriving.exists()
    assert not (world.folder / "a").exists()
    assert kinds(world) == []


@pytest.mark.usefixtures("at_once")
async def test_what_nobody_can_explain_is_taken_away_and_nothing_else(world: World) -> None:
    for name in ("x", f"{SESSION}.", f"{SESSION}.!!", f"{SESSION}.bm90ZQ"):
        stray = world.path / ".penstock/arriving" / name
        stray.write_bytes(b"x")
        os.link(stray, world.folder / f"of {name}")
    for _ in range(2):  # a bar goes when nothing else is left of its upload
        await world.gate.uploads.at_once.recover()
    await world.take_over()
    assert not list((world.path / ".penstock/arriving").iterdir())
    assert len(list(world.folder.iterdir())) == 4
    assert kinds(world) == []


async def test_the_store_may_be_new(tmp_path: Path) -> None:
    """Events that were told of before everything was lost are told to the new one, once."""
    async with open_world(tmp_path) as world:
        await world.make_folder()
        await call(world, "mkdir", relpath=["d"])
        assert kinds(world) == ["directory.created"]
    async with open_world(tmp_path, store=MemoryStore()) as world:
        await world.settled(lambda: "directory.created" in kinds(world))
        await call(world, "mkdir", relpath=["e"])
        assert [event.body["paths"] for event in world.events("directory.created")] == [["d"], ["e"]]


async def test_an_upload_is_known_whenever_it_is_asked_for(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also when it is taken over between the look for its record and the look at the volume."""
    files = await Collection.open(world)
    answer = await files.create(len(DATA), "a", DATA)
    records = world.gate.uploads.sessions._records
    load = records.load

    async def load_before(name: str) -> object:
        found = await load(name)
        await world.take_over()
        return found

    monkeypatch.setattr(records, "load", load_before)
    head = await files.head("/" + answer.headers["Location"])
    assert (head.status, head.headers["Upload-Offset"]) == (200, "4096")
