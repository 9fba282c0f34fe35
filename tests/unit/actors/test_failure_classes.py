"""Poison, crash loops, hanging storage, quarantine, and commands of a later release."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import ClassVar
from uuid import UUID, uuid4

import anyio
import pytest

from actors.fleet import Fleet
from actors.jobs.contract import Job
from actors.observer import SilentObserver
from actors.settings import ActorSettings
from backends.memory import MemoryVolume
from bus.contract import Bus, Position
from bus.memo import Memo
from bus.memory import MemoryStore, open_memory_bus
from bus.settings import BusSettings
from domain.commands import CreateVFolder, DeleteVFolder, SetQuota
from domain.envelope import Envelope, Failure, Reply, wrap_command
from domain.errors import (
    BackendFaultError,
    BackendUnavailableError,
    BusBrokenError,
    BusyError,
    ErrorCode,
    MalformedEventError,
    NotFoundError,
    PenstockError,
    Retry,
    StorageFullError,
    Subject,
    UnsupportedError,
)
from domain.ids import QuotaScopeId, ScopeKind, VFolderId, VolumeName
from domain.messages import Command
from domain.registry import COMMANDS, EVENTS, Vocabulary

pytestmark = pytest.mark.anyio

DISK = VolumeName("disk")
SCOPE = QuotaScopeId(ScopeKind.USER, UUID(int=7))
BUS = BusSettings(lease_seconds=0.3, upload_lease_seconds=0.3)
ACTORS = ActorSettings(
    scan_seconds=0, full_scan_seconds=0, backoff_seconds=0.01, attempts=2, crash_limit=2, handler_seconds=0.2
)


class NoJobs:
    async def start(self, job: Job) -> None:
        """Trash stays where it is."""


@dataclass
class World:
    """One volume, and fleets that come and go."""

    volume: MemoryVolume
    store: MemoryStore

    def bus(self, node: str = "manager"):
        return open_memory_bus(self.store, BUS, node)

    @asynccontextmanager
    async def fleet(
        self, node: str, settings: ActorSettings = ACTORS, vocabulary: Vocabulary | None = None
    ) -> AsyncIterator[Fleet]:
        stop = anyio.Event()
        async with self.bus(node) as bus:
            fleet = Fleet(
                bus, BUS, {DISK: self.volume}, NoJobs(), settings, SilentObserver(), vocabulary or Vocabulary()
            )
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(fleet.run, stop)
                yield fleet
                stop.set()

    async def live(self, node: str) -> None:
        """A fleet for as long as it is let."""
        async with self.fleet(node):
            await anyio.sleep_forever()


def world_of(volume: MemoryVolume | None = None) -> World:
    return World(volume or MemoryVolume(DISK), MemoryStore())


def wrapped(bus: Bus, command: Command) -> Envelope:
    return wrap_command(command, id=bus.clock.new_id(), volume=DISK, time=bus.clock.now())


def folder() -> VFolderId:
    return VFolderId(SCOPE, uuid4())


async def ask(bus: Bus, command: Command | Envelope) -> Reply:
    envelope = command if isinstance(command, Envelope) else wrapped(bus, command)
    return await bus.commands.request(envelope, timeout_seconds=10)


# --- storage that does not come back --------------------------------------------------------------------


class Hanging(MemoryVolume):
    """Never ends with one folder."""

    bad: VFolderId | None = None
    tries = 0

    async def create_folder(self, op, folder, mode) -> None:
        if folder == self.bad:
            self.tries += 1
            await anyio.sleep_forever()
        await super().create_folder(op, folder, mode)


async def test_a_handler_that_hangs_is_ended_and_holds_up_its_own_folder_only() -> None:
    world = world_of(Hanging(DISK))
    world.volume.bad = folder()
    async with world.bus() as bus, world.fleet("actor"), anyio.create_task_group() as tasks:
        replies: list[Reply] = []

        async def hang() -> None:
            replies.append(await ask(bus, CreateVFolder(folder=world.volume.bad)))

        tasks.start_soon(hang)
        assert (await ask(bus, CreateVFolder(folder=folder()))).ok
        assert not replies
        with anyio.fail_after(5):
            while not replies:
                await anyio.sleep(0.01)
        assert world.volume.tries == ACTORS.attempts
        assert replies[0].failure is not None
        assert replies[0].failure.code is ErrorCode.BACKEND_UNAVAILABLE
        (letter,) = await bus.dead_letters.page(DISK, limit=9)
        assert "did not finish within 0.2 s" in letter.reason


class Late(MemoryVolume):
    """Fails to delete by what is told, in turn; None: it does so."""

    answers: ClassVar[list[PenstockError | None]]
    tries = 0

    async def delete_folder(self, op, folder) -> None:
        self.tries += 1
        error = self.answers[self.tries - 1]
        if error is not None:
            raise error
        await super().delete_folder(op, folder)


GIVEN_UP = BackendUnavailableError("no answer")
GONE = NotFoundError("not there", subject=Subject.VFOLDER)


@pytest.mark.parametrize(
    ("answers", "refused"),
    [
        ([GIVEN_UP, GONE, None], False),
        ([GIVEN_UP, GONE, GIVEN_UP, GONE, None], False),
        ([GIVEN_UP, GONE, GONE], True),
        ([GONE], True),
    ],
)
async def test_a_refusal_behind_a_try_that_was_given_up_is_looked_at_twice(
    answers: list[PenstockError | None], refused: bool
) -> None:
    world = world_of(Late(DISK))
    world.volume.answers = answers
    async with world.bus() as bus, world.fleet("actor", ACTORS.model_copy(update={"attempts": 8})):
        made = CreateVFolder(folder=folder())
        assert (await ask(bus, made)).ok
        reply = await ask(bus, DeleteVFolder(folder=made.folder))
        assert (reply.failure.code if reply.failure else None) == (ErrorCode.NOT_FOUND if refused else None)
        assert world.volume.tries == len(answers)


async def test_what_owners_die_over_is_set_aside_and_has_failed() -> None:
    world = world_of()
    async with world.bus() as bus:
        command = wrapped(bus, CreateVFolder(folder=folder()))
        await bus.commands.publish(command)
        lane = world.store.lanes[DISK]
        lane.crashes, lane.suspects = ACTORS.crash_limit, {"1": ACTORS.crash_limit}
        async with world.fleet("actor"):
            reply = await ask(bus, command)
        assert reply.failure is not None
        assert (reply.failure.code, reply.failure.retry) == (ErrorCode.INTERNAL, Retry.UNKNOWN)
        (letter,) = await bus.dead_letters.page(DISK, limit=9)
        assert (letter.reason, letter.attempts) == ("2 owners in a row died while they ran it", 2)
        told = [stored.envelope for stored in await bus.history.events(DISK, after=Position("0"), limit=99)]
        assert [event.type for event in told if event is not None and event.origin.cause == command.id] == [
            "vfolder.create.failed"
        ]
        assert [found async for found in world.volume.folders()] == []


class Asking(MemoryVolume):
    """Its folders are made after Redis was asked something, which is away for some time."""

    away = 3 * ACTORS.attempts

    async def create_folder(self, op, folder, mode) -> None:
        if self.away:
            self.away -= 1
            raise BusBrokenError("Redis is away")
        await super().create_folder(op, folder, mode)


async def test_nothing_is_refused_because_redis_was_away() -> None:
    world = world_of(Asking(DISK))
    async with world.bus() as bus, world.fleet("actor"):
        assert (await ask(bus, CreateVFolder(folder=folder()))).ok
    assert not world.volume.away


async def test_what_is_too_late_when_redis_is_back_is_not_done() -> None:
    world = world_of(Asking(DISK))
    world.volume.away = 1_000_000
    async with world.bus() as bus, world.fleet("actor"):
        late = replace(wrapped(bus, CreateVFolder(folder=folder())), deadline=bus.clock.now() + 0.2)
        failure = (await ask(bus, late)).failure
        assert failure is not None
        assert failure.code is ErrorCode.DEADLINE_EXCEEDED


class Full(MemoryVolume):
    """Has no room, at first or after a try whose answer was lost."""

    answers: ClassVar[list[PenstockError]] = []

    async def create_folder(self, op, folder, mode) -> None:
        if self.answers:
            error = self.answers.pop(0)
            if isinstance(error, BackendFaultError):
                await super().create_folder(op, folder, mode)
            raise error
        await super().create_folder(op, folder, mode)


async def test_a_full_storage_refuses_at_once_but_not_what_may_have_been_done() -> None:
    world, full = world_of(Full(DISK)), StorageFullError("full")
    async with world.bus() as bus, world.fleet("actor", ACTORS.model_copy(update={"attempts": 3})):
        Full.answers[:] = [full]
        refused = await ask(bus, CreateVFolder(folder=folder()))
        assert refused.failure is not None
        assert refused.failure.code is ErrorCode.STORAGE_FULL
        assert Full.answers == []
        Full.answers[:] = [BackendFaultError("the answer was lost"), full]
        assert (await ask(bus, CreateVFolder(folder=folder()))).ok
        assert await bus.dead_letters.page(DISK, limit=9) == []


class Broken(MemoryVolume):
    """Fails by a defect, or for want of memory."""

    error: Exception | None = None

    async def create_folder(self, op, folder, mode) -> None:
        if self.error is not None:
            raise self.error
        await super().create_folder(op, folder, mode)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ZeroDivisionError("secret"), ErrorCode.INTERNAL),
        (MemoryError(), ErrorCode.BACKEND_UNAVAILABLE),
    ],
)
async def test_a_defect_is_answered_once_and_kept_to_be_tried_again(error: Exception, code: ErrorCode) -> None:
    world, command = world_of(Broken(DISK)), CreateVFolder(folder=folder())
    async with world.bus() as bus, world.fleet("actor"):
        world.volume.error = error
        reply = await ask(bus, command)
        assert reply.failure is not None
        assert reply.failure.code is code
        assert "secret" not in reply.failure.detail
        (letter,) = await bus.dead_letters.page(DISK, limit=9)
        assert reply.failure.detail in letter.reason
        world.volume.error = None
        assert (await ask(bus, CreateVFolder(folder=folder()))).ok
        assert await bus.dead_letters.redrive(letter)
        with anyio.fail_after(5):
            while not [found async for found in world.volume.folders() if found == command.folder]:
                await anyio.sleep(0.01)


class Starved(MemoryVolume):
    """Has no memory once, as when another command takes all of it."""

    starved = False

    async def create_folder(self, op, folder, mode) -> None:
        if not self.starved:
            self.starved = True
            raise MemoryError
        await super().create_folder(op, folder, mode)


async def test_who_finds_no_memory_is_not_to_blame_for_it() -> None:
    async with (world := world_of(Starved(DISK))).bus() as bus, world.fleet("actor"):
        assert (await ask(bus, CreateVFolder(folder=folder()))).ok
        assert await bus.dead_letters.page(DISK, limit=9) == []


class Throttled(MemoryVolume):
    """Asks to come back later, once."""

    calls: ClassVar[list[float]] = []

    async def create_folder(self, op, folder, mode) -> None:
        self.calls.append(anyio.current_time())
        if len(self.calls) == 1:
            raise BusyError("throttled", retry_after_seconds=0.3)
        await super().create_folder(op, folder, mode)


async def test_a_storage_that_says_when_to_come_back_is_left_alone_until_then() -> None:
    world = world_of(Throttled(DISK))
    async with world.bus() as bus, world.fleet("actor"):
        assert (await ask(bus, CreateVFolder(folder=folder()))).ok
    first, second = Throttled.calls
    assert second - first >= 0.3


# --- quarantine ---------------------------------------------------------------------------------------------


class Away(MemoryVolume):
    """Cannot delete for now."""

    away = True

    async def delete_folder(self, op, folder) -> None:
        if self.away:
            raise BackendUnavailableError("away")
        await super().delete_folder(op, folder)


async def test_after_a_quarantined_failure_a_folder_waits_and_goes_on_in_order() -> None:
    world = world_of(Away(DISK))
    settings = ACTORS.model_copy(update={"quarantine": (DeleteVFolder.type,)})
    async with world.bus() as bus, world.fleet("actor", settings):
        mine, other = folder(), folder()
        assert (await ask(bus, CreateVFolder(folder=mine))).ok
        assert not (await ask(bus, DeleteVFolder(folder=mine))).ok
        again, delete_again = wrapped(bus, CreateVFolder(folder=mine)), wrapped(bus, DeleteVFolder(folder=mine))
        await bus.commands.publish(again)
        await bus.commands.publish(delete_again)
        assert (await ask(bus, CreateVFolder(folder=other))).ok
        assert again.id not in world.store.lanes[DISK].replies
        world.volume.away = False
        (letter,) = await bus.dead_letters.page(DISK, limit=9)
        assert await bus.dead_letters.redrive(letter)
        assert (await ask(bus, again)).ok
        assert (await ask(bus, delete_again)).ok
        assert [found async for found in world.volume.folders()] == [other]


async def test_without_quarantine_later_commands_go_on() -> None:
    world = world_of(Away(DISK))
    async with world.bus() as bus, world.fleet("actor"):
        mine = folder()
        assert (await ask(bus, CreateVFolder(folder=mine))).ok
        assert not (await ask(bus, DeleteVFolder(folder=mine))).ok
        reply = await ask(bus, CreateVFolder(folder=mine))
        assert reply.failure is not None
        assert reply.failure.code is ErrorCode.CONFLICT


# --- releases -------------------------------------------------------------------------------------------------


class SetQuota2(SetQuota):
    """The same in a later release: the limit is in KiB."""

    schema_version: ClassVar[int] = 2


def later() -> Vocabulary:
    return Vocabulary(
        {**COMMANDS, SetQuota.type: SetQuota2},
        EVENTS,
        {(SetQuota.type, 1): lambda body: {**body, "limit_bytes": body["limit_bytes"] // 1024}},
    )


def test_an_older_body_is_lifted_and_a_newer_one_refused() -> None:
    command = SetQuota(scope=SCOPE, limit_bytes=4096)
    old = wrap_command(command, id=uuid4(), volume=DISK, time=1.0)
    lifted = later().open_command(old)
    assert isinstance(lifted, SetQuota2)
    assert lifted.limit_bytes == 4
    new = replace(old, schema_version=2)
    assert later().open_command(new).limit_bytes == 4096
    with pytest.raises(UnsupportedError):
        Vocabulary().open_command(new)
    with pytest.raises(MalformedEventError, match="version 1"):
        later().open_command(replace(old, body={"scope": str(SCOPE)}))
    with pytest.raises(MalformedEventError, match="not understood any more"):
        Vocabulary({SetQuota.type: SetQuota2}, EVENTS, {}).open_command(old)


async def test_a_newer_command_goes_to_a_member_that_knows_it_wherever_the_volume_was() -> None:
    from actors.handlers import table

    world = world_of()
    handlers = {**table.HANDLERS, SetQuota2: table.HANDLERS[SetQuota]}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("actors.policy.HANDLERS", handlers)
        async with world.bus() as bus, world.fleet("old"):
            assert (await ask(bus, CreateVFolder(folder=folder()))).ok
            command = replace(wrapped(bus, SetQuota(scope=SCOPE, limit_bytes=5)), schema_version=2)
            await bus.commands.publish(command)
            await anyio.sleep(0.5)
            assert command.id not in world.store.lanes[DISK].replies
            assert world.store.lanes[DISK].owner == "old"
            async with world.fleet("new", vocabulary=later()):
                assert (await ask(bus, command)).ok
                assert world.store.lanes[DISK].owner == "new"
            # Nobody knows such a command any more; what the old one knows goes on.
            with anyio.fail_after(5):
                while world.store.lanes[DISK].owner != "old":
                    await world.store.changed()
            assert (await ask(bus, CreateVFolder(folder=folder()))).ok
            assert await bus.dead_letters.page(DISK, limit=9) == []


# --- owners that die before they wrote down what they did -----------------------------------------------


class Forgetful(MemoryVolume):
    """Never gets to writing its journal in its first epoch."""

    async def append_journal(self, epoch, entries) -> None:
        if epoch == 1:
            await anyio.sleep_forever()
        await super().append_journal(epoch, entries)


async def test_what_was_done_and_undone_by_one_who_died_is_not_done_again() -> None:
    world, place = world_of(Forgetful(DISK)), folder()
    async with world.bus() as bus:
        for command in (CreateVFolder(folder=place), DeleteVFolder(folder=place)):
            await bus.commands.publish(wrapped(bus, command))
        async with anyio.create_task_group() as life:
            life.start_soon(world.live, "first")
            with anyio.fail_after(5):
                while not [found async for found in world.volume.folders()]:
                    await anyio.sleep(0.01)
            await anyio.sleep(0.1)  # time enough to go on, if it would
            assert [found async for found in world.volume.folders()] == [place]
            life.cancel_scope.cancel()
        async with world.fleet("second"), bus.events.watch(Position("0")) as events:
            seen: list[str] = []
            with anyio.fail_after(10):
                async for item in events:
                    seen += [item.envelope.type] if item.envelope.type.startswith("vfolder.") else []
                    if "vfolder.deleted" in seen:
                        break
        assert seen == ["vfolder.created", "vfolder.deleted"]
        assert [found async for found in world.volume.folders()] == []


async def test_what_was_done_by_one_who_died_is_done_also_when_it_is_too_late_to_begin() -> None:
    world, place = world_of(Forgetful(DISK)), folder()
    async with world.bus() as bus:
        command = replace(wrapped(bus, CreateVFolder(folder=place)), deadline=bus.clock.now() + 0.5)
        await bus.commands.publish(command)
        async with anyio.create_task_group() as life:
            life.start_soon(world.live, "first")
            with anyio.fail_after(5):
                while not [found async for found in world.volume.folders()]:
                    await anyio.sleep(0.01)
            life.cancel_scope.cancel()
        await anyio.sleep_until(anyio.current_time() + command.deadline - bus.clock.now() + 0.1)
        # This one nobody can have begun.
        late = replace(wrapped(bus, CreateVFolder(folder=folder())), deadline=bus.clock.now())
        await bus.commands.publish(late)
        async with world.fleet("second"):
            assert (await ask(bus, command)).ok
            failure = (await ask(bus, late)).failure
        assert failure is not None
        assert failure.code is ErrorCode.DEADLINE_EXCEEDED
        assert [found async for found in world.volume.folders()] == [place]


class Slow(MemoryVolume):
    """Makes folders, and does not say so before it is too late."""

    tries = 0

    async def create_folder(self, op, folder, mode) -> None:
        await super().create_folder(op, folder, mode)
        self.tries += 1
        if self.tries == 1:
            await anyio.sleep_forever()


async def test_what_may_have_been_done_is_tried_again_also_when_it_is_too_late_to_begin() -> None:
    world = world_of(Slow(DISK))
    async with world.bus() as bus, world.fleet("actor"):
        command = replace(wrapped(bus, CreateVFolder(folder=folder())), deadline=bus.clock.now() + 0.1)
        assert (await ask(bus, command)).ok


# --- owners that are late -------------------------------------------------------------------------------


class Overtaken(MemoryVolume):
    """Goes to another owner while the first one deletes a folder; the other one has just taken it away."""

    tries = 0

    async def delete_folder(self, op, folder) -> None:
        self.tries += 1
        if self.tries == 1:
            await self.take_over(op.epoch + 1)
            raise NotFoundError("not there", subject=Subject.VFOLDER)
        await super().delete_folder(op, folder)


async def test_who_is_late_refuses_nothing() -> None:
    world, place = world_of(Overtaken(DISK)), folder()
    async with world.bus() as bus, world.fleet("actor"):
        assert (await ask(bus, CreateVFolder(folder=place))).ok
        assert (await ask(bus, DeleteVFolder(folder=place))).ok
        assert world.volume.tries == 2


async def test_of_two_who_wrote_down_an_outcome_the_later_one_is_believed() -> None:
    world, place = world_of(), folder()
    async with world.bus() as bus:
        command = wrapped(bus, CreateVFolder(folder=place))
        failure = Failure(ErrorCode.CONFLICT, Retry.NEVER, "exists", Subject.VFOLDER)
        other = Reply(bus.clock.new_id())
        for epoch, reply in ((1, Reply(command.id, failure)), (1, other), (2, Reply(command.id))):
            await world.volume.append_journal(epoch, [Memo(reply, (), bus.clock.now()).encode()])
        async with world.fleet("actor"):
            assert (await ask(bus, DeleteVFolder(folder=folder()))).failure is not None  # the owner is at work
            assert (await ask(bus, command)).ok
        assert [found async for found in world.volume.folders()] == []  # it was done before
