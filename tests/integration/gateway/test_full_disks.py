"""Storage that has no more room in the middle of a body that comes in pieces."""

from __future__ import annotations

import errno
import os
import time
from typing import Any

import pytest
from harness.bodies import cut_up
from harness.world import World

from backends.mounted import staging

pytestmark = [pytest.mark.anyio, pytest.mark.folder]

MIB = 1 << 20
DATA = os.urandom(8 * MIB)


async def offset(world: World, token: str) -> int:
    return int((await world.client("HEAD", f"/upload?token={token}")).headers["Upload-Offset"])


async def test_who_sends_faster_than_is_written_is_told(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The next bytes wait to be written when it turns out that there is no room for these."""
    token, room, write = await world.upload_token("a", len(DATA)), 3 * MIB, os.pwritev

    def until_full(fd: int, buffers: Any, begin: int) -> int:
        if begin >= room:
            time.sleep(0.2)
            raise OSError(errno.ENOSPC, "no space left on device")
        return write(fd, [memoryview(buffers[0])[: room - begin]], begin)

    with monkeypatch.context() as patched:
        patched.setattr(staging.os, "pwritev", until_full)
        for begin in (0, room):
            answer = await world.patch(token, begin, cut_up(DATA[begin:]))
            assert (answer.status, answer.headers["Content-Type"][:24]) == (507, "application/problem+json")
            assert await offset(world, token) == room
    assert (await world.patch(token, room, cut_up(DATA[room:]))).status == 204
    assert (world.folder / "a").read_bytes() == DATA
