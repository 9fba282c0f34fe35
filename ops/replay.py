"""`penstock replay`: what was, once more: to look at, to compare, to copy, or to execute."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, Literal
from uuid import UUID

import anyio

from backends.contract import Volume
from bus.contract import Bus, Position, Stored
from bus.filters import Filter
from domain.envelope import Envelope, Flag
from domain.errors import BusBrokenError, BusyError, DeadlineExceededError, InvalidRequestError, PenstockError
from domain.ids import VolumeName, uuid7
from domain.registry import open_command
from ops.archive.archive import Archive
from ops.probe import difference

_PAGE: Final = 500
_REQUEST_SECONDS: Final = 60.0
#: Pause after a full queue where it says none, in seconds.
_BUSY_SECONDS: Final = 1.0

Row = dict[str, Any]
What = Literal["commands", "events"]


@dataclass(frozen=True, slots=True)
class Range:
    """Which messages, and where from."""

    what: What
    wanted: Filter
    volumes: Sequence[VolumeName]
    #: Only this message.
    id: UUID | None = None
    #: An archive instead of the streams.
    archive: Path | None = None

    def takes(self, stored: Stored) -> bool:
        """Whether a message is in the range. What nobody can read is, unless something of it is asked for."""
        if self.id is not None and stored.id != self.id:
            return False
        return self.wanted.matches(stored.envelope) if stored.envelope else self.wanted == Filter()


async def messages(bus: Bus, chosen: Range) -> AsyncIterator[Stored]:
    """Messages of a range: commands volume by volume, each oldest first; events in the order of the broadcast."""
    if chosen.archive is not None:
        async for stored in _archived(Archive(chosen.archive), chosen):
            yield stored
        return
    volumes: Sequence[VolumeName | None] = [None] if chosen.what == "events" else chosen.volumes
    for volume in volumes:
        async for stored in _streamed(bus, volume):
            if chosen.takes(stored):
                yield stored


async def _streamed(bus: Bus, volume: VolumeName | None) -> AsyncIterator[Stored]:
    position = Position("0")
    while True:
        if volume is None:
            page = await bus.history.events(None, after=position, limit=_PAGE)
        else:
            page = await bus.history.commands(volume, after=position, limit=_PAGE)
        for stored in page:
            yield stored
        if not page:
            return
        position = page[-1].position


async def _archived(archive: Archive, chosen: Range) -> AsyncIterator[Stored]:
    read = archive.read_events if chosen.what == "events" else archive.read_commands
    found: Iterator[Stored] = read(chosen.wanted)
    while page := await anyio.to_thread.run_sync(_some, found):
        for stored in page:
            if chosen.takes(stored):
                yield stored


def _some(found: Iterator[Stored]) -> list[Stored]:
    return [stored for _, stored in zip(range(_PAGE), found, strict=False)]


def row(stored: Stored) -> Row:
    """A message as it is printed."""
    envelope = stored.envelope
    if envelope is None:
        return {
            "position": stored.position.entry,
            "id": str(stored.id),
            "type": "?",
            "bytes": stored.original.hex(),
        }
    return {"position": stored.position.entry, **told(envelope)}


def told(envelope: Envelope) -> Row:
    """An envelope as it is printed."""
    return {
        "time": envelope.time,
        "id": str(envelope.id),
        "type": envelope.type,
        "volume": str(envelope.volume),
        "key": envelope.key,
        "body": dict(envelope.body),
    }


async def printed(bus: Bus, chosen: Range) -> AsyncIterator[Row]:
    """Messages to look at."""
    async for stored in messages(bus, chosen):
        yield row(stored)


async def differences(bus: Bus, chosen: Range, volumes: Mapping[VolumeName, Volume]) -> AsyncIterator[Row]:
    """What executing each command again would change now. Changes nothing."""
    async for stored in messages(bus, chosen):
        found = row(stored)
        found.pop("body", None)
        found["difference"] = await _difference(stored, volumes)
        yield found


async def _difference(stored: Stored, volumes: Mapping[VolumeName, Volume]) -> str:
    if stored.envelope is None:
        return "nobody can read it"
    volume = volumes.get(stored.envelope.volume)
    if volume is None:
        return f"volume {stored.envelope.volume} is not configured here"
    try:
        return await difference(volume, open_command(stored.envelope))
    except PenstockError as error:
        return f"cannot tell: {error.message}"


async def copy(bus: Bus, chosen: Range, run: str) -> AsyncIterator[Row]:
    """Copy messages to the scratch stream `rpl:<run>`."""
    async for stored in messages(bus, chosen):
        await bus.history.copy(run, stored)
        yield row(stored)


class Execution:
    """Executes commands again, each once per run, however often the run is started.

    Args:
        run: name of the run: what was executed under it is not executed under it again.
        rate: most commands a second; 0: as fast as they are answered.
    """

    def __init__(self, bus: Bus, run: str, rate: float) -> None:
        self._bus = bus
        self._run = run
        self._pause = 1 / rate if rate else 0.0

    async def all(self, chosen: Range) -> AsyncIterator[Row]:
        """Execute a range, one after the other in the order of their stream.

        What a replay published is left out: it would be executed by every later run, and by this one for ever.
        """
        if chosen.what != "commands":
            raise InvalidRequestError("only commands can be executed; events can be printed or copied")
        started = self._bus.clock.now()
        async for stored in messages(self._bus, chosen):
            if stored.time > started or (stored.envelope and Flag.REPLAY in stored.envelope.flags):
                continue
            found = row(stored)
            found["answer"] = await self._one(stored.envelope)
            yield found
            await anyio.sleep(self._pause)

    async def _one(self, envelope: Envelope | None) -> str:
        if envelope is None:
            return "skipped: nobody can read it"
        again = replace(
            envelope,
            id=run_id(envelope.id, self._run),
            time=self._bus.clock.now(),
            deadline=None,
            origin=replace(envelope.origin, cause=envelope.id),
            flags=envelope.flags | Flag.REPLAY,
        )
        while True:
            try:
                reply = await self._bus.commands.request(again, timeout_seconds=_REQUEST_SECONDS)
            except BusyError as error:
                pause = error.facts.get("retry_after_seconds", _BUSY_SECONDS)
                await anyio.sleep(float(str(pause)))
            except (BusBrokenError, DeadlineExceededError) as error:
                return f"unknown: {error.message}; start the run again"
            except PenstockError as error:
                return f"done before: {error.message}"
            else:
                return "ok" if reply.failure is None else f"{reply.failure.code}: {reply.failure.detail}"


def run_id(original: UUID, run: str) -> UUID:
    """The id of a command in a run: always the same, and of the same time, so that it is found again."""
    digest = hashlib.blake2b(original.bytes + run.encode(), digest_size=10).digest()
    return uuid7(original.int >> 80, digest)
