"""What can be done to a running system; each returns when it is over."""

from __future__ import annotations

import random
import signal
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager, suppress
from dataclasses import dataclass, replace

import anyio
import redis
from harness.cutter import ANSWERED, ASKED, BOTH, Cutter
from harness.fault.actors import Actors
from harness.fault.plan import LEASE_SECONDS, Plan
from harness.fault.servers import Servers
from harness.fault.words import History

from bus.contract import Bus, DeadLetter
from bus.streams import keys, open_streams_bus
from domain.ids import VolumeName

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
_HOUR = 3600.0
#: How long it may take until so many wait that somebody is refused.
_CLOGGED_SECONDS = 20.0
#: Farthest a server's clock is from the true time: what was answered is kept for twice this.
_FARTHEST_SECONDS = 1500.0


@dataclass
class Faults:
    """Of one run."""

    plan: Plan
    servers: Servers
    actors: Actors
    chance: random.Random
    #: The ways of those who send.
    cutters: Sequence[Cutter]
    history: History

    async def kill_actor(self) -> None:
        self.actors.any().process.kill()
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
        self.actors.any().process.terminate()
        await anyio.sleep(0.3)

    async def crowd(self) -> None:
        """Members that come and go faster than their leases end."""
        for _ in range(4):
            self.actors.start()
            await anyio.sleep(LEASE_SECONDS / 2)
            self.actors.dismiss()

    async def freeze_actor(self) -> None:
        """Longer than its lease, so that another takes over; then it goes on where it was."""
        process = self.actors.any().process
        process.send_signal(signal.SIGSTOP)
        await self._past_a_lease()
        process.send_signal(signal.SIGCONT)

    async def part_actor(self) -> None:
        """Between an actor and Redis nothing passes, in one direction or in both; later all that waited arrives."""
        way = self.actors.any().way
        way.hold(*self.chance.choice([(ASKED,), (ANSWERED,), BOTH]))
        await self._past_a_lease()
        way.hold()

    async def hang_volumes(self) -> None:
        """No volume answers one of the actors; then all it asked for is done after all."""
        self.plan.hung.write_text(self.actors.any().name)
        await self._past_a_lease()
        self.plan.hung.unlink()

    async def cut_off_actor(self) -> None:
        """Neither Redis nor a volume answers an actor; what it asked of both arrives when others have gone on."""
        one = self.actors.any()
        self.plan.hung.write_text(one.name)
        await anyio.sleep(0.3)  # much is begun meanwhile
        one.way.hold(*BOTH)
        await self._past_a_lease()
        self.plan.hung.unlink()
        one.way.hold()

    async def slow_volumes(self) -> None:
        self._slow_down(0.03)
        await anyio.sleep(1.0)
        self.plan.slow.unlink()

    async def clogged_volumes(self) -> None:
        """So slow, and for so long, that somebody is refused."""
        before = self.history.busy
        self._slow_down(0.1)
        with anyio.move_on_after(_CLOGGED_SECONDS):
            while self.history.busy == before:
                await anyio.sleep(0.1)
        await anyio.sleep(1.0)
        self.plan.slow.unlink()

    def _slow_down(self, seconds: float) -> None:
        written = self.plan.slow.with_suffix(".new")
        written.write_text(str(seconds))
        written.rename(self.plan.slow)

    async def step_actor(self) -> None:
        """The wall clock of a node is set by an hour."""
        self.plan.offset(self.actors.any().name).write_text(str(self.chance.choice((-_HOUR, _HOUR))))

    async def step_redis(self) -> None:
        clock = self.servers.clock
        clock.step(self.chance.uniform(-_FARTHEST_SECONDS, _FARTHEST_SECONDS) - clock.offset)

    async def step_redis_back(self) -> None:
        self.servers.clock.step(-_FARTHEST_SECONDS)
        self.actors.any().process.kill()  # before its next heartbeat, most often

    async def kill_redis(self) -> None:
        server = self.servers.first
        await anyio.to_thread.run_sync(server.kill)
        await anyio.sleep(self.chance.random() * 0.5)
        await anyio.to_thread.run_sync(server.start)

    async def split_brain(self) -> None:
        """A replica is made primary while the primary lives; half of all go to either, until one is gone."""
        mine, other = self.servers.split()
        self.servers.front.lead_to(other)
        for one in [*(actor.way for actor in self.actors.running), *self.cutters]:
            one.lead_to(self.chance.choice((mine, other)))
        self.actors.ports = (mine, other)
        await anyio.sleep(LEASE_SECONDS * self.chance.uniform(2, 5))
        await anyio.to_thread.run_sync(self.servers.heal)
        self.actors.lead_to([other])
        for cutter in self.cutters:
            cutter.lead_to(other)

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

    async def redrive(self) -> None:
        """An operator has found out what ailed commands, and has them tried again, while their keys are in use."""
        await self.redrive_all()
        await anyio.sleep(0.3)

    async def redrive_all(self) -> None:
        """Have everything that was set aside tried again."""
        async with self._operator() as bus:
            for letter in await self._cured(bus):
                self.history.redriven.add(letter.id)
                await bus.dead_letters.redrive(letter)

    async def lose_everything(self) -> None:
        self._raw(lambda client: client.flushall())

    async def lose_lanes(self) -> None:
        """All that is known of the lanes but their streams."""
        for volume in self.plan.volumes:
            self._raw(lambda client, volume=volume: client.delete(keys.lane(VolumeName(volume))))

    async def truncate_log(self) -> None:
        """The server's machine loses power, and what came last was on no disk."""
        server = self.servers.first
        await anyio.to_thread.run_sync(server.kill)
        await anyio.to_thread.run_sync(lambda: server.truncate(self.chance.randrange(1, 20_000)))
        await anyio.to_thread.run_sync(server.start)

    async def trim_by_length(self) -> None:
        """A negative control: what others do to keep streams short."""
        self._trim([keys.commands(VolumeName(volume)) for volume in self.plan.volumes])
        await anyio.sleep(0.05)

    async def trim_events_by_length(self) -> None:
        """A negative control: the same with events, whoever still has to read them."""
        self._trim([keys.BROADCAST])
        await anyio.sleep(0.05)

    async def publish_letters_again(self) -> None:
        """A negative control: what operators do where nobody redrives for them."""
        async with self._operator() as bus:
            for letter in await self._cured(bus):
                assert letter.envelope is not None
                anew = replace(letter.envelope, id=bus.clock.new_id(), reply_to="", deadline=None)
                await bus.commands.publish(anew)
        await anyio.sleep(0.3)

    def _operator(self) -> AbstractAsyncContextManager[Bus]:
        return open_streams_bus(self.plan.patient_settings(), f"operator{self.chance.random()}")

    async def _cured(self, bus: Bus) -> list[DeadLetter]:
        """Everything that was set aside, when what ailed it has been found."""
        pages = [await bus.dead_letters.page(VolumeName(name), limit=1000) for name in self.plan.volumes]
        found = [letter for page in pages for letter in page]
        with self.plan.cured.open("a") as file:
            for letter in found:
                if letter.envelope is not None:
                    file.write(f"{letter.envelope.key} {letter.envelope.body['limit_bytes']}\n")
        return found

    async def _past_a_lease(self) -> None:
        await anyio.sleep(LEASE_SECONDS * self.chance.uniform(1.2, 3))

    def _trim(self, streams: Sequence[str]) -> None:
        for stream in streams:
            self._raw(lambda client, stream=stream: client.xtrim(stream, maxlen=1, approximate=False))

    def _raw(self, act: Callable[[redis.Redis], object]) -> None:
        port = self.servers.first.port
        with suppress(redis.RedisError), redis.Redis(port=port, socket_timeout=2) as client:
            act(client)
