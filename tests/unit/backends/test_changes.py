"""Changes that are told of, made together."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial

import anyio
import pytest

from backends.contract import Tell
from backends.mounted.changes import Change, Changes, alone, settled
from backends.observer import SilentObserver
from backends.pool import Pool
from backends.threads import VolumeThreads
from domain.errors import BackendFaultError, BackendUnavailableError, BusyError, ConflictError
from domain.ids import VolumeName
from domain.outbox import Place

pytestmark = pytest.mark.anyio


class Parts:
    """Stands for what words are written to; may be made to wait, or to fail."""

    def __init__(self) -> None:
        self.lots: list[list[bytes]] = []
        self.open = threading.Event()
        self.open.set()
        self.error: Exception | None = None
        self.refused: set[bytes] = set()

    def put_all(self, entries: Sequence[bytes]) -> Sequence[Place | None]:
        self.lots.append(list(entries))
        assert self.open.wait(10)
        if self.error is not None:
            raise self.error
        return [Place("1", 0, len(entry)) if entry and entry not in self.refused else None for entry in entries]


def threads(**more: float) -> VolumeThreads:
    options = {"threads": 4, "waiting": 100, "timeout_seconds": 10.0, **more}
    return VolumeThreads(VolumeName("disk"), SilentObserver(), **options)  # type: ignore[arg-type]


def a_change(words: bytes, steps: list[str] | None = None, waits: bool = False) -> Change[tuple[bytes, bool]]:
    for step in ("began", "arrived") if waits else ():
        if steps is not None:
            steps.append(f"{words!r} {step}")
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
    # One began with what was there; the rest came together, 64 at most.
    assert len(parts.lots) == 3
    assert max(map(len, parts.lots)) == 64


async def test_all_have_their_bytes_on_their_way_before_one_waits() -> None:
    parts, steps = Parts(), list[str]()
    changes = Changes(threads(), parts)
    parts.open.clear()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(changes.make, "x", partial(a_change, b"it is being synced"))
        await anyio.sleep(0.02)
        for words in (b"1", b"2"):
            begin = partial(a_change, words, steps, waits=True)
            tasks.start_soon(partial(changes.make, "x", begin, prepares=True))
        await anyio.sleep(0.02)
        parts.open.set()
    assert steps == [f"{one!r} {step}" for step in ("began", "arrived", "changed", "told") for one in (b"1", b"2")]


async def test_each_succeeds_or_fails_by_itself() -> None:
    def failing(at: str) -> Change[None]:
        if at == "start":
            raise ConflictError("there", subject=None)
        yield None
        if at == "bytes":
            raise ConflictError("there", subject=None)
        yield None
        if at == "name":
            raise ConflictError("there", subject=None)
        yield b"words"
        raise ConflictError("there", subject=None)

    parts = Parts()
    changes = Changes(threads(), parts)
    outcomes: list[object] = []

    async def make(change: Change[object]) -> None:
        try:
            outcomes.append(await changes.make("x", lambda: change, prepares=True))
        except ConflictError:
            outcomes.append("failed")

    good = [a_change(words, waits=True) for words in (b"1", b"2")]
    async with anyio.create_task_group() as tasks:
        for change in (*(failing(at) for at in ("start", "bytes", "name", "end")), *good):
            tasks.start_soon(make, change)
    assert outcomes.count("failed") == 4
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


async def test_they_are_written_down_in_the_order_in_which_they_were_made() -> None:
    parts, made = Parts(), list[bytes]()
    changes = Changes(threads(), parts)

    def change(words: bytes) -> Change[None]:
        if words.endswith(b"w"):
            yield None
            time.sleep(0.001)
            yield None
        made.append(words)
        time.sleep(0.0005)
        yield words

    async with anyio.create_task_group() as tasks:
        for number in range(60):
            words = b"%d%s" % (number, b"w" if number % 3 else b"n")
            make = partial(changes.make, "x", partial(change, words), prepares=words.endswith(b"w"))
            tasks.start_soon(make)
            if number % 4 == 0:
                await anyio.sleep(0.001)
    assert [words for lot in parts.lots for words in lot] == made
    assert len(made) == 60
    assert len(parts.lots) > 2


async def test_a_defect_is_told_to_all_whose_change_it_ends() -> None:
    parts, closed = Parts(), list[str]()
    parts.error = AssertionError("a defect")
    changes = Changes(threads(), parts)

    def change() -> Change[None]:
        try:
            yield b"words"
        finally:
            closed.append("closed")

    failed: list[str] = []

    async def make() -> None:
        try:
            await changes.make("x", change)
        except AssertionError as error:
            failed.append(str(error))

    async with anyio.create_task_group() as tasks:
        for _ in range(3):
            tasks.start_soon(make)
    assert failed == ["a defect"] * 3
    assert closed == ["closed"] * 3


async def test_what_nobody_waits_for_any_more_is_not_begun_though_its_lot_was() -> None:
    parts, began = Parts(), list[int]()
    changes = Changes(threads(timeout_seconds=0.2), parts)
    hangs = threading.Event()

    def change(number: int) -> Change[None]:
        began.append(number)
        assert hangs.wait(10)
        yield b"words"

    given_up: list[int] = []

    async def make(number: int) -> None:
        with pytest.raises(BackendUnavailableError):
            await changes.make("x", partial(change, number))
        given_up.append(number)

    parts.open.clear()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(changes.make, "x", partial(a_change, b"it keeps the lot"))
        await anyio.sleep(0.02)
        for number in (0, 1, 2):
            tasks.start_soon(make, number)
        await anyio.sleep(0.02)
        parts.open.set()
    assert given_up == [0, 1, 2]
    hangs.set()
    await changes.make("x", partial(a_change, b"after it"))
    assert began == [0]


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
    assert outcomes.count("BackendUnavailableError") == 7
    assert outcomes.count("BusyError") == 3
    parts.open.set()
    await anyio.sleep(0.1)
    await changes.make("x", lambda: change(99))
    # What nobody waited for any more was not begun.
    assert began == [0, 99]


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
