"""Calls the storage gave no answer to in time, and that are done all the same later."""

from __future__ import annotations

import io
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import anyio
import pytest
from harness.fields import BODY, checksum
from harness.tus import LARGE, Collection, sending
from harness.world import FOLDER, World, digest

from backends.mounted import staging
from backends.mounted.files import MountedFiles
from domain.errors import BackendFaultError
from domain.ids import VFolderId
from gateway.uploads import open_upload
from gateway.uploads.writer import Writer

pytestmark = [pytest.mark.anyio, pytest.mark.folder]

DATA = b"a" * 100 + b"b" * 1000 + b"c" * (LARGE - 1100)


class Stuck:
    """A call that is done when it may, the first time; its answer is waited for a moment only."""

    def __init__(self, world: World, monkeypatch: pytest.MonkeyPatch, place: object, name: str) -> None:
        self._world = world
        self._monkeypatch = monkeypatch
        self._call = getattr(place, name)
        self._begun, self._may_go_on, self._is_done = threading.Event(), threading.Event(), threading.Event()
        monkeypatch.setattr(place, name, self._slow)

    def _slow(self, *args: Any) -> Any:
        if self._begun.is_set():
            return self._call(*args)
        self._begun.set()
        self._may_go_on.wait(20)
        try:
            return self._call(*args)
        finally:
            self._is_done.set()

    @contextmanager
    def given_up_soon(self) -> Iterator[None]:
        access = self._world.volume.files(VFolderId.parse(FOLDER))
        assert isinstance(access, MountedFiles)
        with self._monkeypatch.context() as patched:
            patched.setattr(access._threads, "timeout_seconds", 0.3)
            yield

    async def begun(self) -> None:
        await self._world.settled(self._begun.is_set)

    async def done(self) -> None:
        self._may_go_on.set()
        await self._world.settled(self._is_done.is_set)


@pytest.mark.parametrize("meanwhile", [True, False])
async def test_bytes_of_a_write_that_was_stuck_are_in_the_digest_once(
    world: World, files: Collection, monkeypatch: pytest.MonkeyPatch, *, meanwhile: bool
) -> None:
    """Its client sends them once more, maybe before the storage answers again; there is too much to be copied."""
    monkeypatch.setattr(open_upload, "_RENEWED_BYTES", 0)
    url = await files.begin(LARGE)
    assert (await files.patch(url, 0, DATA[:100])).status == 204
    stuck = Stuck(world, monkeypatch, staging, "write")
    with stuck.given_up_soon():
        assert (await files.patch(url, 100, DATA[100:1100])).status == 503
    if meanwhile:
        assert (await files.patch(url, 100, DATA[100:1100])).status == 204
    await stuck.done()
    offset = int((await files.head(url)).headers["Upload-Offset"])
    assert offset == 1100
    assert (await files.patch(url, offset, DATA[offset:])).status == 204
    assert (world.folder / "a").read_bytes() == DATA
    (event,) = world.events("file.uploaded")
    assert event.body["sha256"] == digest(DATA)


@pytest.mark.parametrize("call", [(os, "ftruncate"), (staging, "write")], ids=["taken back", "stored"])
@pytest.mark.parametrize("count", [1000, LARGE])
async def test_what_becomes_late_of_bytes_that_did_not_count_is_nothing_to_those_that_do(
    world: World,
    files: Collection,
    monkeypatch: pytest.MonkeyPatch,
    call: tuple[object, str],
    count: int,
) -> None:
    """Neither are bytes stored that were damaged on their way, nor are those taken back that came instead."""
    url = await files.begin(LARGE)
    assert (await files.patch(url, 0, DATA[:100])).status == 204
    stuck = Stuck(world, monkeypatch, *call)
    with stuck.given_up_soon():
        damaged = await files.patch(url, 100, b"x" * 900, Upload_Checksum=checksum(DATA[100:1000]))
    assert damaged.status == 503
    assert (await files.head(url)).headers["Upload-Offset"] == "100"
    assert (await files.patch(url, 100, DATA[100:count], Upload_Checksum=checksum(DATA[100:count]))).status == 204
    await stuck.done()
    if count < LARGE:
        offset = int((await files.head(url)).headers["Upload-Offset"])
        assert offset == count
        assert (await files.patch(url, offset, DATA[offset:])).status == 204
    assert (world.folder / "a").read_bytes() == DATA
    (event,) = world.events("file.uploaded")
    assert event.body["sha256"] == digest(DATA)
    assert not (world.folder / ".upload").exists()


async def test_bytes_of_one_that_died_are_taken_back_late(
    world: World, files: Collection, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def died(*_: object) -> None:
        raise BackendFaultError("dead")

    url = await files.begin(LARGE)
    with monkeypatch.context() as patched:
        patched.setattr(Writer, "_undo", died)
        assert (await files.patch(url, 0, b"x" * 900, Upload_Checksum=checksum(DATA[:900]))).status == 502
    stuck = Stuck(world, monkeypatch, os, "ftruncate")
    with stuck.given_up_soon():
        assert (await files.head(url)).status == 503
    assert (await files.head(url)).headers["Upload-Offset"] == "0"
    assert (await files.patch(url, 0, DATA)).status == 204
    await stuck.done()
    assert (world.folder / "a").read_bytes() == DATA


@pytest.mark.parametrize("size", [1000, 4 << 20], ids=["in pieces", "from its socket"])
@pytest.mark.parametrize("compared", [False, True])
async def test_who_comes_back_does_not_wait_for_the_storage_of_another(
    world: World, files: Collection, monkeypatch: pytest.MonkeyPatch, size: int, *, compared: bool
) -> None:
    """And what that does in the end is nothing to the bytes that came meanwhile."""
    url = await files.begin(size)
    fields = {**BODY, "Upload-Offset": "0"}
    if compared:
        fields["Upload-Checksum"] = checksum(b"x" * (size // 2) + b"y" * (size - size // 2))
    async with sending(files, "PATCH", url, size, size // 2, **fields) as old:
        stuck = Stuck(world, monkeypatch, staging, "write")
        old.send(b"y" * 100)
        await stuck.begun()
        with anyio.fail_after(5):
            offset = int((await files.head(url)).headers["Upload-Offset"])
        assert offset == (0 if compared else size // 2)
        rest = b"n" * (size - offset - 10)
        assert (await files.patch(url, offset, io.BytesIO(rest))).status == 204
        await stuck.done()
    assert int((await files.head(url)).headers["Upload-Offset"]) == size - 10
    assert (await files.patch(url, size - 10, b"m" * 10)).status == 204
    whole = b"x" * offset + rest + b"m" * 10
    assert (world.folder / "a").read_bytes() == whole
    (event,) = world.events("file.uploaded")
    assert event.body["sha256"] == digest(whole)


async def test_who_comes_back_does_not_wait_until_another_has_opened_the_upload(
    world: World, files: Collection, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = await files.begin(LARGE)
    stuck = Stuck(world, monkeypatch, staging, "open_for_append")
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(files.head, url)
        await stuck.begun()
        with anyio.fail_after(5):
            assert (await files.head(url)).headers["Upload-Offset"] == "0"
        assert (await files.patch(url, 0, DATA)).status == 204
        await stuck.done()
    assert (world.folder / "a").read_bytes() == DATA
