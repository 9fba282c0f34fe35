"""Changes that are told of, made together."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import anyio
import pytest

from backends.contract import Tell
from backends.mounted.changes import Change, Changes, alone, settled
from backends.observer import SilentObserver
from backends.pool import Pool
from backends.threads import VolumeThreads
from domain.errors import BackendFaultError, BackendUnavailableError, BusyError, ConflictError, PenstockError
from domain.ids import VolumeName
from domain.outbox import Place

pytestmark = pytest.mark.anyio


class Parts:
    """Stands for what words are written to; may be made to wait, or to fail."""

    def __init__(self) -> None:
        self.lots: list[list[bytes]] = []
        self.open = threading.Event()
        self.open.set()
        self.error: PenstockError | None = None
        self.refused: set[bytes] = set()

    def put_all(self, entries: Sequence[bytes]) -> Sequence[Place | None]:
        assert self.open.wait(10)
        if self.error is not None:
            raise self.error
        self.lots.append(list(entries))
        return [Place("1", 0, len(entry)) if entry and entry not in self.refused else None for entry in entries]


def threads(**more: float) -> VolumeThreads:
    options = {"threads": 4, "waiting": 100, "timeout_seconds": 10.0, **more}
    return VolumeThreads(VolumeName("disk"), SilentObserver(), **options)  # type: ignore[arg-type]


def a_change(words: bytes, steps: list[str] | None = None, waits: bool = False) -> Change[tuple[bytes, bool]]:
    if waits:
        if steps is not None:
            steps.append(f"{words!r} began")
        yield None
    if steps is not None:
        steps.append(f"{words!r} changed")
    told = yield words
    if steps is not None:
        steps.append(f"{words!r} told")
    return words, told is not None


async def test_a_change_by_itself_is_told_at_once() -> None:
    parts = Parts()
    changes = Changes(threads(), parts)
    assert await changes.make("x", lambda: a_change(b"1")) == (b"1", True)
    assert parts.lots == [[b"1"]]


async def test_what_comes_while_others_are_synced_shares_the_next_sync() -> None:
    parts = Parts()
    changes = Changes(threads(), parts)
    parts.open.clear()
    async with anyio.create_task_group() as tasks:
        for number in range(100):
            tasks.start_soon(changes.make, "x", lambda number=number: a_change(b"%d" % number))
        await anyio.sleep(0.05)
        parts.open.set()
    assert sorted(entry for lot in parts.lots for entry in lot) == sorted(b"%d" % number for number in range(100))
    # Two lots began with what was there; the rest came together, 64 at most.
    assert len(parts.lots) == 4
    assert max(map(len, parts.lots)) == 64


async def test_all_have_their_bytes_on_their_way_before_one_waits() -> None:
    parts, steps = Parts(), list[str]()
    changes = Changes(threads(), parts)
    parts.open.clear()
    async with anyio.create_task_group() as tasks:
        for first in (b"a", b"b"):  # they keep both lots busy
            tasks.start_soon(changes.make, "x", lambda first=first: a_change(first))
        await anyio.sleep(0.02)
        for words in (b"1", b"2"):
            tasks.start_soon(changes.make, "x", lambda words=words: a_change(words, steps, waits=True))
        await anyio.sleep(0.02)
        parts.open.set()
    assert steps == [f"{one!r} {step}" for step in ("began", "changed", "told") for one in (b"1", b"2")]


async def test_each_succeeds_or_fails_by_itself() -> None:
    def failing(at: str) -> Change[None]:
        if at == "start":
            raise ConflictError("there", subject=None)
        yield None
        if at == "bytes":
            raise ConflictError("there", subject=None)
        yield b"words"
        raise ConflictError("there", subject=None)

    parts = Parts()
    changes = Changes(threads(), parts)
    outcomes: list[object] = []

    async def make(change: Change[object]) -> None:
        try:
            outcomes.append(await changes.make("x", lambda: change))
        except ConflictError:
            outcomes.append("failed")

    async with anyio.create_task_group() as tasks:
        for change in (*(failing(at) for at in ("start", "bytes", "end")), a_change(b"1"), a_change(b"2")):
            tasks.start_soon(make, change)
    assert outcomes.count("failed") == 3
    assert (b"1", True) in outcomes
    assert (b"2", True) in outcomes


async def test_a_sync_that_fails_is_told_to_all_and_what_they_have_open_is_closed() -> None:
    parts = Parts()
    parts.error = BackendFaultError("EIO")
    closed: list[str] = []

    @contextmanager
    def opened() -> Iterator[None]:
        try:
            yield
        finally:
            closed.append("closed")

    def change() -> Change[None]:
        with opened():
            yield b"words"

    changes = Changes(threads(), parts)
    for _ in range(2):
        with pytest.raises(BackendFaultError):
            await changes.make("x", change)
    assert closed == ["closed"] * 2


async def test_what_is_not_taken_is_synced_by_who_made_it() -> None:
    parts = Parts()
    parts.refused.add(b"too much")
    changes = Changes(threads(), parts)
    synced: list[str] = []
    told: dict[bytes, Tell[str]] = {}

    def change(words: bytes) -> Change[str]:
        told[words] = Tell(lambda result: words)
        yield from settled(told[words], "result", lambda: synced.append(words.decode()))
        return "result"

    for words in (b"fine", b"too much", b""):
        assert await changes.make("x", lambda words=words: change(words)) == "result"
    assert synced == ["too much", ""]
    assert [tell.place is not None for tell in told.values()] == [True, False, False]
    assert alone(change(b"alone")) == "result"
    assert synced[-1] == "alone"


async def test_a_volume_that_hangs_keeps_nobody_for_ever() -> None:
    parts = Parts()
    changes = Changes(threads(timeout_seconds=0.1, waiting=2), parts)
    parts.open.clear()
    began: list[int] = []

    def change(number: int) -> Change[None]:
        began.append(number)
        yield b"words"

    outcomes: list[str] = []

    async def make(number: int) -> None:
        try:
            await changes.make("x", lambda: change(number))
        except (BackendUnavailableError, BusyError) as error:
            outcomes.append(type(error).__name__)

    async with anyio.create_task_group() as tasks:
        for number in range(10):
            tasks.start_soon(make, number)
    assert outcomes.count("BackendUnavailableError") == 8
    assert outcomes.count("BusyError") == 2
    parts.open.set()
    await anyio.sleep(0.1)
    await changes.make("x", lambda: change(99))
    # What nobody waited for any more was not begun.
    assert began == [0, 1, 99]


async def test_a_volume_that_is_closed_makes_no_more_changes() -> None:
    parts, pool = Parts(), threads(threads=1)
    changes = Changes(pool, parts)
    parts.open.clear()
    outcomes: list[object] = []

    async def make(words: bytes) -> None:
        try:
            outcomes.append(await changes.make("x", lambda: a_change(words)))
        except BackendUnavailableError:
            outcomes.append("closed")

    async with anyio.create_task_group() as tasks:
        for words in (b"1", b"2", b"3"):
            tasks.start_soon(make, words)
        await anyio.sleep(0.02)
        tasks.start_soon(pool.close)
        await anyio.sleep(0.02)
        parts.open.set()
    assert outcomes == [(b"1", True), "closed", "closed"]


async def test_without_a_thread_nothing_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_thread(self: Pool) -> None:
        raise BackendUnavailableError("no thread can be started")

    monkeypatch.setattr(Pool, "_grow", no_thread)
    changes = Changes(threads(), Parts())
    with pytest.raises(BackendUnavailableError):
        await changes.make("x", lambda: a_change(b"1"))
    monkeypatch.undo()
    assert await changes.make("x", lambda: a_change(b"2")) == (b"2", True)
