"""What is carried to a Redis that refuses some of it, and does so no longer."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID, uuid4

import anyio
import msgpack
import pytest
import redis
from loguru import logger
from pydantic import SecretStr

from bus.backendai import bgtasks
from bus.backendai.bridge import Bridge
from bus.backendai.peer import Peer
from bus.backendai.rights import NEEDED_RIGHTS
from bus.backendai.words import Anycast, Word
from bus.conformance.words import SETTINGS, VOLUME, a_folder
from bus.contract import Bus
from bus.memory import MemoryStore, open_memory_bus
from bus.settings import BusSettings
from domain.envelope import wrap_event
from domain.errors import BusBrokenError
from domain.events import CloneCompleted

pytestmark = pytest.mark.anyio

TASK = UUID("01a1fe7a-8586-7d3c-b0f9-c0e10ae25a4f")
WORDS: list[Word] = [
    *bgtasks.updated(TASK, 1, 2, "half"),
    Anycast("vfolder_clone_success", ("a", "b")),
    *bgtasks.done(TASK),
]
RIGHTS = NEEDED_RIGHTS.split()


class Manager:
    """Backend.AI's side of its Redis."""

    def __init__(self, client: redis.Redis) -> None:
        self.client = client
        self._channel = client.pubsub(ignore_subscribe_messages=True)
        self._channel.subscribe("events_all")
        self._channel.get_message(timeout=5)

    def permit(self, *rights: str) -> None:
        """Give the bridge's user these rights and no others."""
        self.client.execute_command("ACL", "SETUSER", "bridge", "reset", "on", ">pw", "resetchannels", *rights)

    def heard(self) -> list[str]:
        """What was broadcast since it was last asked."""
        self.client.publish("events_all", "end")
        names = []
        while (message := self._channel.get_message(timeout=5)) is None or message["data"] != b"end":
            if message is not None:
                names.append(json.loads(message["data"])["name"])
        return names

    def consumed(self) -> list[tuple[str, tuple[Any, ...]]]:
        """What is in the stream."""
        entries = [fields for _, fields in self.client.xrange("events")]
        return [(fields[b"name"].decode(), tuple(msgpack.unpackb(fields[b"args"]))) for fields in entries]

    def kept(self) -> tuple[str, tuple[Any, ...]]:
        """What is kept of the task."""
        told = json.loads(self.client.get(f"bgtask.{TASK}") or b"{}")
        return told["name"], tuple(msgpack.unpackb(base64.b64decode(told["args"])))

    def close(self) -> None:
        self._channel.close()
        self.client.execute_command("ACL", "DELUSER", "bridge")


@pytest.fixture
def manager(clean_redis: Any) -> Iterator[Manager]:
    with redis.Redis(port=clean_redis.port) as client:
        found = Manager(client)
        yield found
        found.close()


@pytest.fixture
def settings(clean_redis: Any, manager: Manager) -> BusSettings:
    manager.permit(*RIGHTS)
    return BusSettings(url=SecretStr(f"redis://bridge:pw@127.0.0.1:{clean_redis.port}/0"))


@asynccontextmanager
async def connected(settings: BusSettings) -> AsyncIterator[Peer]:
    peer = Peer(settings)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(peer.run)
        yield peer
        tasks.cancel_scope.cancel()


#: What the user may not do, and what goes out before that is met.
REFUSED: list[tuple[str, list[str], list[str]]] = [
    ("&events_all", [], []),
    ("+publish", [], []),
    ("~bgtask.*", [], []),
    ("+xadd", ["bgtask_updated"], []),
    ("~events", [], []),
    ("~penstock:carried:*", [], []),
    ("+set", [], []),
    ("+evalsha", [], []),
]


