"""The loop of one volume: receive, schedule, settle, commit."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace

import anyio
from anyio.abc import TaskGroup
from loguru import logger

from actors.caution import Caution
from actors.outcomes import Outcomes
from actors.policy import Policy
from actors.quarantine import Quarantine
from actors.schedule import Item, Schedule
from actors.told_before import ToldBefore
from bus.contract import Delivery, Outcome
from domain.envelope import Envelope
from domain.errors import FencedError, MalformedEventError, UnsupportedError
from domain.ids import VolumeName
from domain.messages import Command
from domain.registry import Vocabulary
from domain.spans import Attributes, Spans


@dataclass(frozen=True, slots=True)
class Work:
    """A command to run."""

    delivery: Delivery
    envelope: Envelope
    #: None: its body is nonsense, see `fault`.
    command: Command | None
    fault: str = ""


@dataclass(frozen=True, slots=True)
class Pace:
    """How much an actor does at once."""

    parallel: int
    #: Outcomes committed in one step.
    batch: int
    #: How long running commands may take to end when the actor stops, in seconds.
    drain_seconds: float
    #: Held while a command runs that may kill this process; shared by all its actors.
    solo: anyio.Lock = field(default_factory=anyio.Lock)


@dataclass(frozen=True, slots=True)
class Unknown:
    """A command of a type or version that is not known here."""

    volume: VolumeName
    type: str
    version: int


@dataclass(frozen=True, slots=True)
class Listeners:
    """Who is told what an actor does; each must return at once."""

    committed: Callable[[Sequence[Outcome]], None]
    unknown: Callable[[Unknown], None]


class VolumeActor:
    """Handles the commands of one volume while its lane is ours."""

    def __init__(
        self,
        policy: Policy,
        pace: Pace,
        vocabulary: Vocabulary,
        listeners: Listeners,
        spans: Spans,
        told_before: ToldBefore,
    ) -> None:
        self._policy = policy
        self._told_before = told_before
        self._lane = policy.lane
        self._pace = pace
        self._vocabulary = vocabulary
        self._listeners = listeners
        self._spans = spans
        self._caution = Caution(self._lane, policy.settings.crash_limit, pace.solo)
        self._quarantine = Quarantine(self._lane)
        self._schedule: Schedule[Work] = Schedule(pace.parallel)
        self._outcomes = Outcomes()
        #: What has ended and is not settled, by its entry.
        self._ended: dict[str, Item[Work]] = {}
        self._workers: TaskGroup | None = None
        self._lost = False

    async def run(self, stop: anyio.Event) -> bool:
        """Handle commands until `stop` is set; then let running ones end, and commit them.

        Returns False if the volume went to another owner before that.
        """
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._guarded, tasks, self._commit_all)
            tasks.start_soon(self._guarded, tasks, lambda: self._handle_all(stop))
        return not self._lost

    async def _guarded(self, tasks: TaskGroup, part: Callable[[], Awaitable[None]]) -> None:
        try:
            await part()
        except* FencedError:
            self._lost = True
            tasks.cancel_scope.cancel()

    async def _handle_all(self, stop: anyio.Event) -> None:
        try:
            async with anyio.create_task_group() as self._workers:
                await self._quarantine.load()
                await self._receive(stop)
                self._schedule.drop_waiting()
                self._workers.cancel_scope.deadline = anyio.current_time() + self._pace.drain_seconds
        finally:
            self._workers = None
            self._outcomes.close()

    async def _receive(self, stop: anyio.Event) -> None:
        async with anyio.create_task_group() as receiving:
            receiving.start_soon(_cancel_on, stop, receiving)
            while True:
                for delivery in await self._lane.receive():
                    self._take(delivery)
                self._start()

    def _take(self, delivery: Delivery) -> None:
        envelope = delivery.envelope
        if envelope is None:
            self._outcomes.put(self._set_aside(self._policy.dead(delivery, delivery.fault)))
            return
        try:
            command = self._vocabulary.open_command(envelope)
        except MalformedEventError as error:
            # In its turn: what came before it for the same folder is not held up by it.
            work = Work(delivery, envelope, None, error.message)
            self._schedule.add(Item(envelope.key, exclusive=False, value=work))
        except UnsupportedError as error:
            # Neither answered nor set aside: a member of a later release will take it, and what follows it.
            self._policy.observer.held(self._lane.volume, envelope.type)
            logger.error("command {} on {} is left waiting: {}", delivery.entry, self._lane.volume, error)
            self._schedule.add(Item(envelope.key, exclusive=False, value=None))
            self._listeners.unknown(Unknown(self._lane.volume, envelope.type, envelope.schema_version))
        else:
            alone = command.exclusive or self._caution.suspects(delivery)
            self._schedule.add(Item(envelope.key, alone, Work(delivery, envelope, command)))

    def _set_aside(self, outcome: Outcome) -> Outcome:
        """Log what nobody will handle any more."""
        logger.error("command {} on {} is set aside: {}", outcome.delivery.entry, self._lane.volume, outcome.reason)
        return outcome

    def _start(self) -> None:
        for item in self._schedule.start():
            if item.value is not None and self._workers is not None:
                self._workers.start_soon(self._work, item, item.value)

    async def _work(self, item: Item[Work], work: Work) -> None:
        envelope = work.envelope
        with logger.contextualize(
            operation=envelope.type,
            backend=self._policy.ground.volume.backend,
            vfolder_id=envelope.key,
            traceparent=envelope.origin.trace.parent,
        ):
            outcome = await self._outcome(work)
        await self._caution.after(work.delivery)
        self._schedule.end(item)
        self._ended[work.delivery.entry] = item
        self._outcomes.put(outcome)
        self._start()

    async def _outcome(self, work: Work) -> Outcome:
        delivery = work.delivery
        if await self._quarantine.holds(delivery):
            return self._policy.parked(delivery)
        if work.command is None:
            return self._set_aside(self._policy.dead(delivery, work.fault))
        if deaths := self._caution.deaths(delivery):
            return self._set_aside(self._policy.deadly(delivery, work.envelope, work.command, deaths))
        async with self._caution.alone(delivery):
            await self._caution.before(delivery)
            return await self._traced(delivery, work.envelope, work.command)

    async def _traced(self, delivery: Delivery, envelope: Envelope, command: Command) -> Outcome:
        told: Attributes = {"penstock.volume": str(self._lane.volume), "penstock.epoch": self._lane.epoch}
        with self._spans.handling(envelope.type, envelope.origin.trace, told) as trace:
            traced = replace(envelope, origin=replace(envelope.origin, trace=trace))
            return await self._policy.settle(delivery, traced, command)

    async def _commit_all(self) -> None:
        while batch := await self._outcomes.take(self._pace.batch):
            self._settled(await self._policy.journal.write(batch))
            await self._told_before.settle()
            await self._lane.commit(batch)
            self._quarantine.committed(batch)
            self._settled(batch)
            self._listeners.committed(batch)

    def _settled(self, outcomes: Sequence[Outcome]) -> None:
        """Have what waits behind these start, now that no later owner does them again."""
        ended = [self._ended.pop(outcome.delivery.entry, None) for outcome in outcomes]
        settled = [item for item in ended if item is not None]
        for item in settled:
            self._schedule.settle(item)
        if settled:
            self._start()


async def _cancel_on(stop: anyio.Event, group: TaskGroup) -> None:
    await stop.wait()
    group.cancel_scope.cancel()
