"""One fault run from beginning to end."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from threading import Thread

import anyio
import redis
from harness.cutter import Cutter
from harness.fault.checker import Left, dump, look, violations
from harness.fault.clients import Client, ask_again, follow, register
from harness.fault.plan import LEASE_SECONDS, Plan
from harness.fault.words import History
from harness.redis_server import RedisServer

from bus.contract import Bus
from bus.settings import BusSettings
from bus.streams import keys, open_streams_bus
from domain.errors import BusBrokenError
from domain.ids import VolumeName

_TESTS = Path(__file__).parents[2]
#: Where an actor can be told to die.
_STEPS = (
    "received",
    "before-rename",
    "after-rename",
    "done",
    "journalled",
    "committed",
    "taking-over",
    "taken-over",
    "trimmed",
)


@dataclass(frozen=True)
class Options:
    """What happens in a run.

    Args:
        faults: names of methods of `Faults`, each with its weight.
        without: protections of actors switched off, see `Plan`.
        fresh_ids: senders make a new id for what they send again.
        failing: part of the system calls on volumes that fail while there is trouble.
        upgrade: actors are of an older release at first, and all of the new one in the end.
    """

    faults: dict[str, int]
    seconds: float = 12.0
    clients: int = 6
    actors: int = 2
    volumes: tuple[str, ...] = ("disk", "shelf", "chest")
    poison: bool = True
    without: tuple[str, ...] = ()
    fresh_ids: bool = False
    lossy: bool = False
    upgrade: bool = False
    failing: float = 0.01
    #: How long to wait until nothing waits any more, in seconds.
    patience: float = 60.0


@dataclass
class Actors:
    """Actor processes; dead ones are replaced, as a supervisor does.

    Args:
        release: of those that are started: `old` or `new`.
    """

    plan: Path
    log: Path
    release: str = "new"
    running: list[subprocess.Popen[bytes]] = field(default_factory=list)
    leaving: list[subprocess.Popen[bytes]] = field(default_factory=list)
    _made: int = 0

    def start(self) -> None:
        self._made += 1
        with self.log.open("ab") as log:
            environment = {**os.environ, "PYTHONPATH": f"{_TESTS}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"}
            words = [
                sys.executable,
                "-m",
                "harness.fault.actor",
                str(self.plan),
                f"actor{self._made}",
                self.release,
            ]
            self.running.append(subprocess.Popen(words, stdout=log, stderr=log, env=environment))

    def dismiss(self) -> None:
        """Have the one that is there longest leave in good order."""
        process = self.running.pop(0)
        process.terminate()
        self.leaving.append(process)

    def upgrade(self) -> None:
        """Have all of them replaced by the new release."""
        self.release = "new"
        for _ in list(self.running):
            self.start()
            self.dismiss()

    def replace_dead(self) -> None:
        for process in list(self.running):
            if process.poll() is not None:
                self.running.remove(process)
                self.start()

    def stop(self) -> None:
        for process in self.running + self.leaving:
            with suppress(ProcessLookupError):
                process.send_signal(signal.SIGCONT)
            process.kill()
            process.wait()


@dataclass
class Faults:
    """What can be done to a running system; each returns when it is over."""

    plan: Plan
    server: RedisServer
    actors: Actors
    chance: random.Random
    cutters: list[Cutter]

    async def kill_actor(self) -> None:
        self.chance.choice(self.actors.running).kill()
        await anyio.sleep(0.1)

    async def kill_at_step(self) -> None:
        """One that comes to a certain step dies there."""
        self.plan.death.write_text(self.chance.choice(_STEPS))
        with anyio.move_on_after(1.5):
            while self.plan.death.exists():
                await anyio.sleep(0.02)
        self.plan.death.unlink(missing_ok=True)

    async def upgrade_actor(self) -> None:
        """As in a rolling upgrade that is begun, taken back and begun again."""
        self.actors.release = self.chance.choice(("old", "new"))
        self.actors.start()
        self.actors.dismiss()
        await anyio.sleep(0.5)

    async def stop_actor(self) -> None:
        """As in a rolling restart: one leaves in good order, another comes."""
        self.chance.choice(self.actors.running).terminate()
        await anyio.sleep(0.3)

    async def crowd(self) -> None:
        """Members that come and go faster than their leases end."""
        for _ in range(4):
            self.actors.start()
            await anyio.sleep(LEASE_SECONDS / 2)
            self.actors.dismiss()

    async def freeze_actor(self) -> None:
        """Longer than its lease, so that another takes over; then it goes on where it was."""
        process = self.chance.choice(self.actors.running)
        process.send_signal(signal.SIGSTOP)
        await anyio.sleep(LEASE_SECONDS * self.chance.uniform(1.2, 3))
        process.send_signal(signal.SIGCONT)

    async def kill_redis(self) -> None:
        await anyio.to_thread.run_sync(self.server.kill)
        await anyio.sleep(self.chance.random() * 0.5)
        await anyio.to_thread.run_sync(self.server.start)

    async def flush_scripts(self) -> None:
        self._raw(lambda client: client.script_flush())

    async def drop_connections(self) -> None:
        self._raw(lambda client: client.client_kill_filter(_type="normal", skipme=True))

    async def cut_answers(self) -> None:
        for cutter in self.cutters:
            cutter.cut_after(self.chance.randrange(200, 20_000))
        await anyio.sleep(0.2)

    async def trouble_storage(self) -> None:
        self.plan.trouble.touch()
        await anyio.sleep(1.0)
        self.plan.trouble.unlink()

    async def lose_everything(self) -> None:
        self._raw(lambda client: client.flushall())

    async def trim_by_length(self) -> None:
        """A negative control: what others do to keep streams short."""
        for volume in self.plan.volumes:
            stream = keys.commands(VolumeName(volume))
            self._raw(lambda client, stream=stream: client.xtrim(stream, maxlen=1, approximate=False))
        await anyio.sleep(0.05)

    def _raw(self, act: Callable[[redis.Redis], object]) -> None:
        with suppress(redis.RedisError), redis.Redis(port=self.server.port, socket_timeout=2) as client:
            act(client)


async def run(binary: str, folder: Path, seed: int, options: Options) -> tuple[History, list[str]]:
    """Run, and judge; returns the history and what was violated."""
    chance = random.Random(seed)
    server = RedisServer(binary, folder)
    server.start()
    plan = Plan(server.url, str(folder), options.volumes, options.without, options.failing)
    for name in options.volumes:
        plan.root(name).mkdir(parents=True)
    actors = Actors(plan.save(), folder / "actors.log", "old" if options.upgrade else "new")
    history = History()
    try:
        await register(plan)
        for _ in range(options.actors):
            actors.start()
        left = await _run(plan, server, actors, chance, history, options)
    finally:
        await anyio.to_thread.run_sync(actors.stop)
        server.stop()
    found = violations(history, left, lossy=options.lossy)
    dump(folder / "history.txt", history, found)
    return history, found


async def _run(
    plan: Plan, server: RedisServer, actors: Actors, chance: random.Random, history: History, options: Options
) -> Left:
    stop, over = anyio.Event(), anyio.Event()
    async with anyio.create_task_group() as tasks, _cut(server.port, options.clients) as cutters:
        tasks.start_soon(follow, plan, history, over, random.Random(chance.random()))
        async with anyio.create_task_group() as senders:
            for number, cutter in enumerate(cutters):
                own = random.Random(chance.random())
                client = Client(number, plan, history, own, options.poison, options.fresh_ids, options.lossy)
                senders.start_soon(_send, client, cutter.port, stop)
            await _hurt(Faults(plan, server, actors, chance, cutters), history, options)
            stop.set()
        if options.upgrade:
            actors.upgrade()
        started = time.monotonic()
        async with open_streams_bus(plan.bus_settings(), "checker") as bus:
            await _accept_the_rest(bus, history)
            waiting = await _drain(bus, plan, actors, history, started, options.patience)
            if not options.lossy:  # what was lost would be done now, long after its turn
                await ask_again(bus, history)
            dead = await _dead(bus, plan)
            await _seen_all(bus, history)
        over.set()
    return look(plan, dead, waiting)


async def _send(client: Client, port: int, stop: anyio.Event) -> None:
    plan = client.plan
    settings = BusSettings.model_copy(
        plan.bus_settings(), update={"url": type(plan.bus_settings().url)(f"redis://127.0.0.1:{port}/0")}
    )
    while not stop.is_set():
        try:
            async with open_streams_bus(settings, f"client{client.number}.{client.chance.random()}") as bus:
                await client.run(bus, stop)
        except* BusBrokenError:
            await anyio.sleep(0.05)


async def _hurt(faults: Faults, history: History, options: Options) -> None:
    """Do faults, one after the other, until the time is over; dead actors come back all the while."""
    names, weights = list(options.faults), list(options.faults.values())
    until = time.monotonic() + options.seconds
    await anyio.sleep(1.5)
    while time.monotonic() < until:
        if names:
            name = faults.chance.choices(names, weights)[0]
            history.faults.append(name)
            await getattr(faults, name)()
        await anyio.sleep(faults.chance.uniform(0.05, 0.4))
        faults.actors.replace_dead()


async def _accept_the_rest(bus: Bus, history: History) -> None:
    """What senders do not know to be accepted they send again."""
    for sent in history.sent:
        if not sent.entry:
            sent.entry = (await bus.commands.publish(sent.command)).entry


async def _drain(bus: Bus, plan: Plan, actors: Actors, history: History, started: float, patience: float) -> int:
    waiting = 0
    with anyio.move_on_after(patience):
        while True:
            actors.replace_dead()
            lanes = [await bus.inspection.lane(VolumeName(name)) for name in plan.volumes]
            waiting = sum(lane.waiting for lane in lanes)
            if not waiting:
                history.drained_seconds = round(time.monotonic() - started, 2)
                return 0
            await anyio.sleep(0.05)
    for process in actors.running:
        process.send_signal(signal.SIGUSR1)
    await anyio.sleep(0.5)
    return waiting


async def _dead(bus: Bus, plan: Plan) -> Counter[object]:
    found: Counter[object] = Counter()
    for name in plan.volumes:
        found.update(letter.id for letter in await bus.dead_letters.page(VolumeName(name), limit=1000))
    return found


async def _seen_all(bus: Bus, history: History) -> None:
    """Wait until the follower is at the end of the events."""
    with anyio.move_on_after(10):
        while True:
            newest = await bus.history.events(None, after=await _before_last(bus), limit=1)
            if not newest or newest[0].id in history.events:
                return
            await anyio.sleep(0.1)


async def _before_last(bus: Bus) -> object:
    from bus.contract import Position

    position = Position("0")
    while page := await bus.history.events(None, after=position, limit=500):
        if len(page) == 1:
            return position
        position = page[-2].position
    return position


@asynccontextmanager
async def _cut(port: int, count: int) -> AsyncIterator[list[Cutter]]:
    """A proxy for each client."""
    with _cutters(port, count) as cutters:
        yield cutters


@contextmanager
def _cutters(port: int, count: int) -> Iterator[list[Cutter]]:
    cutters = [Cutter(port) for _ in range(count)]
    threads = [Thread(target=cutter.run, daemon=True) for cutter in cutters]
    for thread in threads:
        thread.start()
    try:
        yield cutters
    finally:
        for cutter in cutters:
            cutter.close()
