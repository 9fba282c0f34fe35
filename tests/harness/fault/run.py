"""One fault run from beginning to end."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path

import anyio
import redis
from harness.cutter import Cutter, open_cutter
from harness.fault.actors import Actors
from harness.fault.checker import Left, dump, look, violations
from harness.fault.clients import ORDINARY, Client, Habits, ask_again
from harness.fault.faults import Faults
from harness.fault.gauge import watch_depth
from harness.fault.plan import QUEUE_LIMIT, Plan
from harness.fault.readers import FOLLOWER, SLOTH, Reader, register
from harness.fault.servers import Servers, servers
from harness.fault.words import History

from bus.contract import Bus, Position
from bus.streams import keys, open_streams_bus
from domain.errors import BusBrokenError, BusyError
from domain.ids import VolumeName


@dataclass(frozen=True)
class Options:
    """What happens in a run.

    Args:
        faults: names of methods of `Faults`, each with its weight.
        clients: how many send.
        without: protections of actors switched off, see `Plan`.
        failing: part of the system calls on volumes that fail while there is trouble.
        upgrade: actors are of an older release at first, and all of the new one in the end.
        stepping: Redis has a clock that can be set.
        pair: Redis has a replica.
        quarantine: types of commands after whose failure the later ones of their key wait.
        patience: how long to wait until nothing waits any more, in seconds.
        queue_limit: commands that may wait on one volume.
    """

    faults: dict[str, int]
    seconds: float = 12.0
    clients: int = 6
    actors: int = 2
    volumes: tuple[str, ...] = ("disk", "shelf", "chest")
    habits: Habits = ORDINARY
    without: tuple[str, ...] = ()
    upgrade: bool = False
    stepping: bool = False
    pair: bool = False
    quarantine: tuple[str, ...] = ()
    failing: float = 0.01
    patience: float = 60.0
    queue_limit: int = QUEUE_LIMIT

    @property
    def lossy(self) -> bool:
        """Whether the store loses something, so accepted commands may be gone."""
        return self.habits.lossy


async def run(binary: str, folder: Path, seed: int, options: Options) -> tuple[History, list[str]]:
    """Run, and judge; returns the history and what was violated."""
    history = History()
    with servers(binary, folder, stepping=options.stepping, pair=options.pair) as found:
        left = await Run(folder, found, random.Random(seed), history, options).whole()
    broken = violations(history, left, lossy=options.lossy, queue_limit=options.queue_limit)
    dump(folder / "history.txt", history, broken)
    return history, broken


class Run:
    """A run on servers that are there."""

    def __init__(
        self, folder: Path, store: Servers, chance: random.Random, history: History, options: Options
    ) -> None:
        self._store = store
        self._chance = chance
        self._history = history
        self._options = options
        self._plan = Plan(
            store.url,
            str(folder),
            options.volumes,
            options.without,
            options.failing,
            options.quarantine,
            event_keep_seconds=600.0 if options.lossy else 0.0,
            queue_limit=options.queue_limit,
        )
        for name in options.volumes:
            self._plan.root(name).mkdir(parents=True)
        release = "old" if options.upgrade else "new"
        own = random.Random(chance.random())
        self._actors = Actors(self._plan.save(), folder, [store.first.port], own, release)

    async def whole(self) -> Left:
        """All of it; returns what is left in the end."""
        try:
            await register(self._plan)
            for _ in range(self._options.actors):
                self._actors.start()
            with ExitStack() as stack:
                port = self._store.first.port
                ways = [stack.enter_context(open_cutter(port)) for _ in range(self._options.clients)]
                return await self._watched(ways)
        finally:
            await anyio.to_thread.run_sync(self._actors.stop)

    async def _watched(self, ways: Sequence[Cutter]) -> Left:
        over = anyio.Event()
        readers = [Reader(FOLLOWER, self._plan, self._history, random.Random(self._chance.random()))]
        if not self._options.lossy:
            readers.append(Reader(SLOTH, self._plan, self._history, random.Random(self._chance.random())))
        async with anyio.create_task_group() as tasks:
            for reader in readers:
                tasks.start_soon(reader.run, over)
            tasks.start_soon(watch_depth, self._plan, self._history, over)
            faults = Faults(self._plan, self._store, self._actors, self._chance, ways, self._history)
            await self._hurt(faults, ways)
            for reader in readers:
                reader.hurry()
            left = await self._settle(faults)
            over.set()
        return left

    async def _hurt(self, faults: Faults, ways: Sequence[Cutter]) -> None:
        """Do faults, one after the other, until the time is over; dead actors come back all the while."""
        names, weights = list(self._options.faults), list(self._options.faults.values())
        started = time.monotonic()
        until = started + self._options.seconds
        stop = anyio.Event()
        async with anyio.create_task_group() as senders:
            for number, way in enumerate(ways):
                own = random.Random(self._chance.random())
                client = Client(number, self._plan, self._history, own, self._options.habits)
                senders.start_soon(_send, client, way.port, stop)
            await anyio.sleep(1.5)
            while time.monotonic() < until:
                if names:
                    name = faults.chance.choices(names, weights)[0]
                    self._history.faults.append(name)
                    await getattr(faults, name)()
                await anyio.sleep(faults.chance.uniform(0.05, 0.4))
                self._actors.replace_dead()
            stop.set()
        self._history.sent_seconds = time.monotonic() - started

    async def _settle(self, faults: Faults) -> Left:
        if self._options.upgrade:
            self._actors.upgrade()
        started = time.monotonic()
        async with open_streams_bus(self._plan.patient_settings(), "checker") as bus:
            await self._accept_the_rest(bus)
            if self._options.habits.sick:
                self._plan.cured.write_text("*")
            waiting = await self._drain(bus, faults, started)
            if self._options.habits.sick:
                await self._find_places(bus)
            if not self._options.lossy:  # what was lost would be done now, long after its turn
                await ask_again(bus, self._history)
            if self._options.pair:
                await anyio.to_thread.run_sync(self._find_restored)
            dead = await self._dead(bus)
            await self._seen_all(bus)
        return look(self._plan, dead, waiting, self._actors.fallen)

    async def _accept_the_rest(self, bus: Bus) -> None:
        """What senders do not know to be accepted they send again."""
        for sent in self._history.sent:
            while not sent.entry:
                with suppress(BusyError):
                    sent.entry = (await bus.commands.publish(sent.command)).entry
                    break
                await anyio.sleep(0.02)

    async def _find_places(self, bus: Bus) -> None:
        """Learn where in their lanes commands are that were tried again, or waited behind one."""
        for sent in self._history.sent:
            sent.entry = (await bus.commands.publish(sent.command)).entry

    def _find_restored(self) -> None:
        with redis.Redis(port=self._store.first.port) as client:
            for sent in self._history.sent:
                inbox = keys.inbox(sent.command.volume, sent.command.id)
                if client.hget(inbox, sent.command.id.bytes) == b"c0-0":
                    self._history.restored.add(sent.command.id)

    async def _drain(self, bus: Bus, faults: Faults, started: float) -> int:
        waiting = 0
        with anyio.move_on_after(self._options.patience):
            while True:
                self._actors.replace_dead()
                lanes = [await bus.inspection.lane(VolumeName(name)) for name in self._plan.volumes]
                waiting = sum(lane.waiting for lane in lanes)
                if self._options.habits.sick and await self._dead(bus):
                    await faults.redrive_all()
                elif not waiting:
                    self._history.drained_seconds = round(time.monotonic() - started, 2)
                    return 0
                await anyio.sleep(0.05)
        self._actors.ask_what_they_do()
        await anyio.sleep(0.5)
        return waiting

    async def _dead(self, bus: Bus) -> Counter[object]:
        found: Counter[object] = Counter()
        for name in self._plan.volumes:
            found.update(letter.id for letter in await bus.dead_letters.page(VolumeName(name), limit=1000))
        return found

    async def _seen_all(self, bus: Bus) -> None:
        """Wait until the readers are at the end of the events."""
        with anyio.move_on_after(15):
            while True:
                newest = await bus.history.events(None, after=await _before_last(bus), limit=1)
                seen = [self._history.events] if self._options.lossy else [self._history.events, self._history.slow]
                if not newest or all(newest[0].id in events for events in seen):
                    return
                await anyio.sleep(0.1)


async def _send(client: Client, port: int, stop: anyio.Event) -> None:
    settings = client.plan.bus_settings(port)
    while not stop.is_set():
        try:
            async with open_streams_bus(settings, f"client{client.number}.{client.chance.random()}") as bus:
                await client.run(bus, stop)
        except* BusBrokenError:
            await anyio.sleep(0.05)


async def _before_last(bus: Bus) -> Position:
    position = Position("0")
    while page := await bus.history.events(None, after=position, limit=500):
        if len(page) == 1:
            return position
        position = page[-2].position
    return position
