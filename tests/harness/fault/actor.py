"""An actor process of a fault run: the real fleet on real directories that fail when they are told to."""

from __future__ import annotations

import asyncio
import gc
import os
import random
import resource
import signal
import sys
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any
from uuid import uuid4

import anyio
import anyio.lowlevel
from harness.fault.mishaps import die_at, install
from harness.fault.plan import Plan
from harness.fault.words import CANNOT_GO_ON, POISON_EAT, POISON_HANG, POISON_KILL, SICK_BYTES

from actors.fleet import Fleet
from actors.jobs.contract import Job
from actors.observer import SilentObserver
from actors.volume_actor import VolumeActor
from backends.contract import Operation
from backends.observer import SilentObserver as SilentBackends
from backends.registry import Site, driver
from backends.settings import ThreadSettings
from bus.streams import open_streams_bus
from domain.commands import SetQuota
from domain.envelope import Envelope
from domain.errors import BackendFaultError, MalformedEventError, PenstockError, Subject, UnsupportedError
from domain.ids import VFolderId, VolumeName
from domain.messages import Command
from domain.registry import COMMANDS, Vocabulary

#: Part of the calls whose answer is lost while there is trouble.
_LOST = 0.1
#: Address space of an actor, and what one that eats memory takes at a time, in bytes.
_SPACE = 2 << 30
_BITE = 32 << 20
#: Where a limit says whether it is sick.
_LOW = 0xFFFF
#: What an older release does not know yet.
_NEWER = (SetQuota.type,)


class Faulty:
    """A volume that fails, hangs and kills as it is told."""

    def __init__(self, volume: Any, plan: Plan) -> None:
        self._volume = volume
        self._plan = plan

    def __getattr__(self, name: str) -> Any:
        return getattr(self._volume, name)

    def _op(self, op: Operation) -> Operation:
        # Without its identity an operation cannot recognise its own traces.
        return Operation(uuid4(), op.epoch) if "probe" in self._plan.without else op

    async def _change(self, change: Any) -> Any:
        result = await change
        die_at(self._plan, "done")
        if random.random() < _LOST and self._plan.trouble.exists():
            raise BackendFaultError("the answer was lost", subject=Subject.VOLUME)
        return result

    async def create_folder(self, op: Operation, folder: VFolderId, mode: int) -> None:
        if folder.uuid.int % 1000 == POISON_KILL:
            os.kill(os.getpid(), signal.SIGKILL)
        if folder.uuid.int % 1000 == POISON_HANG:
            await anyio.sleep_forever()
        if folder.uuid.int % 1000 == POISON_EAT:
            await _eat()
        await self._change(self._volume.create_folder(self._op(op), folder, mode))

    async def delete_folder(self, op: Operation, folder: VFolderId) -> None:
        await self._change(self._volume.delete_folder(self._op(op), folder))

    async def set_quota(self, op: Operation, scope: Any, limit_bytes: int | None, *arguments: Any) -> None:
        if limit_bytes is not None and limit_bytes & _LOW == SICK_BYTES and not self._is_cured(scope, limit_bytes):
            raise BackendFaultError("it does not take this limit", subject=Subject.VOLUME)
        await self._change(self._volume.set_quota(op, scope, limit_bytes, *arguments))

    def _is_cured(self, scope: Any, limit_bytes: int) -> bool:
        try:
            cured = self._plan.cured.read_text().splitlines()
        except FileNotFoundError:
            return False
        return "*" in cured or f"{scope} {limit_bytes}" in cured

    async def append_journal(self, epoch: int, entries: Any) -> None:
        if "journal" not in self._plan.without:
            await self._volume.append_journal(epoch, entries)
        die_at(self._plan, "journalled")

    async def take_over(self, epoch: int) -> None:
        die_at(self._plan, "taking-over")
        await self._volume.take_over(epoch)
        die_at(self._plan, "taken-over")


async def _eat() -> None:
    """Take memory until there is none."""
    eaten = []
    while True:
        eaten.append(bytearray(_BITE))
        await anyio.lowlevel.checkpoint()


class Impatient(Vocabulary):
    """Takes what it does not know for nonsense, as an actor would that knows of no later releases."""

    def open_command(self, envelope: Envelope) -> Command:
        try:
            return super().open_command(envelope)
        except UnsupportedError as error:
            raise MalformedEventError(str(error)) from error


class NoJobs:
    """Trash stays where it is, for the checker to see."""

    async def start(self, job: Job) -> None:
        """Leave it."""


async def act(plan: Plan, node: str, port: str, release: str) -> None:
    install(plan, node)
    resource.setrlimit(resource.RLIMIT_AS, (_SPACE, _SPACE))
    settings = plan.bus_settings(int(port))
    known = {name: model for name, model in COMMANDS.items() if release == "new" or name not in _NEWER}
    stop = anyio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, _tell_tasks)
    async with AsyncExitStack() as stack:
        try:
            volumes = {VolumeName(name): await _open_volume(plan, name, stack) for name in plan.volumes}
            bus = await stack.enter_async_context(open_streams_bus(settings, node))
        except PenstockError:
            sys.exit(CANNOT_GO_ON)
        vocabulary = (Impatient if "waiting" in plan.without else Vocabulary)(commands=known)
        fleet = Fleet(bus, settings, volumes, NoJobs(), plan.actor_settings(), SilentObserver(), vocabulary)
        tasks = await stack.enter_async_context(anyio.create_task_group())
        tasks.start_soon(_stop_on_signal, stop)
        await fleet.run(stop)
        tasks.cancel_scope.cancel()


async def _open_volume(plan: Plan, name: str, stack: AsyncExitStack) -> Faulty:
    site = Site(VolumeName(name), {"path": str(plan.root(name))}, ThreadSettings(), SilentBackends())
    return Faulty(await stack.enter_async_context(driver("vfs").open(site)), plan)


def _tell_tasks() -> None:
    """Say in the log what every task waits for, to understand a run that does not settle."""
    for task in asyncio.all_tasks():
        places, waiting = [], task.get_coro()
        while waiting is not None:
            frame = getattr(waiting, "cr_frame", None) or getattr(waiting, "gi_frame", None)
            if frame is not None:
                places.append(f"{Path(frame.f_code.co_filename).name}:{frame.f_lineno}")
            waiting = getattr(waiting, "cr_await", None) or getattr(waiting, "gi_yieldfrom", None)
        print("waits", task.get_name(), *places, file=sys.stderr, flush=True)

    for found in gc.get_objects():
        if isinstance(found, VolumeActor):
            lane, schedule = found._lane, found._schedule
            inside = f"{len(lane._fed)} fed, {len(lane.window)} in hand, {len(schedule._waiting)} wait"
            place = f"{lane.volume} epoch {lane.epoch} at {lane.position}"
            print("lane", place, inside, schedule._busy, schedule._exclusive, file=sys.stderr, flush=True)


async def _stop_on_signal(stop: anyio.Event) -> None:
    with anyio.open_signal_receiver(signal.SIGTERM) as signals:
        async for _ in signals:
            stop.set()


def main() -> None:
    """The command line: a plan's file, a name, a port of Redis, and `old` or `new`.

    Exits with `CANNOT_GO_ON` where it cannot begin, or no memory is left.
    """
    # A role runs on either event loop.
    options = {"use_uvloop": random.random() < 0.5}
    try:
        anyio.run(act, Plan.load(Path(sys.argv[1])), *sys.argv[2:], backend_options=options)
    except* MemoryError:
        sys.exit(CANNOT_GO_ON)
