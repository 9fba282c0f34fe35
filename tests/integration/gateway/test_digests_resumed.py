"""Digests of uploads that go on where another gateway, or another upload with the same token, has stored bytes."""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from typing import Any

import pytest
from anyio import to_thread
from harness.fields import checksum
from harness.uploads import session_of
from harness.world import World, digest, open_world

from backends.contract import Committed
from backends.mounted import staging
from backends.mounted.appending import MountedStaging
from backends.mounted.files import MountedFiles
from domain.errors import BackendFaultError, BackendUnavailableError
from domain.ids import VolumeName

pytestmark = [pytest.mark.anyio, pytest.mark.folder]

SIZE = 600_000


async def test_what_was_seen_of_an_upload_is_nothing_of_the_next_one_of_its_token(world: World) -> None:
    old, new = os.urandom(SIZE), os.urandom(SIZE)
    token = await world.upload_token("a", SIZE)
    session = session_of(token)
    assert (await world.patch(token, 0, old[: SIZE // 2])).status == 204
    await world.let_go(session)
    # It is dropped, and that is forgotten.
    (world.folder / ".upload" / session).unlink()
    del world.store.records[f"upload:{session}"]
    async with open_world(world.path, store=world.store) as other:
        headers = {"Tus-Resumable": "1.0.0", "Upload-Length": str(SIZE)}
        assert (await other.client("POST", f"/files?token={token}", headers=headers)).status == 201
        assert (await other.patch(token, 0, new[: SIZE // 2])).status == 204
        await other.let_go(session)
        assert (await world.patch(token, SIZE // 2, new[SIZE // 2 :])).status == 204
        assert (world.folder / "a").read_bytes() == new
        assert world.events("file.uploaded")[-1].body["sha256"] == digest(new)


async def test_what_was_not_dropped_in_time_was_not_seen(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bytes that were refused are dropped by whoever has the upload next, and come again."""
    data, half = os.urandom(SIZE), SIZE // 2
    token = await world.upload_token("a", SIZE)
    headers = {"Upload-Checksum": checksum(data[:half])}

    async def stuck(*_: object) -> None:
        raise BackendUnavailableError("the storage does not answer")

    with monkeypatch.context() as patched:
        patched.setattr(MountedStaging, "truncate", stuck)
        assert (await world.patch(token, 0, bytes(half), headers=headers)).status == 503
    async with open_world(world.path, store=world.store) as other:
        assert (await other.patch(token, 0, data[:half], headers=headers)).status == 204
        await other.let_go(session_of(token))
        assert (await world.patch(token, half, data[half:])).status == 204
        assert (world.folder / "a").read_bytes() == data
        assert world.events("file.uploaded")[-1].body["sha256"] == digest(data)


async def test_a_digest_of_bytes_that_were_lost_is_none_of_those_that_came_instead(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, half = os.urandom(SIZE), SIZE // 2
    new = old[:half] + os.urandom(SIZE - half)
    token = await world.upload_token("a", SIZE)

    async def broken(*_: object, **__: object) -> Committed:
        raise BackendFaultError("the disk is broken")

    with monkeypatch.context() as patched:
        patched.setattr(MountedFiles, "commit_staging", broken)
        assert (await world.patch(token, 0, old)).status >= 500
    os.truncate(world.folder / ".upload" / session_of(token), half)
    head = await world.client("HEAD", f"/upload?token={token}")
    assert head.headers["Upload-Offset"] == str(half)
    assert (await world.patch(token, half, new[half:])).status == 204
    assert (world.folder / "a").read_bytes() == new
    assert world.events("file.uploaded")[-1].body["sha256"] == digest(new)


async def test_what_a_thread_that_hung_hashes_late_was_not_seen(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, half = os.urandom(SIZE), SIZE // 2
    token = await world.upload_token("a", SIZE)
    write, goes_on, gone_on = os.pwritev, threading.Event(), threading.Event()
    append = MountedStaging._append

    def hanging(fd: int, buffers: Any, offset: int) -> int:
        monkeypatch.setattr(staging.os, "pwritev", write)
        goes_on.wait()
        return write(fd, buffers, offset)

    def appended(self: MountedStaging, chunks: Sequence[bytes | memoryview]) -> None:
        append(self, chunks)
        if goes_on.is_set():
            gone_on.set()

    monkeypatch.setattr(staging.os, "pwritev", hanging)
    monkeypatch.setattr(MountedStaging, "_append", appended)
    with monkeypatch.context() as patched:
        patched.setattr(world.gate.volumes[VolumeName("disk")]._threads, "timeout_seconds", 0.3)
        assert (await world.patch(token, 0, data[:half])).status == 503
    assert (await world.patch(token, 0, data[:half])).status == 204
    goes_on.set()
    await to_thread.run_sync(gone_on.wait)
    assert (await world.patch(token, half, data[half:])).status == 204
    assert (world.folder / "a").read_bytes() == data
    assert world.events("file.uploaded")[-1].body["sha256"] == digest(data)
