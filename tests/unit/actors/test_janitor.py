"""The janitor has everything in the trash purged, and does not ask for the same thing all the time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any
from uuid import UUID, uuid4

import anyio
import pytest

from actors import janitor
from actors.janitor import Janitor
from actors.jobs.contract import Job
from actors.settings import ActorSettings
from backends.contract import TrashEntry
from domain.errors import BackendUnavailableError, BusBrokenError, Subject
from domain.ids import VFolderId, VolumeName

pytestmark = pytest.mark.anyio

FOLDER = VFolderId.parse("user:11111111-1111-4111-8111-111111111111/aabb0001000040008000000000000001")


class Trash:
    """A volume of which only the trash matters."""

    name = VolumeName("disk")

    def __init__(self, *ids: UUID) -> None:
        self.ids = list(ids)
        self.looks = 0
        self.broken = False

    async def trash(self) -> list[TrashEntry]:
        self.looks += 1
        if self.broken:
            raise BackendUnavailableError("away", subject=Subject.VOLUME)
        return [TrashEntry(id=id_, folder=FOLDER) for id_ in self.ids]


class Asked:
    """Jobs that were asked for."""

    def __init__(self) -> None:
        self.trash: list[UUID] = []

    async def start(self, job: Job) -> None:
        self.trash.append(job.id)


class NoBus:
    """Nobody holds a lease, and nothing is in the catalogue, unless it is said."""

    leases = property(lambda self: self)
    catalogue = property(lambda self: self)

    def __init__(self) -> None:
        self.alive: set[str] = set()

    async def held(self, names: Sequence[str]) -> list[bool]:
        return [name in self.alive for name in names]


def janitor_of(trash: Trash, asked: Asked, interval: float, **settings: Any) -> Janitor:
    chosen = ActorSettings(purge_interval_seconds=interval, **settings)
    return Janitor(trash, asked, NoBus(), chosen)


async def run_until(janitor: Janitor, holds: Callable[[], bool]) -> None:
    with anyio.fail_after(10):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(janitor.run)
            while not holds():
                await anyio.sleep(0.005)
            tasks.cancel_scope.cancel()


async def test_an_entry_that_stays_is_asked_for_ever_more_rarely() -> None:
    trash, asked = Trash(uuid4()), Asked()
    await run_until(janitor_of(trash, asked, 0.005), lambda: trash.looks >= 60)
    assert 2 <= len(asked.trash) <= 8


async def test_new_entries_are_asked_for_at_the_next_look() -> None:
    first, second = uuid4(), uuid4()
    trash, asked = Trash(first), Asked()
    janitor = janitor_of(trash, asked, 0.01)
    await run_until(janitor, lambda: bool(asked.trash))
    trash.ids.append(second)
    await run_until(janitor, lambda: second in asked.trash)


async def test_what_was_purged_is_forgotten() -> None:
    entry = uuid4()
    trash, asked = Trash(entry), Asked()
    janitor = janitor_of(trash, asked, 0.01)
    await run_until(janitor, lambda: bool(asked.trash))
    trash.ids.clear()
    looks = trash.looks
    await run_until(janitor, lambda: trash.looks > looks + 1)
    assert len(janitor._turns) == 0


async def test_it_lives_on_while_the_storage_is_away() -> None:
    trash, asked = Trash(uuid4()), Asked()
    trash.broken = True
    janitor = janitor_of(trash, asked, 0.01)
    await run_until(janitor, lambda: trash.looks > 2)
    trash.broken = False
    await run_until(janitor, lambda: bool(asked.trash))


class Away(Asked):
    """A queue that is away for some time."""

    tries = 0

    async def start(self, job: Job) -> None:
        self.tries += 1
        if self.tries <= 3:
            raise BusBrokenError("the job queue is away")
        await super().start(job)


async def test_what_could_not_be_started_is_started_when_the_queue_is_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(janitor, "GRACE_SECONDS", 0.01)
    trash, asked = Trash(uuid4(), uuid4()), Away()
    await run_until(janitor_of(trash, asked, 1000), lambda: len(asked.trash) == 2)
    assert sorted(asked.trash) == sorted(trash.ids)
    assert asked.tries == 5
