"""The threads of a volume."""

from __future__ import annotations

import threading
import time
import weakref
from collections.abc import Callable
from functools import partial

import anyio
import pytest

from backends.pool import Pool
from domain.errors import BackendUnavailableError

pytestmark = pytest.mark.anyio


def no_thread(self: threading.Thread) -> None:
    raise RuntimeError("can't start new thread")


async def test_without_any_thread_a_call_is_refused_for_the_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    pool = Pool(2, "volume")
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", no_thread)
        with pytest.raises(BackendUnavailableError):
            pool.start(lambda: 1)
    assert pool.pending == set()
    call = pool.start(lambda: 1)
    await call.wait()
    assert call.outcome() == 1
    pool.close()


async def test_without_another_thread_those_that_are_there_do_it(monkeypatch: pytest.MonkeyPatch) -> None:
    pool, free = Pool(2, "volume"), threading.Event()
    first = pool.start(free.wait)
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", no_thread)
        second = pool.start(lambda: 2)
    free.set()
    with anyio.fail_after(5):
        await first.wait()
        await second.wait()
    assert second.outcome() == 2
    pool.close()


async def test_calls_are_made_by_so_many_threads_and_no_more() -> None:
    pool = Pool(3, "volume")
    lock, at_once, most, names = threading.Lock(), 0, 0, set[str]()

    def work(number: int) -> int:
        nonlocal at_once, most
        with lock:
            at_once += 1
            most = max(most, at_once)
            names.add(threading.current_thread().name)
        time.sleep(0.0002 * (number % 3))
        with lock:
            at_once -= 1
        return number

    for _ in range(20):
        calls = [pool.start(partial(work, number)) for number in range(50)]
        with anyio.fail_after(10):
            for call in calls:
                await call.wait()
        assert [call.outcome() for call in calls] == list(range(50))
    assert most == len(names) == 3
    assert pool.pending == set()
    pool.close()


async def test_one_call_after_the_other_needs_one_thread() -> None:
    pool, names = Pool(5, "volume"), set[str]()
    for _ in range(100):
        call = pool.start(lambda: names.add(threading.current_thread().name))
        await call.wait()
        await settled(lambda: not pool.pending)
    assert len(names) <= 2, "one may still be on its way back as the next call comes"
    pool.close()


async def test_what_is_over_is_kept_by_nobody() -> None:
    class Big:
        pass

    pool = Pool(1, "volume")
    big = Big()
    gone = weakref.ref(big)
    call = pool.start(partial(id, big))
    await call.wait()
    del call, big
    await settled(lambda: gone() is None)
    pool.close()


async def test_threads_end_with_the_pool_and_what_waits_is_refused() -> None:
    pool, free, began = Pool(2, "ends"), threading.Event(), list[int]()
    all_run = threading.Barrier(3)
    running = [pool.start(lambda: (all_run.wait(5), free.wait(5))[1]) for _ in range(2)]
    all_run.wait(5)
    waiting = [pool.start(partial(began.append, number)) for number in range(3)]
    pool.close()
    with pytest.raises(BackendUnavailableError):
        pool.start(lambda: 1)
    free.set()
    with anyio.fail_after(5):
        for call in (*running, *waiting):
            await call.wait()
    assert [call.outcome() for call in running] == [True, True]
    for call in waiting:
        with pytest.raises(BackendUnavailableError):
            call.outcome()
    assert began == []
    await settled(lambda: not any(thread.name.startswith("ends-") for thread in threading.enumerate()))


async def settled(found: Callable[[], bool]) -> None:
    with anyio.fail_after(5):
        while not found():
            await anyio.sleep(0.001)