@pytest.mark.parametrize(("right", "heard", "consumed"), REFUSED, ids=str)
async def test_what_was_refused_is_sent_later_and_nothing_twice(
    manager: Manager, settings: BusSettings, right: str, heard: list[str], consumed: list[str]
) -> None:
    event = uuid4()
    manager.permit(*(each for each in RIGHTS if each != right))
    async with connected(settings) as peer:
        for _ in range(3):
            with pytest.raises(BusBrokenError, match="refuses"):
                await peer.send(event, WORDS, "penstock")
        assert manager.heard() == heard
        assert [name for name, _ in manager.consumed()] == consumed
        manager.permit(*RIGHTS)
        for _ in range(3):
            await peer.send(event, WORDS, "penstock")
    assert heard + manager.heard() == ["bgtask_updated", "bgtask_done"]
    assert manager.consumed() == [("vfolder_clone_success", ("a", "b"))]
    assert manager.kept() == ("bgtask_done", (str(TASK), "Task completed successfully"))


async def test_an_entry_that_went_out_is_not_repeated_by_what_fails_after_it(
    manager: Manager, settings: BusSettings
) -> None:
    event = uuid4()
    manager.permit(*(each for each in RIGHTS if each != "&events_all"))
    async with connected(settings) as peer:
        for _ in range(200):
            with pytest.raises(BusBrokenError):
                await peer.send(event, WORDS[1:], "penstock")
        assert len(manager.consumed()) == 1, "more would push the entries of others out of the stream"
        manager.permit(*RIGHTS)
        await peer.send(event, WORDS[1:], "penstock")
    assert manager.heard() == ["bgtask_done"]
    assert len(manager.consumed()) == 1


async def test_what_cannot_be_noted_is_not_sent(manager: Manager, settings: BusSettings) -> None:
    event, words = uuid4(), WORDS[1:2]
    manager.permit(*(each for each in RIGHTS if each != "+set"))
    async with connected(settings) as peer:
        for _ in range(3):
            with pytest.raises(BusBrokenError, match="refuses"):
                await peer.send(event, words, "penstock")
        assert manager.consumed() == [], "else every try would send it"
        manager.permit(*RIGHTS)
        await peer.send(event, words, "penstock")
    assert len(manager.consumed()) == 1


async def test_a_server_that_lost_its_scripts_is_given_them(manager: Manager, settings: BusSettings) -> None:
    async with connected(settings) as peer:
        for _ in range(2):
            manager.client.script_flush()
            await peer.send(uuid4(), WORDS, "penstock")
    assert len(manager.consumed()) == 2


async def publish(bus: Bus) -> None:
    event = CloneCompleted(volume=VOLUME, source=a_folder(), destination=a_folder(), task=TASK)
    await bus.events.publish(wrap_event(event, id=bus.clock.new_id(), time=bus.clock.now()))


@pytest.fixture
def log() -> Iterator[list[str]]:
    told: list[str] = []
    sink = logger.add(lambda message: told.append(str(message)))
    yield told
    logger.remove(sink)


async def until(holds: Callable[[], bool]) -> None:
    with anyio.fail_after(20):
        while not holds():
            await anyio.sleep(0.02)


@pytest.mark.parametrize("carried_before", [False, True])
async def test_the_bridge_waits_for_its_rights_and_loses_nothing(
    manager: Manager, settings: BusSettings, log: list[str], carried_before: bool
) -> None:
    async with (
        open_memory_bus(MemoryStore(), SETTINGS, "bridge") as bus,
        connected(settings) as peer,
        anyio.create_task_group() as tasks,
    ):
        tasks.start_soon(Bridge(bus, peer, "penstock").run)
        await until(lambda: any("events are carried" in line for line in log))
        if carried_before:
            await publish(bus)
            await until(lambda: manager.heard() == ["bgtask_done"])
            manager.client.delete("events")
        manager.permit(*(each for each in RIGHTS if each != "&events_all"))
        for _ in range(3):
            await publish(bus)
        await until(lambda: sum("refuses" in line for line in log) >= 2)
        assert len(manager.consumed()) == 1, "it is tried again, the entry is not; and what follows waits"
        manager.permit(*RIGHTS)
        await until(lambda: len(manager.consumed()) == 3)
        tasks.cancel_scope.cancel()
    assert manager.heard() == ["bgtask_done"] * 3
    assert len(manager.consumed()) == 3
