"""`penstock dlq`: looking at dead letters and dealing with them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Final

from bus.contract import Bus, DeadLetter
from bus.streams import open_streams_bus
from domain.errors import InvalidRequestError, NotFoundError, Subject, UnsupportedError
from domain.ids import VolumeName
from domain.registry import open_command
from ops.console import progress
from ops.settings import Settings

_PAGE: Final = 200
_NODE: Final = "operator"

Row = dict[str, Any]


async def letter_rows(settings: Settings, volume: VolumeName | None, limit: int) -> list[Row]:
    """Dead letters of the configured volumes, a row each."""
    async with open_streams_bus(settings.bus, _NODE) as bus:
        rows = []
        for name in _chosen(settings, volume):
            rows += [_row(letter) for letter in await bus.dead_letters.page(name, limit=limit)]
        return rows


def _chosen(settings: Settings, volume: VolumeName | None) -> Sequence[VolumeName]:
    """Volumes looked at; one that is no longer configured may still have letters."""
    return list(settings.volumes) if volume is None else [volume]


def name_of(letter: DeadLetter) -> str:
    """How an operator calls a letter."""
    return f"{letter.volume}/{letter.letter}"


def _row(letter: DeadLetter) -> Row:
    envelope = letter.envelope
    return {
        "letter": name_of(letter),
        "since": datetime.fromtimestamp(letter.time, UTC).isoformat(timespec="seconds"),
        "type": envelope.type if envelope else None,
        "key": envelope.key if envelope else None,
        "attempts": letter.attempts,
        "reason": letter.reason,
    }


async def letter_told(settings: Settings, name: str) -> Row:
    """Everything about a letter. Raises NotFoundError."""
    async with open_streams_bus(settings.bus, _NODE) as bus:
        letter = await _find(bus, name)
    told = _row(letter) | {"id": str(letter.id), "epoch": letter.epoch, "bytes": letter.original.hex()}
    envelope = letter.envelope
    if envelope is not None:
        told |= {
            "schema_version": envelope.schema_version,
            "time": envelope.time,
            "deadline": envelope.deadline,
            "actor": envelope.origin.actor,
            "traceparent": envelope.origin.trace.parent,
            "body": dict(envelope.body),
        }
    return told


async def deal(settings: Settings, verb: str, names: Sequence[str] | None, volume: VolumeName | None) -> list[Row]:
    """Redrive or skip the named letters, or all; a row each. Raises NotFoundError before anything is done."""
    async with open_streams_bus(settings.bus, _NODE) as bus:
        if names is None:
            letters = [letter async for letter in _all(bus, _chosen(settings, volume))]
        else:
            letters = [await _find(bus, name) for name in names]
        act = bus.dead_letters.redrive if verb == "redrive" else bus.dead_letters.skip
        rows = []
        with progress(len(letters), verb) as bar:
            for letter in letters:
                done = await act(letter)
                rows.append({"letter": name_of(letter), "verb": verb, "done": done})
                bar.update(1)
        return rows


async def edit(settings: Settings, name: str, changes: Mapping[str, Any]) -> list[Row]:
    """Replace a letter by a corrected command; a row. Nothing happens if the correction makes no sense.

    Raises:
        NotFoundError: there is no such letter.
        InvalidRequestError: nobody can read it, so nothing in it can be changed.
        MalformedEventError: the changed body does not fit its type.
    """
    async with open_streams_bus(settings.bus, _NODE) as bus:
        letter = await _find(bus, name)
        if letter.envelope is None:
            raise InvalidRequestError(f"{name} is no envelope; skip it")
        better = replace(
            letter.envelope,
            id=bus.clock.new_id(),
            body={**letter.envelope.body, **changes},
            time=bus.clock.now(),
            deadline=None,
            reply_to="",
            origin=replace(letter.envelope.origin, cause=letter.id),
        )
        try:
            command = open_command(better)
        except UnsupportedError as error:
            raise InvalidRequestError(f"{name}: {error.message}") from error
        better = replace(better, key=command.key)
        done = await bus.dead_letters.replace(letter, better)
        return [{"letter": name, "verb": "edit", "done": done, "id": str(better.id)}]


async def _all(bus: Bus, volumes: Sequence[VolumeName]) -> AsyncIterator[DeadLetter]:
    for volume in volumes:
        after = ""
        while page := await bus.dead_letters.page(volume, after=after, limit=_PAGE):
            for letter in page:
                yield letter
            after = page[-1].letter


async def _find(bus: Bus, name: str) -> DeadLetter:
    volume, _, entry = name.partition("/")
    if volume and entry:
        async for letter in _all(bus, [VolumeName(volume)]):
            if letter.letter == entry:
                return letter
    raise NotFoundError(f"there is no dead letter {name}", subject=Subject.COMMAND)
