"""Whether a fault run kept the promises, judged by what was sent, what was told, and what is left.

Every promise has a number; a violation names it. What is looked at is what users rely on: directories on the
volumes, the events a follower saw, the answers senders got, the dead letters, and how long it all took to settle.
"""

from __future__ import annotations

import json
import math
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

from harness.fault.plan import LEASE_SECONDS, QUEUE_LIMIT, Plan
from harness.fault.words import POISON_EAT, POISON_HANG, POISON_KILL, History, Sent

from domain.commands import CreateVFolder
from domain.envelope import Envelope
from domain.events import QuotaUpdated, VFolderCreated, VFolderDeleted
from domain.ids import VFolderId

#: Actors drain for one second when they stop; a command that hangs takes 2.5 s until it is given up.
_DRAIN_SECONDS = 5.0
#: What an owner may have done and not yet written down when it dies: if the store loses the commands as well before
#: the next one comes, nobody can tell of it (`penstock rebuild` finds it). Lines each time, two for some of them.
_UNTOLD = 6
#: A command that kills takes five lives until it is set aside, each with a process to start and a lease to end.
_DEATHS_SECONDS = 15.0


@dataclass(frozen=True)
class Left:
    """What is there when all is quiet."""

    #: Directories of folders, by volume.
    folders: Mapping[str, frozenset[str]]
    #: Operations that put a folder into the trash, by volume.
    trash: Mapping[str, frozenset[UUID]]
    #: Limits of scopes, by volume and id.
    limits: Mapping[tuple[str, str], int | None]
    #: Ids of dead letters.
    dead: Counter[UUID]
    #: Commands that are neither done nor dead.
    waiting: int
    #: Actors that ended by themselves.
    fallen: Sequence[str] = ()


def look(plan: Plan, dead: Counter[UUID], waiting: int, fallen: Sequence[str]) -> Left:
    """Look at the volumes."""
    folders, trash, limits = {}, {}, {}
    for name in plan.volumes:
        root = plan.root(name)
        folders[name] = frozenset(
            "".join(path.relative_to(root).parts[1:]) for path in root.glob("[0-9a-f]*/*/*/*") if path.is_dir()
        )
        trash[name] = frozenset(UUID(path.name) for path in (root / ".penstock/trash").iterdir() if path.is_dir())
        for path in (root / ".penstock/scopes").glob("*.json"):
            document = json.loads(path.read_text())
            limits[name, str(document["scope"])] = document.get("limit_bytes")
    return Left(folders, trash, limits, dead, waiting, tuple(fallen))


def violations(history: History, left: Left, *, lossy: bool = False, queue_limit: int = QUEUE_LIMIT) -> list[str]:
    """Everything that is not as promised; empty: all promises were kept.

    Args:
        lossy: the store lost everything once, so accepted commands may be gone; nothing else may.
        queue_limit: commands that may wait on one volume.
    """
    ends = _ends(history)
    found: list[str] = []
    found += _each_ends_once(history, left, ends, lossy=lossy)
    found += _in_order(history)
    if not lossy:
        found += _read_by_all(history)
    effects = list(_effects_and_events(history, left))
    if len(effects) > (_UNTOLD * _deaths(history) if lossy else 0):
        found += effects
    found += _settled(history, left, queue_limit)
    found += _answers(history, left, lossy=lossy)
    found += _poison(history, left)
    found += left.fallen
    return found


def _ends(history: History) -> Mapping[UUID, Sequence[Envelope]]:
    """Events by the command that led to them; those of a scope made on the way are no end of a command."""
    ends: dict[UUID, list[Envelope]] = defaultdict(list)
    for event in history.events.values():
        if event.origin.cause is not None and not (event.type == "quota.scope.created" and "/" in event.key):
            ends[event.origin.cause].append(event)
    return ends


def _each_ends_once(
    history: History, left: Left, ends: Mapping[UUID, Sequence[Envelope]], *, lossy: bool
) -> Iterator[str]:
    known = {sent.command.id for sent in history.sent}
    for sent in history.accepted:
        found = ends.get(sent.command.id, ())
        if not found and sent.command.id not in left.dead and not lossy:
            yield f"I1: {_told(sent)} was accepted and is neither done nor refused nor set aside"
        found = [event for event in found if not _is_overcome(history, event)]
        if len(found) > 1:
            yield f"I1: {_told(sent)} ended {len(found)} times: {[event.type for event in found]}"
    for cause in ends.keys() - known:
        yield f"I1: events of {cause}, which nobody sent"
    for command, count in left.dead.items():
        if count > 1:
            yield f"I1: {command} was set aside {count} times"
    yield from _wrongly_refused(history, ends)


def _wrongly_refused(history: History, ends: Mapping[UUID, Sequence[Envelope]]) -> Iterator[str]:
    """Each client makes only new folders and deletes its own once, so a refusal means its own effect was met.

    Not so where the store lost the command that makes a folder, which comes again behind the one that deletes it.
    """
    events = [event for event in history.events.values() if event.origin.cause not in history.restored]
    created = {event.key: event.time for event in reversed(events) if event.type == VFolderCreated.type}
    for sent in history.accepted:
        for event in ends.get(sent.command.id, ()):
            code = str(event.body.get("code", ""))
            if event.type == "vfolder.create.failed" and code == "conflict":
                yield f"I1: {_told(sent)} found its own effect in the way"
            elif (
                event.type == "vfolder.delete.failed"
                and code == "not-found"
                and created.get(event.key, math.inf) < event.time
            ):
                yield f"I1: {_told(sent)} found its own effect done"


