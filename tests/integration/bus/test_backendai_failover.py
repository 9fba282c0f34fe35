"""Backend.AI's Redis behind Sentinels: what is said and heard there goes on at the next primary."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path

import anyio
import msgpack
import pytest
import redis
from harness.sentinels import Failover
from pydantic import SecretStr

from bus.backendai.bridge import READER, Bridge
from bus.backendai.mounts import Mounts
from bus.backendai.peer import Peer
from bus.backendai.programs import MountPrograms
from bus.backendai.rights import refused
from bus.conformance.words import SETTINGS, VOLUME, a_folder
from bus.contract import Bus
from bus.memory import MemoryStore, open_memory_bus
from bus.settings import BusSettings
from domain.envelope import wrap_event
from domain.events import VFolderCreated, VFolderDeleted
from domain.messages import Event

pytestmark = pytest.mark.anyio

SCOPE = "user:11111111-1111-4111-8111-111111111111"


@pytest.fixture
def failover(tmp_path: Path) -> Iterator[Failover]:
    servers = Failover(tmp_path)
    try:
        servers.start()
        yield servers
    finally:
        servers.stop()


async def publish(bus: Bus, event: Event) -> None:
    await bus.events.publish(wrap_event(event, id=bus.clock.new_id(), time=bus.clock.now()))


async def register(bus: Bus) -> None:
    """Have what is published from now on wait for the bridge."""
    async with bus.events.follow(READER) as subscription:
        await publish(bus, VFolderCreated(volume=VOLUME, folder=a_folder(), mode=0o755))
        await subscription.save((await anext(aiter(subscription))).position)


def consumed(port: int) -> list[str]:
    with redis.Redis(port=port) as client:
        return [msgpack.unpackb(fields[b"args"])[0] for _, fields in client.xrange("events")]


async def answered(port: int) -> None:
    """Wish until somebody answers: what is wished while nobody listens is not heard."""
    arguments = base64.b64encode(msgpack.packb(("there", "disk", SCOPE))).decode()
    wish = json.dumps({"name": "do_volume_unmount", "source": "manager", "args": arguments})
    with redis.Redis(port=port) as client, client.pubsub() as channel, anyio.fail_after(30):
        channel.subscribe("events_all")
        while True:
            client.publish("events_all", wish)
            while (message := channel.get_message()) is not None:
                if b"volume_unmounted" in bytes(str(message["data"]), "utf8"):
                    return
            await anyio.sleep(0.05)


async def test_what_is_said_and_heard_goes_on_at_the_next_primary(failover: Failover, tmp_path: Path) -> None:
    settings = BusSettings(url=SecretStr(failover.url), connect_timeout_seconds=1.0, command_timeout_seconds=1.0)
    peer, folders = Peer(settings), [a_folder() for _ in range(4)]
    async with open_memory_bus(MemoryStore(), SETTINGS, "bridge") as bus, anyio.create_task_group() as tasks:
        await register(bus)
        tasks.start_soon(peer.run)
        tasks.start_soon(Bridge(bus, peer, "penstock").run)
        tasks.start_soon(Mounts(peer, "storage-1", {"disk": tmp_path}, MountPrograms()).run)
        for count in (2, 4):
            for folder in folders[count - 2 : count]:
                await publish(bus, VFolderDeleted(volume=VOLUME, folder=folder, trash=bus.clock.new_id()))
            expected = [str(folder) for folder in folders[:count]]
            with anyio.fail_after(30):
                while any(consumed(server.port) != expected for server in failover.servers):
                    await anyio.sleep(0.05)
            await answered(failover.primary().port)
            assert await refused(settings) == []
            if count == 2:
                await anyio.to_thread.run_sync(failover.fail_over)
        tasks.cancel_scope.cancel()
