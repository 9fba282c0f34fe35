"""Writes the storage gave no answer to in time, and that are done all the same later."""

from __future__ import annotations

import threading

import pytest
from harness.tus import LARGE, Collection
from harness.world import FOLDER, World, digest

from backends.mounted import staging
from backends.mounted.files import MountedFiles
from domain.ids import VFolderId

pytestmark = [pytest.mark.anyio, pytest.mark.folder]

DATA = b"a" * 100 + b"b" * 1000 + b"c" * (LARGE - 1100)


@pytest.mark.parametrize("meanwhile", [True, False])
async def test_bytes_of_a_write_that_was_stuck_are_in_the_digest_once(
    world: World, files: Collection, monkeypatch: pytest.MonkeyPatch, *, meanwhile: bool
) -> None:
    """Its client sends them once more, maybe before the storage answers again."""
    url, write = await files.begin(LARGE), staging.write
    stuck, free, left = threading.Event(), threading.Event(), threading.Event()

    def slow(*args: object) -> int:
        if stuck.is_set():
            return write(*args)
        stuck.set()
        free.wait(20)
        try:
            return write(*args)
        finally:
            left.set()

    assert (await files.patch(url, 0, DATA[:100])).status == 204
    access = world.volume.files(VFolderId.parse(FOLDER))
    assert isinstance(access, MountedFiles)
    monkeypatch.setattr(staging, "write", slow)
    with monkeypatch.context() as patched:
        patched.setattr(access._threads, "timeout_seconds", 0.3)
        assert (await files.patch(url, 100, DATA[100:1100])).status == 503
    if meanwhile:
        assert (await files.patch(url, 100, DATA[100:1100])).status == 204
    free.set()
    await world.settled(left.is_set)
    offset = int((await files.head(url)).headers["Upload-Offset"])
    assert offset == 1100
    assert (await files.patch(url, offset, DATA[offset:])).status == 204
    assert (world.folder / "a").read_bytes() == DATA
    (event,) = world.events("file.uploaded")
    assert event.body["sha256"] == digest(DATA)
