"""Redis forgets what was done; the volume does not."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import UUID, uuid4

import anyio
import pytest
import redis
from harness.redis_server import RedisServer, debian_redis
from pydantic import SecretStr

from actors.fleet import Fleet
from actors.jobs.contract import Job
from actors.observer import SilentObserver
from actors.settings import ActorSettings
from backends.observer import SilentObserver as SilentBackends
from backends.registry import Site, driver
from backends.settings import ThreadSettings
from bus.codec import decode_envelope
from bus.contract import Bus
from bus.settings import BusSettings
from bus.streams import keys, open_streams_bus
from domain.commands import CreateQuotaScope, CreateVFolder, DeleteVFolder, SetQuota
from domain.envelope import Envelope, Reply, wrap_command
from domain.ids import QuotaScopeId, ScopeKind, VFolderId, VolumeName
from domain.messages import Command

pytestmark = pytest.mark.anyio

DISK = VolumeName("disk")
SCOPE = QuotaScopeId(ScopeKind.USER, UUID(int=9))
open_vfs = driver("vfs").open


@pytest.fixture
def server(tmp_path: Path):
    (tmp_path / "redis").mkdir()
    own = RedisServer(debian_redis(), tmp_path / "redis")
    own.start()
    yield own
    own.stop()


class NoJobs:
    async def start(self, job: Job) -> None:
        """Trash stays where it is."""


@asynccontextmanager
async def actor(settings: BusSettings, path: Path) -> AsyncIterator[None]:
    site = Site(DISK, {"path": str(path)}, ThreadSettings(), SilentBackends())
    async with (
        open_streams_bus(settings, f"actor.{uuid4().hex[:6]}") as bus,
        open_vfs(site) as volume,
        anyio.create_task_group() as tasks,
    ):
        stop = anyio.Event()
        fleet = Fleet(
            bus,
            settings,
            {DISK: volume},
            NoJobs(),
            ActorSettings(scan_seconds=0, full_scan_seconds=0),
            SilentObserver(),
        )
        tasks.start_soon(fleet.run, stop)
        yield
        stop.set()


def wrapped(bus: Bus, command: Command) -> Envelope:
    return wrap_command(command, id=bus.clock.new_id(), volume=DISK, time=bus.clock.now())


async def ask(bus: Bus, command: Envelope) -> Reply:
    return await bus.commands.request(command, timeout_seconds=20)


def events(server: RedisServer) -> list[Envelope]:
    with redis.Redis(port=server.port) as client:
        found = [decode_envelope(fields[b"m"]) for _, fields in client.xrange(keys.events(DISK))]
    return [event for event in found if not event.type.startswith("volume.")]


async def test_events_and_replies_come_back_after_redis_lost_everything(
    server: RedisServer, tmp_path: Path
) -> None:
    path = tmp_path / "volume"
    path.mkdir()
    settings = BusSettings(url=SecretStr(server.url), lease_seconds=0.4)
    async with open_streams_bus(settings, "manager") as bus:
        folder = VFolderId(SCOPE, uuid4())
        sent = [
            wrapped(bus, command)
            for command in (
                CreateQuotaScope(scope=SCOPE, limit_bytes=100),
                CreateVFolder(folder=folder),
                CreateVFolder(folder=folder),
                DeleteVFolder(folder=folder),
                SetQuota(scope=SCOPE, limit_bytes=7),
            )
        ]
        async with actor(settings, path):
            answers = [await ask(bus, command) for command in sent]
            assert [answer.ok for answer in answers] == [True, True, False, True, True]
            told = events(server)
            server.flush()
            with anyio.fail_after(10):
                while len(events(server)) < len(told):
                    await anyio.sleep(0.05)
            # Asked again, each gets the answer it had; no effect comes twice, not even the first limit.
            assert [await ask(bus, command) for command in sent] == answers
            assert events(server) == told
        document = next((path / ".penstock/scopes").iterdir()).read_text()
        assert '"limit_bytes": 7' in document
        assert len([entry for entry in (path / ".penstock/trash").iterdir() if not entry.suffix]) == 1


async def test_a_command_lost_after_its_answer_was_written_down_is_not_done_again(
    server: RedisServer, tmp_path: Path
) -> None:
    """The commit is what Redis lost: the command is delivered once more, and its answer is the first one."""
    path = tmp_path / "volume"
    path.mkdir()
    settings = BusSettings(url=SecretStr(server.url), lease_seconds=0.4)
    async with open_streams_bus(settings, "manager") as bus:
        async with actor(settings, path):
            assert (await ask(bus, wrapped(bus, CreateQuotaScope(scope=SCOPE, limit_bytes=100)))).ok
            first = wrapped(bus, SetQuota(scope=SCOPE, limit_bytes=1))
            answer = await ask(bus, first)
            assert (await ask(bus, wrapped(bus, SetQuota(scope=SCOPE, limit_bytes=2)))).ok
        told = events(server)
        with redis.Redis(port=server.port) as client:
            client.delete(keys.inbox(DISK, first.id), keys.reply(DISK, first.id))
        await bus.commands.publish(first)
        async with actor(settings, path):
            assert await ask(bus, first) == answer
        # What Redis did lose of it is the mark; the event was there, and consumers know its id.
        assert {event.id for event in events(server)} == {event.id for event in told}
        assert '"limit_bytes": 2' in next((path / ".penstock/scopes").iterdir()).read_text()
