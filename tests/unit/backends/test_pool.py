"""The threads of a volume, where the system has none to give."""

from __future__ import annotations

import threading

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
