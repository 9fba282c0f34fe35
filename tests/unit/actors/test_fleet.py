"""Commands become effects, events and replies; volumes are shared and handed over."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID, uuid4

import anyio
import pytest

from actors.fleet import Fleet
from actors.jobs.clone import clone
from actors.jobs.contract import CloneJob, Job, PurgeJob
from actors.jobs.purge import purge
from actors.observer import SilentObserver
from actors.settings import ActorSettings
from backends.memory import MemoryVolume
from bus.contract import Bus
from bus.memory import MemoryStore, open_memory_bus
from bus.settings import BusSettings
from domain.commands import (
    CreateQuotaScope,
    CreateVFolder,
    DeleteQuotaScope,
    DeleteVFolder,
    RequestClone,
    SetQuota,
    UnsetQuota,
)
from domain.envelope import Envelope, Origin, Reply, Trace, wrap_command
from domain.errors import BackendUnavailableError, ErrorCode, Retry
from domain.ids import QuotaScopeId, ScopeKind, VFolderId, VolumeName
from domain.messages import Command

pytestmark = pytest.mark.anyio

DISK = VolumeName("disk")
SCOPE = QuotaScopeId(ScopeKind.USER, UUID(int=7))
SETTINGS = BusSettings(lease_seconds=0.4, upload_lease_seconds=0.4)
ACTORS = ActorSettings(
    scan_seconds=0, full_scan_seconds=0, backoff_seconds=0.01, attempts=3, purge_interval_seconds=0.2
)


def folder() -> VFolderId:
    return VFolderId(SCOPE, uuid4())


class DirectJobs:
    """Does jobs in the task that starts them."""

    def __init__(self, bus: Bus, volumes: dict[VolumeName, MemoryVolume]) -> None:
        self.bus = bus
        self.volumes = volumes
        self.started: list[PurgeJob] = []

    async def start(self, job: Job) -> None:
        if isinstance(job, PurgeJob):
            self.started.append(job)
            await purge(job, self.volumes[job.volume], self.bus)
        if isinstance(job, CloneJob):
            await clone(job, self.volumes, self.bus)


class World:
    """A bus, volumes, and fleets that come and go."""

    def __init__(self, *volumes: MemoryVolume) -> None:
        self.store = MemoryStore()
        self.volumes = {volume.name: volume for volume in volumes}

    def bus(self, node: str):
        return open_memory_bus(self.store, SETTINGS, node)

    @asynccontextmanager
    async def fleet(self, node: str) -> AsyncIterator[DirectJobs]:
        stop = anyio.Event()
        async with self.bus(node) as bus:
            jobs = DirectJobs(bus, self.volumes)
            fleet = Fleet(bus, SETTINGS, self.volumes, jobs, ACTORS, SilentObserver())
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(fleet.run, stop)
                yield jobs
                stop.set()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Bus]:
        async with self.bus("manager") as bus, self.fleet("actor"):
            yield bus


async def ask(bus: Bus, command: Command, volume: VolumeName = DISK, origin: Origin | None = None) -> Reply:
    envelope = wrap_command(command, id=bus.clock.new_id(), volume=volume, time=bus.clock.now(), origin=origin)
    return await bus.commands.request(envelope, timeout_seconds=5)


def events_of(world: World) -> list[Envelope]:
    from bus.codec import decode_envelope

    events = [decode_envelope(data) for data in world.store.broadcast]
    return [event for event in events if not event.type.startswith("volume.")]


def types_of(world: World) -> list[str]:
    return [event.type for event in events_of(world)]


async def test_a_scope_lives_from_creation_to_deletion() -> None:
    world = World(MemoryVolume(DISK))
    async with world.running() as bus:
        for command in (
            CreateQuotaScope(scope=SCOPE, limit_bytes=10),
            SetQuota(scope=SCOPE, limit_bytes=20),
            UnsetQuota(scope=SCOPE),
            DeleteQuotaScope(scope=SCOPE),
        ):
            assert (await ask(bus, command)).ok
    assert types_of(world) == [
        "quota.scope.created",
        "quota.updated",
        "quota.updated",
        "quota.scope.deleted",
    ]


async def test_the_first_folder_of_an_owner_makes_the_scope() -> None:
    world = World(MemoryVolume(DISK))
    async with world.running() as bus:
        assert (await ask(bus, CreateVFolder(folder=folder()))).ok
        assert (await ask(bus, CreateVFolder(folder=folder()))).ok
    assert types_of(world) == ["quota.scope.created", "vfolder.created", "vfolder.created"]


async def test_an_owner_over_its_limit_gets_no_new_folder() -> None:
    from backends.conformance.words import put

    world = World(MemoryVolume(DISK))
    async with world.running() as bus:
        made = folder()
        await ask(bus, CreateVFolder(folder=made))
        await ask(bus, SetQuota(scope=SCOPE, limit_bytes=5))
        assert (await ask(bus, CreateVFolder(folder=folder()))).ok
        await put(world.volumes[DISK].files(made), "a", b"12345")
        world.store.view.records.clear()
        reply = await ask(bus, CreateVFolder(folder=folder()))
        assert reply.failure is not None
        assert reply.failure.code is ErrorCode.QUOTA_EXCEEDED
        await ask(bus, UnsetQuota(scope=SCOPE))
        assert (await ask(bus, CreateVFolder(folder=folder()))).ok


async def test_a_refused_command_is_answered_and_told_and_changes_nothing() -> None:
    world = World(MemoryVolume(DISK))
    async with world.running() as bus:
        made = folder()
        await ask(bus, CreateVFolder(folder=made))
        reply = await ask(bus, CreateVFolder(folder=made))
        assert reply.failure is not None
        assert (reply.failure.code, reply.failure.retry) == (ErrorCode.CONFLICT, Retry.NEVER)
    last = events_of(world)[-1]
    assert last.type == "vfolder.create.failed"
    assert last.body["code"] == "conflict"
    assert last.body["subject"] == str(made)


async def test_a_deleted_folder_is_purged_and_forgotten() -> None:
    world = World(MemoryVolume(DISK))
    async with world.running() as bus:
        made = folder()
        await ask(bus, CreateVFolder(folder=made))
        reply = await ask(bus, DeleteVFolder(folder=made))
        assert reply.ok
        with anyio.fail_after(5):
            while "vfolder.purged" not in types_of(world):
                await world.store.changed()
        assert await world.volumes[DISK].trash() == []
    deleted, purged = events_of(world)[-2:]
    assert deleted.body["trash"] == purged.body["trash"] == str(reply.command)


async def test_what_an_earlier_actor_left_in_the_trash_is_purged() -> None:
    volume = MemoryVolume(DISK)
    world = World(volume)
    from backends.contract import Operation

    made, deletion = folder(), Operation(uuid4())
    await volume.ensure_scope(deletion, SCOPE)
    await volume.create_folder(deletion, made, 0o755)
    async with world.bus("x") as bus:
        old = Operation(bus.clock.new_id())
    await volume.delete_folder(old, made)
    async with world.running():
        with anyio.fail_after(5):
            while "vfolder.purged" not in types_of(world):
                await world.store.changed()


async def test_events_carry_where_they_come_from() -> None:
    world = World(MemoryVolume(DISK))
    origin = Origin(actor="manager", tenant="t", trace=Trace("00-" + "a" * 32 + "-" + "b" * 16 + "-01"))
    async with world.running() as bus:
        reply = await ask(bus, CreateVFolder(folder=folder()), origin=origin)
    for event in events_of(world):
        assert event.origin.cause == reply.command
        assert event.origin.correlation == reply.command
        assert event.origin.trace == origin.trace
        assert (event.origin.actor, event.origin.tenant) == ("manager", "t")


async def test_cloning_uses_the_storages_own_power() -> None:
    world = World(MemoryVolume(DISK))
    async with world.running() as bus:
        source, target = folder(), folder()
        await ask(bus, CreateVFolder(folder=source))
        assert (await ask(bus, RequestClone(source=source, destination=target))).ok
        assert {found async for found in world.volumes[DISK].folders()} == {source, target}
    assert types_of(world)[-1] == "clone.completed"


async def test_cloning_without_that_power_is_refused() -> None:
    class Plain(MemoryVolume):
        clone_folder = None  # type: ignore[assignment]

    world = World(Plain(DISK))
    async with world.running() as bus:
        reply = await ask(bus, RequestClone(source=folder(), destination=folder()))
        assert reply.failure is not None
        assert reply.failure.code is ErrorCode.UNSUPPORTED


class Flaky(MemoryVolume):
    """Fails a number of times before it works."""

    failures = 0
    calls = 0

    async def create_folder(self, op, folder, mode) -> None:
        self.calls += 1
        if self.failures:
            self.failures -= 1
            raise BackendUnavailableError("away")
        await super().create_folder(op, folder, mode)


async def test_a_storage_that_fails_for_the_moment_is_tried_again() -> None:
    volume = Flaky(DISK)
    volume.failures = 2
    world = World(volume)
    async with world.running() as bus:
        assert (await ask(bus, CreateVFolder(folder=folder()))).ok
    assert volume.calls == 3


async def test_a_command_whose_tries_are_used_up_is_answered_and_set_aside() -> None:
    volume = Flaky(DISK)
    volume.failures = 99
    world = World(volume)
    async with world.running() as bus:
        reply = await ask(bus, CreateVFolder(folder=folder()))
        assert reply.failure is not None
        assert reply.failure.retry is Retry.LATER
    assert volume.calls == ACTORS.attempts
    (letter,) = world.store.lanes[DISK].dead
    assert (letter.id, letter.attempts) == (reply.command, ACTORS.attempts)
    assert "away" in letter.reason


async def test_a_command_past_its_deadline_takes_no_effect() -> None:
    from dataclasses import replace

    world = World(MemoryVolume(DISK))
    async with world.bus("manager") as bus:
        command = wrap_command(CreateVFolder(folder=folder()), id=bus.clock.new_id(), volume=DISK, time=1.0)
        await bus.commands.publish(replace(command, deadline=bus.clock.now() - 1))
        async with world.fleet("actor"):
            reply = await bus.commands.request(command, timeout_seconds=5)
    assert reply.failure is not None
    assert reply.failure.code is ErrorCode.DEADLINE_EXCEEDED
    assert [found async for found in world.volumes[DISK].folders()] == []


class Broken(MemoryVolume):
    async def create_folder(self, op, folder, mode) -> None:
        raise ZeroDivisionError


async def test_a_defect_in_a_handler_is_answered_and_the_actor_lives_on() -> None:
    world = World(Broken(DISK))
    async with world.running() as bus:
        reply = await ask(bus, CreateVFolder(folder=folder()))
        assert reply.failure is not None
        assert reply.failure.code is ErrorCode.INTERNAL
        assert "ZeroDivision" not in reply.failure.detail
        assert (await ask(bus, SetQuota(scope=SCOPE, limit_bytes=1))).ok


async def test_bytes_nobody_can_read_are_set_aside() -> None:
    from dataclasses import replace

    world = World(MemoryVolume(DISK))
    async with world.running() as bus:
        good = wrap_command(CreateVFolder(folder=folder()), id=bus.clock.new_id(), volume=DISK, time=1.0)
        bad = replace(good, body={"folder": "nonsense"})
        reply = await bus.commands.request(bad, timeout_seconds=5)
        assert reply.failure is not None
        assert reply.failure.code is ErrorCode.MALFORMED_EVENT
        assert (await ask(bus, CreateVFolder(folder=folder()))).ok
    assert [letter.id for letter in world.store.lanes[DISK].dead] == [bad.id]


async def test_an_unknown_command_waits_for_a_member_that_knows_it_and_holds_up_its_key_only() -> None:
    from dataclasses import replace

    world = World(MemoryVolume(DISK))
    async with world.running() as bus:
        made = folder()
        template = wrap_command(CreateVFolder(folder=made), id=bus.clock.new_id(), volume=DISK, time=1.0)
        await bus.commands.publish(replace(template, type="vfolder.teleport"))
        behind = replace(template, id=bus.clock.new_id())
        await bus.commands.publish(behind)
        assert (await ask(bus, CreateVFolder(folder=folder()))).ok
        assert behind.id not in world.store.lanes[DISK].replies
    assert world.store.lanes[DISK].dead == []
    assert world.store.lanes[DISK].waiting == 2


async def test_two_processes_share_the_volumes_and_one_takes_over_all() -> None:
    names = [VolumeName(f"v{number}") for number in range(6)]
    world = World(*(MemoryVolume(name) for name in names))
    async with world.bus("manager") as bus, world.fleet("one"):
        async with world.fleet("two"):
            with anyio.fail_after(5):
                while {lane.owner for lane in world.store.lanes.values()} != {"one", "two"}:
                    await world.store.changed()
            for name in names:
                assert (await ask(bus, CreateVFolder(folder=folder()), name)).ok
        for name in names:
            assert (await ask(bus, CreateVFolder(folder=folder()), name)).ok


async def test_commands_of_one_folder_take_effect_in_order() -> None:
    world = World(MemoryVolume(DISK))
    async with world.running() as bus:
        made = folder()
        commands = [CreateVFolder(folder=made), DeleteVFolder(folder=made)] * 10
        for command in commands:
            envelope = wrap_command(command, id=bus.clock.new_id(), volume=DISK, time=bus.clock.now())
            await bus.commands.publish(envelope)
        await bus.commands.request(envelope, timeout_seconds=10)
    happened = [kind for kind in types_of(world) if kind in ("vfolder.created", "vfolder.deleted")]
    assert happened == ["vfolder.created", "vfolder.deleted"] * 10


async def test_who_owns_a_volume_is_told() -> None:
    from bus.codec import decode_envelope

    world = World(MemoryVolume(DISK))
    for node in ("one", "two"):
        async with world.fleet(node), world.bus("manager") as bus:
            assert (await ask(bus, CreateVFolder(folder=folder()))).ok
    events = [decode_envelope(data) for data in world.store.broadcast]
    told = [(event.type, event.body["owner"], event.body["epoch"]) for event in events if "owner" in event.body]
    assert told == [
        ("volume.taken", "one", 1),
        ("volume.released", "one", 1),
        ("volume.taken", "two", 2),
        ("volume.released", "two", 2),
    ]
    assert len({event.id for event in events}) == len(events)
