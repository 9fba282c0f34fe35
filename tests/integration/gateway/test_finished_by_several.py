"""Uploads that several requests finish at once, each with a will of its own."""

from __future__ import annotations

import hashlib
from typing import Any

import anyio
import pytest
from harness.tus import LARGE, Collection
from harness.uploads import session_of
from harness.world import World

from backends.contract import Committed
from backends.mounted.files import MountedFiles
from domain.errors import NotFoundError
from gateway.uploads.open_upload import OpenUpload
from gateway.uploads.uploads import Uploads

pytestmark = [pytest.mark.anyio, pytest.mark.folder]

DATA = b"x" * LARGE


@pytest.fixture
def stored(monkeypatch: pytest.MonkeyPatch) -> anyio.Event:
    """Two requests find an upload whole, the first at this event; the second goes on while the first renames it."""
    first, second, renaming, also = (anyio.Event() for _ in range(4))
    finish, commit = Uploads.finish, MountedFiles.commit_staging

    async def finish_in_turn(uploads: Uploads, opened: OpenUpload, *args: Any, **more: Any) -> None:
        if first.is_set():
            second.set()
            await renaming.wait()
        else:
            first.set()
            await second.wait()
        await finish(uploads, opened, *args, **more)

    async def commit_in_turn(files: MountedFiles, *args: Any, **more: Any) -> Committed:
        if renaming.is_set():
            also.set()
            await anyio.sleep(0.2)
            return await commit(files, *args, **more)
        renaming.set()
        with anyio.move_on_after(2):
            await also.wait()
        done = await commit(files, *args, **more)
        await anyio.sleep(0.4)
        return done

    monkeypatch.setattr(Uploads, "finish", finish_in_turn)
    monkeypatch.setattr(MountedFiles, "commit_staging", commit_in_turn)
    return first


async def test_what_is_told_is_where_it_was_put(world: World, stored: anyio.Event) -> None:
    for name in ("one", "two"):
        (world.folder / name).mkdir()
    token, statuses = await world.upload_token("a", LARGE), list[int]()

    async def send() -> None:
        statuses.append((await world.patch(token, 0, DATA, dst_dir="one")).status)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(send)
        await stored.wait()
        statuses.append((await world.client("HEAD", f"/upload?token={token}&dst_dir=two")).status)
    assert sorted(statuses) == [200, 204]
    (event,) = world.events("file.uploaded")
    assert event.body["path"] == "one/a"
    assert [str(path.relative_to(world.folder)) for path in world.folder.rglob("a")] == ["one/a"]
    assert (world.folder / "one/a").read_bytes() == DATA


async def test_an_upload_whose_bytes_are_gone_is_tried_once(world: World) -> None:
    """Nobody else has finished it, or that would be recorded: it is no use to look again and again."""
    token = await world.upload_token("a", LARGE)
    assert (await world.patch(token, 0, DATA[:1000])).status == 204
    session = session_of(token)
    await world.let_go(session)
    (world.folder / ".upload" / session).unlink()
    known = await world.gate.uploads.sessions.require(session)
    with anyio.fail_after(5), pytest.raises(NotFoundError):
        await world.gate.uploads.finisher.finish(known, sha256=hashlib.sha256(DATA).digest())
    assert not world.events("file.uploaded")


async def test_one_that_is_dropped_once_it_is_at_its_place_is_told_of(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who has put it there has not yet said so; whoever drops it then drops one that is finished."""
    files, commit = await Collection.open(world), MountedFiles.commit_staging
    is_there, may_go = anyio.Event(), anyio.Event()

    async def stand_still(mine: MountedFiles, *args: Any, **more: Any) -> Committed:
        done = await commit(mine, *args, **more)
        is_there.set()
        await may_go.wait()
        return done

    monkeypatch.setattr(MountedFiles, "commit_staging", stand_still)
    url = await files.begin(LARGE)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(files.patch, url, 0, DATA)
        await is_there.wait()
        assert (await files.delete(url)).status == 204
        may_go.set()
    assert (world.folder / "a").read_bytes() == DATA
    assert len(world.events("file.uploaded")) == 1
    assert (await files.head(url)).status == 410
