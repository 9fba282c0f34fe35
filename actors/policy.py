"""What becomes of a command: effect, refusal, another try, or set aside.

Business failure   the command makes no sense for the volume as it is: answered, never repeated.
For the moment     the storage does not answer or fails: repeated with growing pauses until it works or the tries
                   are used up. Where Redis is away it is not the command's fault: it is repeated until that is
                   back, the deadline is past, or somebody else has the volume.
Too late           the deadline is past before anybody can have begun it: answered. What may have been begun is
                   brought to its end.
Never              bytes nobody can read, a handler that fails by a defect: set aside with the reason.
Unknown here       a type or version of a later release: left for a member that knows it.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from typing import Final

import anyio
from loguru import logger

from actors.handlers.effect import Effect, Ground
from actors.handlers.table import HANDLERS, Handler
from actors.journal import Journal
from actors.observer import ActorObserver
from actors.settings import ActorSettings
from backends.contract import Operation
from bus.contract import Clock, Delivery, Lane, Outcome, Verdict
from domain.envelope import Envelope, Failure, Reply
from domain.errors import (
    BackendUnavailableError,
    DeadlineExceededError,
    ErrorCode,
    FencedError,
    InternalError,
    PenstockError,
    Retry,
    Subject,
)
from domain.messages import Command, Event

#: Errors a repetition may get past.
_FOR_THE_MOMENT: Final = frozenset({ErrorCode.BACKEND_UNAVAILABLE, ErrorCode.BACKEND_FAULT, ErrorCode.BUSY})
#: A reason to refuse what has not begun. After a try that may have taken effect, they say nothing about that.
_NO_ROOM: Final = frozenset({ErrorCode.STORAGE_FULL, ErrorCode.QUOTA_EXCEEDED})


@dataclass(frozen=True, slots=True)
class Policy:
    """Runs commands of one volume to their outcome."""

    ground: Ground
    lane: Lane
    clock: Clock
    settings: ActorSettings
    observer: ActorObserver
    journal: Journal

    def dead(self, delivery: Delivery, reason: str) -> Outcome:
        """The outcome of something nobody can read."""
        failure = Failure(ErrorCode.MALFORMED_EVENT, Retry.NEVER, reason, Subject.COMMAND)
        return Outcome(delivery, self._set_aside(delivery), Reply(delivery.id, failure), reason=reason)

    def deadly(self, delivery: Delivery, envelope: Envelope, command: Command, deaths: int) -> Outcome:
        """The outcome of a command that so many owners in a row died over."""
        error = InternalError(f"{deaths} owners in a row died while they ran it", subject=Subject.COMMAND)
        return replace(self._refused(delivery, envelope, command, error), attempts=deaths)

    def parked(self, delivery: Delivery) -> Outcome:
        """The outcome of a command that waits behind a dead letter of its key."""
        return Outcome(delivery, Verdict.PARKED, Reply(delivery.id))

    def _set_aside(self, delivery: Delivery) -> Verdict:
        kind = delivery.envelope.type if delivery.envelope else ""
        return Verdict.QUARANTINED if kind in self.settings.quarantine else Verdict.DEAD

    async def settle(self, delivery: Delivery, envelope: Envelope, command: Command) -> Outcome:
        """Run a command until its outcome is certain.

        Raises:
            FencedError: the volume went to another owner; the outcome is theirs to find.
        """
        before = self.journal.recall(delivery)
        if before is not None:
            return before
        handler = HANDLERS[type(command)]
        started = self.clock.now()
        try:
            effect = await self._repeat(handler, envelope, command, again=delivery.again)
        except FencedError:
            raise
        except PenstockError as error:
            await self._check_ownership()
            outcome = self._refused(delivery, envelope, command, error)
        except Exception:  # noqa: BLE001  a defect of one handler must not stop the volume
            logger.exception("{} failed by a defect", envelope.type)
            defect = InternalError("an internal error; the actor's log has the details")
            outcome = self._refused(delivery, envelope, command, defect)
        else:
            outcome = self._done(delivery, envelope, effect)
        failure = outcome.reply.failure
        self.observer.handled(
            self.ground.volume.name, envelope.type, self.clock.now() - started, failure.code if failure else ""
        )
        return outcome

    async def _check_ownership(self) -> None:
        """See that what was met was not left by a later owner, who may be doing this very command.

        An effect of a stale owner fails by itself, a refusal does not.

        Raises:
            FencedError: the volume went to another owner.
        """
        try:
            present = await self.ground.volume.epoch()
        except PenstockError:
            return  # what the storage cannot tell now is no reason to keep silent about it
        if present != self.lane.epoch:
            raise FencedError(f"the volume is at epoch {present}, not {self.lane.epoch}")

    async def _repeat(self, handler: Handler, envelope: Envelope, command: Command, *, again: bool) -> Effect:
        op = Operation(envelope.id, self.lane.epoch)
        attempt, in_doubt = 1, False
        while True:
            if not again and attempt == 1:  # what may have been done is not refused for being late
                self._check_deadline(envelope)
            await self.lane.confirm()
            try:
                return await self._try(handler, command, op)
            except PenstockError as error:
                counts = error.code is not ErrorCode.BUS_BROKEN
                passing = error.code in _FOR_THE_MOMENT or (attempt > 1 and error.code in _NO_ROOM)
                # A try that was given up may have taken effect just now, and be what is in the way; then the next
                # one finds that out.
                in_doubt = not passing and attempt > 1 and not in_doubt
                if counts and not in_doubt and (not passing or attempt >= self.settings.attempts):
                    raise
                self.observer.retried(self.ground.volume.name, envelope.type)
                logger.warning("{} on {}, try {}: {}", envelope.type, envelope.key, attempt, error)
                pause = self._pause(attempt, error)
            await anyio.sleep(pause)
            attempt += counts

    async def _try(self, handler: Handler, command: Command, op: Operation) -> Effect:
        try:
            with anyio.move_on_after(self.settings.handler_seconds):
                return await handler.handle(command, op, self.ground)
        except MemoryError as error:
            # Who took it may be another command.
            raise BackendUnavailableError("there is no memory for it just now", subject=Subject.VOLUME) from error
        raise BackendUnavailableError(
            f"the storage did not finish within {self.settings.handler_seconds:g} s", subject=Subject.VOLUME
        )

    def _pause(self, attempt: int, error: PenstockError) -> float:
        """Anything up to a limit that doubles (full jitter), lest many that failed together return together.

        Where the storage says when to come back, not before that.
        """
        limit = min(self.settings.backoff_limit_seconds, self.settings.backoff_seconds * 2 ** (attempt - 1))
        told = error.facts.get("retry_after_seconds", 0.0)
        least = min(float(told), self.settings.backoff_limit_seconds) if isinstance(told, (int, float)) else 0.0
        return least + random.uniform(0, limit)  # noqa: S311  spreading load, not secrecy

    def _check_deadline(self, envelope: Envelope) -> None:
        if envelope.deadline is not None and self.clock.now() > envelope.deadline:
            raise DeadlineExceededError(
                "the deadline was past before the command took effect", subject=Subject.COMMAND
            )

    def _done(self, delivery: Delivery, envelope: Envelope, effect: Effect) -> Outcome:
        return Outcome(
            delivery, Verdict.DONE, Reply(envelope.id, result=effect.result), self._wrap(envelope, *effect.events)
        )

    def _refused(self, delivery: Delivery, envelope: Envelope, command: Command, error: PenstockError) -> Outcome:
        failed = HANDLERS[type(command)].failed
        event = failed(
            **failed.of(command),
            volume=self.ground.volume.name,
            subject=command.key,
            code=error.code,
            retry=error.retry,
            detail=error.message,
        )
        failure = Failure(error.code, error.retry, error.message, error.subject)
        attempts, reason = 1, ""
        if error.code in _FOR_THE_MOMENT:
            attempts, reason = self.settings.attempts, f"{self.settings.attempts} tries failed: {error.message}"
        elif error.code is ErrorCode.INTERNAL:
            reason = error.message
        verdict = self._set_aside(delivery) if reason else Verdict.DONE
        reply, events = Reply(envelope.id, failure), self._wrap(envelope, event)
        return Outcome(delivery, verdict, reply, events, reason=reason, attempts=attempts)

    def _wrap(self, envelope: Envelope, *events: Event) -> list[Envelope]:
        now = self.clock.now()
        return [envelope.caused(event, number, now) for number, event in enumerate(events)]
