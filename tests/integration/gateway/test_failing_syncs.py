"""A disk that fails as an upload is synced: the kernel tells of that once, whatever is lost."""

from __future__ import annotations

import errno
import os

import pytest
from harness.world import World

from backends.mounted import lasting

pytestmark = [pytest.mark.anyio, pytest.mark.folder]

DATA = os.urandom(1 << 20)


async def test_an_upload_is_finished_once_its_bytes_have_come_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    fsync, asked = os.fsync, list[int]()

    def fail_once(fd: int) -> None:
        asked.append(fd)
        if len(asked) == 1:
            raise OSError(errno.EIO, "the disk failed")
        fsync(fd)

    token = await world.upload_token("a", len(DATA))
    monkeypatch.setattr(lasting.os, "fsync", fail_once)
    refused = await world.patch(token, 0, DATA)
    assert (refused.status, refused.headers["Content-Type"][:24]) == (502, "application/problem+json")
    assert not (world.folder / "a").exists()
    head = await world.client("HEAD", f"/upload?token={token}")
    assert (head.status, head.headers["Upload-Offset"]) == (200, "0"), "nobody knows which of them are there"
    assert not world.events("file.uploaded")
    assert (await world.patch(token, 0, DATA)).status == 204
    assert (world.folder / "a").read_bytes() == DATA
    assert len(world.events("file.uploaded")) == 1
