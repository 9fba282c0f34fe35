"""The guard against blocking calls works: without it the other tests would prove less."""

import os

import pytest
from blockbuster import BlockingError

from backends.mounted.helping.resolving import has_openat2
from backends.observer import SilentObserver
from backends.threads import VolumeThreads
from domain.ids import VolumeName

pytestmark = pytest.mark.anyio


async def test_a_blocking_call_in_a_coroutine_is_caught() -> None:
    with pytest.raises(BlockingError):
        has_openat2()


async def test_the_same_call_on_a_volumes_thread_is_fine() -> None:
    threads = VolumeThreads(VolumeName("x"), SilentObserver(), threads=1, waiting=1, timeout_seconds=5)
    assert await threads.run(has_openat2) in (True, False)
    await threads.close()


def test_the_same_call_outside_of_a_loop_is_fine() -> None:
    assert os.path.exists("/")
    has_openat2()
