"""Threads that work while harm is done, and end whatever becomes of it."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterable

from harness.processes import PATIENCE

#: How long whoever works may take to bring to an end what was begun, in seconds.
_END_SECONDS = 150.0 * PATIENCE
#: How much longer harm is done at most, so that it meets enough work on a machine that is slow, in seconds.
_LONGER_SECONDS = 60.0 * PATIENCE


def harm_while(
    workers: Iterable[Callable[[threading.Event], None]],
    harm: Callable[[], None],
    seconds: float,
    chance: random.Random,
    is_enough: Callable[[], bool] = lambda: True,
) -> None:
    """Let workers run, each until it is told to stop, and do harm now and then for some time.

    Args:
        is_enough: whether there was enough work; if not, this goes on for some time more.
    """
    stop = threading.Event()
    threads = [threading.Thread(target=worker, args=(stop,), daemon=True) for worker in workers]
    for thread in threads:
        thread.start()
    try:
        end = time.monotonic() + seconds
        while (now := time.monotonic()) < end or (now < end + _LONGER_SECONDS and not is_enough()):
            time.sleep(chance.uniform(0.05, 0.5))
            harm()
    finally:
        stop.set()
        give_up = time.monotonic() + _END_SECONDS
        for thread in threads:
            thread.join(max(0.0, give_up - time.monotonic()))
    assert not [thread for thread in threads if thread.is_alive()], "some work never ended"
