"""A role that is given other settings, by the signals an operator sends."""

from __future__ import annotations

import os
import signal
import threading
from typing import Any

import anyio
import pytest

from ops.generations import Generations, Turn

pytestmark = pytest.mark.anyio


class Settings:
    """As much of settings as is looked at."""

    log = None

    def __init__(self, number: int) -> None:
        self.number = number

    def model_dump(self) -> dict[str, int]:
        return {"number": self.number}


async def test_who_is_told_to_stop_while_settings_are_read_begins_nothing() -> None:
    begun: list[int] = []
    reading, go_on = threading.Event(), threading.Event()

    async def role(settings: Any, turn: Turn) -> None:
        begun.append(settings.number)
        turn.serves()
        await turn.stop.wait()

    def read() -> Any:
        reading.set()
        go_on.wait(5)
        return Settings(2)

    first: Any = Settings(1)
    with anyio.fail_after(10):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(Generations(role, "gateway", read).run, first)
            while not begun:
                await anyio.sleep(0.01)
            os.kill(os.getpid(), signal.SIGHUP)
            while not reading.is_set():
                await anyio.sleep(0.01)
            os.kill(os.getpid(), signal.SIGTERM)
            await anyio.sleep(0.1)
            go_on.set()
    assert begun == [1]
