"""Uploads that were only kept open for a moment, and cannot be used again."""

from __future__ import annotations

import errno
import threading
from pathlib import Path

import anyio
import pytest
from harness.tus import LARGE, Collection
from harness.world import World, open_world

from backends.mounted.appending import MountedStaging
from bus.contract import Lease
from domain.errors import BackendUnavailableError
from gateway.uploads import opened
from gateway.uploads.sessions import Known, Sessions

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("cancelled", [False, True])
async def test_what_is_taken_again_is_given_back_whatever_happens(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cancelled: bool
) -> None:
    async with open_world(tmp_path) as world:
        await world.make_folder()
        files = await Collection.open(world)
        url = await files.begin(1000)
        assert (await files.patch(url, 0, b"abc")).status == 204
        assert world.store.leases, "it is kept open for a moment"
        (kept,) = world.gate.uploads.opened._idle.values()
        closed: list[bool] = []
        close = kept.close

        async def closing() -> None:
            await close()
            closed.append(True)

        monkeypatch.setattr(kept, "close", closing)
        sliding = anyio.Event()

        async def fail(sessions: Sessions, known: Known, lease: Lease) -> Known:
            sliding.set()
            if cancelled:
                await anyio.sleep_forever()
            raise RuntimeError("a defect")

        with monkeypatch.context() as patched:
            patched.setattr(Sessions, "slide", fail)
            if cancelled:
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(_use, world.gate.uploads.opened, url.rpartition("/")[2])
                    await sliding.wait()
                    tasks.cancel_scope.cancel()
            else:
                assert (await files.head(url)).status == 500
        assert closed
        assert not world.store.leases
        assert (await files.head(url)).headers["Upload-Offset"] == "3"


@pytest.mark.parametrize("error", [BackendUnavailableError("no answer"), OSError(errno.ENOTCONN, "gone")])
async def test_a_storage_that_cannot_take_back_what_was_kept_open_ends_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    closed: list[bool] = []
    close = MountedStaging.close

    async def fail(staging: MountedStaging) -> None:
        closed.append(True)
        await close(staging)
        raise error

    monkeypatch.setattr(MountedStaging, "close", fail)
    async with open_world(tmp_path) as world:
        await world.make_folder()
        files = await Collection.open(world)
        url = await files.begin(1000)
        for offset in range(2):
            assert (await files.patch(url, offset, b"a")).status == 204
            assert world.store.leases
            closed.clear()
            await world.settled(lambda: bool(closed) and not world.store.leases)


async def _use(opened: object, session: str) -> None:
    async with opened.use(session):  # type: ignore[attr-defined]
        raise AssertionError


async def test_only_so_many_are_kept_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each holds a file open."""
    monkeypatch.setattr(opened, "_LINGERING", 2)
    async with open_world(tmp_path) as world:
        await world.make_folder()
        files = await Collection.open(world)
        urls = [await files.begin(1000, f"{number}") for number in range(4)]
        for url in urls:
            assert (await files.patch(url, 0, b"abc")).status == 204
        kept = [world.gate.uploads.opened.kept_open(url.rpartition("/")[2]) for url in urls]
        assert [known is not None for known in kept] == [True, True, False, False]
        assert (await files.patch(urls[3], 3, b"def")).headers["Upload-Offset"] == "6"


@pytest.mark.parametrize("sent", [100, LARGE])
async def test_a_storage_that_hangs_as_one_is_given_back_is_nothing_to_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sent: int
) -> None:
    """It was kept open for a moment, or is finished; in either case nobody waits for that any more."""
    async with open_world(tmp_path) as world:
        await world.make_folder()
        files = await Collection.open(world)
        world.gate.uploads.opened._linger_seconds = 0.01
        asked = anyio.Event()

        async def hang(staging: MountedStaging) -> None:
            asked.set()
            raise BackendUnavailableError("volume disk gave no answer to close within 60 s")

        url = await files.begin(LARGE)
        with monkeypatch.context() as patched:
            patched.setattr(MountedStaging, "close", hang)
            assert (await files.patch(url, 0, b"a" * sent)).status == 204
            with anyio.fail_after(10):
                await asked.wait()
        await world.settled(lambda: not world.store.leases)
        assert (await files.head(url)).headers["Upload-Offset"] == str(sent)
        await world.upload("other", b"a" * LARGE)


@pytest.mark.folder
async def test_nobody_waits_for_a_storage_that_hangs_as_one_is_given_back(
    world: World, files: Collection, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = await files.begin(LARGE)
    assert (await files.patch(url, 0, b"abc")).status == 204
    (kept,) = world.gate.uploads.opened._idle.values()
    assert isinstance(kept.staging, MountedStaging)
    descriptor, answers = kept.staging._descriptor, threading.Event()
    close = descriptor.close

    def hang() -> None:
        answers.wait(20)
        close()

    monkeypatch.setattr(descriptor, "close", hang)
    try:
        async with world.bus.leases.hold(f"upload:{kept.session.id}", wait_seconds=5):
            assert not descriptor.is_closed
    finally:
        answers.set()
    await world.settled(lambda: descriptor.is_closed)
