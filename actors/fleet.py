"""The actors of one process: joins the members, owns its share of the volumes, hands them over."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from uuid import NAMESPACE_URL, uuid5

import anyio
from anyio.abc import TaskGroup
from loguru import logger

from actors.assignment import assign
from actors.counting import scope_usage
from actors.handlers.effect import Ground
from actors.janitor import Janitor
from actors.jobs.contract import JobQueue
from actors.journal import Journal
from actors.observer import ActorObserver
from actors.policy import Policy
from actors.rounds import Rounds
from actors.settings import ActorSettings
from actors.told_before import ToldBefore
from actors.trimmer import Trimmer
from actors.volume_actor import Listeners, Pace, Unknown, VolumeActor
from actors.warden import Warden
from backends.contract import Volume
from backends.powers import outboxes
from bus.contract import Bus, Lane, Member
from bus.relay import Relay
from bus.settings import BusSettings
from domain.envelope import Origin, wrap_event
from domain.errors import BusError, PenstockError
from domain.events import VolumeReleased, VolumeTaken
from domain.ids import VolumeName
from domain.registry import VOCABULARY, Vocabulary
from domain.spans import NoSpans, Spans


@dataclass(frozen=True, slots=True)
class Fleet:
    """Everything the actors of a process need."""

    bus: Bus
    bus_settings: BusSettings
    volumes: Mapping[VolumeName, Volume]
    jobs: JobQueue
    settings: ActorSettings
    observer: ActorObserver
    vocabulary: Vocabulary = VOCABULARY
    spans: Spans = field(default_factory=NoSpans)
    solo: anyio.Lock = field(default_factory=anyio.Lock)
    #: Volumes on which a command came that is not known here, and which one that was.
    unknown: dict[VolumeName, Unknown] = field(default_factory=dict)

    async def run(self, stop: anyio.Event) -> None:
        """Own volumes until `stop` is set; then hand all of them over."""
        stops: dict[VolumeName, anyio.Event] = {}
        async with anyio.create_task_group() as actors:
            async with self.bus.members.join(frozenset(self.volumes), self.vocabulary.knows()):
                while not stop.is_set():
                    await self._share(stops, actors)
                    await self._wait(stop)
            for event in stops.values():
                event.set()

    async def _share(self, stops: dict[VolumeName, anyio.Event], actors: TaskGroup) -> None:
        """Start and stop actors so that this process owns what the assignment gives it."""
        try:
            members = await self.bus.members.view()
        except BusError as error:
            logger.debug("looking at the members: {}", error)
            return
        self.bus.members.outgrow(self._outgrown(members))
        owners = assign(self.volumes, members)
        mine = {volume for volume, node in owners.items() if node == self.bus.node}
        for volume in stops.keys() - mine:
            stops.pop(volume).set()
        for volume in mine - stops.keys():
            stops[volume] = anyio.Event()
            actors.start_soon(self._own, self.volumes[volume], stops[volume])

    def _outgrown(self, members: Sequence[Member]) -> frozenset[VolumeName]:
        """Volumes that wait for a command only another member knows; without such a member they stay here."""
        return frozenset(
            met.volume for met in self.unknown.values() if any(_can_do(member, met) for member in members)
        )

    def _met(self, unknown: Unknown) -> None:
        self.unknown[unknown.volume] = unknown

    async def _wait(self, stop: anyio.Event) -> None:
        async with anyio.create_task_group() as waiting:

            async def until_stop() -> None:
                await stop.wait()
                waiting.cancel_scope.cancel()

            waiting.start_soon(until_stop)
            await self.bus.members.wait_change(self.bus_settings.lease_seconds / 4)
            waiting.cancel_scope.cancel()

    async def _own(self, volume: Volume, stop: anyio.Event) -> None:
        """Take the volume's lane whenever it is free, and act on it, until `stop` is set."""
        while not stop.is_set():
            try:
                if await self._own_once(volume, stop):
                    continue
            except BusError as error:
                logger.debug("acquiring {}: {}", volume.name, error)
            except PenstockError as error:
                logger.warning("volume {} cannot be taken over: {}", volume.name, error)
            except Exception:  # noqa: BLE001  a defect on one volume must not stop the others
                logger.exception("the actor of {} failed and starts again", volume.name)
            await self._wait(stop)

    async def _own_once(self, volume: Volume, stop: anyio.Event) -> bool:
        """Act on the volume if its lane is free; False if it is not."""
        # What Redis has forgotten, the volume remembers: no epoch is given out twice.
        lane = await self.bus.lanes.acquire(volume.name, min_epoch=await volume.epoch())
        if lane is None:
            return False
        try:
            await volume.take_over(lane.epoch)
            await self._act(volume, lane, stop)
        finally:
            await self._release(lane)
        return True

    async def _act(self, volume: Volume, lane: Lane, stop: anyio.Event) -> None:
        logger.info("own volume {} in epoch {}", volume.name, lane.epoch)
        self.observer.owns(volume.name, owned=True)
        janitor = Janitor(volume, self.jobs, self.bus, self.settings)
        outbox = outboxes({volume.name: volume}).get(volume.name)
        relay = None if outbox is None else Relay(volume.name, outbox, self.bus.outboxes)
        told_before = ToldBefore(relay, lane)
        # What Redis has lost of both came in this order.
        await told_before.settle()
        journal = Journal(volume, lane, self.bus.clock, self.bus_settings.remember_seconds, self.observer)
        await journal.reconcile()
        await self._tell(VolumeTaken(volume=volume.name, owner=self.bus.node, epoch=lane.epoch))
        usage = scope_usage(volume, self.bus, self.settings.usage_max_age_seconds, told_before.settle)
        ground = Ground(volume, usage, self.bus.catalogue)
        policy = Policy(ground, lane, self.bus.clock, self.settings, self.observer, journal)
        pace = Pace(self.settings.parallel, self.bus_settings.batch, self.settings.drain_seconds, self.solo)
        listeners = Listeners(janitor.committed, self._met)
        actor = VolumeActor(policy, pace, self.vocabulary, listeners, self.spans, told_before)
        try:
            async with anyio.create_task_group() as beside:
                if relay is not None:
                    beside.start_soon(relay.run)
                beside.start_soon(janitor.run)
                beside.start_soon(Warden(volume, self.bus, self.settings, told_before.settle).run)
                beside.start_soon(Rounds(volume, self.bus, self.settings).run)
                beside.start_soon(Trimmer(self.bus, volume.name, self.settings, self.observer).run)
                kept = await actor.run(stop)
                beside.cancel_scope.cancel()
            if kept:
                await self._tell(VolumeReleased(volume=volume.name, owner=self.bus.node, epoch=lane.epoch))
            else:
                logger.warning("volume {} went to another owner", volume.name)
        finally:
            self.observer.owns(volume.name, owned=False)

    async def _tell(self, event: VolumeTaken | VolumeReleased) -> None:
        """Publish who owns a volume; by an id that is always the same for an epoch."""
        id_ = uuid5(NAMESPACE_URL, f"penstock:{event.type}:{event.volume}:{event.epoch}")
        envelope = wrap_event(event, id=id_, time=self.bus.clock.now(), origin=Origin(actor=self.bus.node))
        try:
            await self.bus.events.publish(envelope)
        except BusError as error:
            logger.warning("telling {} of {}: {}", event.type, event.volume, error)

    async def _release(self, lane: Lane) -> None:
        with anyio.move_on_after(self.bus_settings.command_timeout_seconds, shield=True):
            try:
                await lane.release()
            except BusError as error:
                logger.debug("releasing {}: {}", lane.volume, error)


def _can_do(member: Member, met: Unknown) -> bool:
    return met.volume in member.volumes and member.knows.get(met.type, 0) >= met.version