def _in_order(history: History) -> Iterator[str]:
    """Events of a key follow the order in which its commands were accepted."""
    places = {sent.command.id: tuple(map(int, sent.entry.split("-"))) for sent in history.accepted}
    last: dict[tuple[str, str], tuple[int, ...]] = {}
    for event in history.events.values():
        place = places.get(event.origin.cause) if event.origin.cause else None
        if place is None or event.origin.cause in history.restored or _is_overcome(history, event):
            continue
        key = (event.volume, event.key)
        if place < last.get(key, ()):
            yield f"I2: {event.type} of {event.key} came after one that was asked for later: {event.origin.cause}"
        last[key] = max(place, last.get(key, place))


def _read_by_all(history: History) -> Iterator[str]:
    """Whoever is registered misses nothing, however slow."""
    if history.gaps:
        yield f"I5: registered readers were told of {history.gaps} gaps"
    for event in history.events.keys() - history.slow.keys():
        yield f"I6: {history.events[event].type} {event} was gone before a slow reader came to it"


def _effects_and_events(history: History, left: Left) -> Iterator[str]:
    """What is on the volumes is what the events tell, no more, no less."""
    there: dict[str, set[str]] = defaultdict(set)
    limits: dict[tuple[str, str], int | None] = {}
    for event in history.events.values():
        if event.type == VFolderCreated.type:
            there[event.volume].add(_name(event))
        elif event.type == VFolderDeleted.type:
            there[event.volume].discard(_name(event))
        elif event.type == QuotaUpdated.type:
            limits[event.volume, event.key] = event.body.get("limit_bytes")  # type: ignore[assignment]
    for volume, present in left.folders.items():
        for name in sorted(present - there[volume]):
            yield f"I4: folder {name} is on {volume}, and no event told of it"
        for name in sorted(there[volume] - present):
            yield f"I4: folder {name} is not on {volume}, though an event told of it"
    deletions = {e.origin.cause for e in history.events.values() if e.type == VFolderDeleted.type}
    for volume, operations in left.trash.items():
        for operation in operations - deletions:
            yield f"I4: {operation} put a folder of {volume} into the trash, and no event told of it"
    late = {
        (event.volume, event.key) for event in history.events.values() if event.origin.cause in history.restored
    }
    for (volume, scope), limit in limits.items():
        if (volume, scope) in late:
            continue  # the event may have come after one of a later limit
        if left.limits.get((volume, scope)) != limit:
            yield f"I3: the limit of {scope} is {left.limits.get((volume, scope))}, the last event told {limit}"


def _settled(history: History, left: Left, queue_limit: int) -> Iterator[str]:
    if left.waiting:
        yield f"I9: {left.waiting} commands still wait"
    killers = sum(is_poison(sent) for sent in history.accepted)
    # What waits behind much is done no faster than the rest was.
    pace = len(left.folders) * history.sent_seconds / max(len(history.accepted), 1)
    allowed = 2 * LEASE_SECONDS + _DRAIN_SECONDS + killers * _DEATHS_SECONDS + history.deepest * pace
    if history.drained_seconds is None or history.drained_seconds > allowed:
        yield f"I9: it took {history.drained_seconds} s until nothing waited, more than {allowed}"
    if history.deepest > queue_limit + len(history.redriven):
        yield f"I7: {history.deepest} commands waited at once"


def _answers(history: History, left: Left, *, lossy: bool) -> Iterator[str]:
    for sent in history.accepted:
        if sent.again is None:
            if not lossy:
                yield f"I8: {_told(sent)} has no answer"
        elif sent.command.id in history.redriven:
            continue  # an operator had it tried again, for another answer
        elif sent.reply is not None and sent.reply != sent.again:
            yield f"I8: {_told(sent)} was answered {sent.reply}, and later {sent.again}"


def _poison(history: History, left: Left) -> Iterator[str]:
    poison = {sent.command.id for sent in history.accepted if is_poison(sent)}
    for command in poison - left.dead.keys():
        yield f"I10: poison {command} was not set aside"
    for command in left.dead.keys() - poison:
        yield f"I10: {command} was set aside, though nothing was wrong with it"


def is_poison(sent: Sent) -> bool:
    """Whether a command kills or hangs who handles it, or eats its memory."""
    if sent.command.type != CreateVFolder.type:
        return False
    return VFolderId.parse(sent.command.key).uuid.int % 1000 in (POISON_KILL, POISON_HANG, POISON_EAT)


def _deaths(history: History) -> int:
    """How often an owner was cut off in the middle of something."""
    return sum(fault in ("kill_actor", "kill_at_step", "freeze_actor", "split_brain") for fault in history.faults)


def _is_overcome(history: History, event: Envelope) -> bool:
    """Whether it tells of a failure after which an operator had the command tried again."""
    return event.origin.cause in history.redriven and event.type.endswith(".failed")


def _name(event: Envelope) -> str:
    return VFolderId.parse(str(event.body["folder"])).uuid.hex


def _told(sent: Sent) -> str:
    return f"{sent.command.type} {sent.command.id} of {sent.command.key}"


def dump(path: Path, history: History, found: Sequence[str]) -> None:
    """Write down what is needed to understand a failed run."""
    accepted = (f"{sent.entry} {_told(sent)}" for sent in history.accepted)
    events = (
        f"{event.volume} {event.time:.3f} {event.type} of {event.key} for {event.origin.cause}"
        for event in history.events.values()
    )
    path.write_text("\n".join([*found, "", *history.faults, "", *accepted, "", *events]))
