"""Archives that are unpacked by two gateways at once: a client that hears nothing for long asks the other one."""

from __future__ import annotations

from collections.abc import Sequence

import anyio
import pytest
from harness.archives import zip_of
from harness.world import Answer, World, open_world

from backends.contract import SmallFile
from backends.mounted.files import MountedFiles

pytestmark = [pytest.mark.anyio, pytest.mark.folder]

#: More than is stored together.
MANY = {f"{number:04}": b"archive" for number in range(500)}


async def test_who_is_slower_stores_nothing_over_what_came_when_all_was_unpacked(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = zip_of(MANY)
    token = await world.upload_token("archive", len(data))
    store_many, stands, goes_on = MountedFiles.store_many, anyio.Event(), anyio.Event()

    async def standing(self: MountedFiles, session: str, some: Sequence[SmallFile]) -> Sequence[int | None]:
        done = await store_many(self, session, some)
        if not stands.is_set():
            stands.set()
            await goes_on.wait()
        return done

    monkeypatch.setattr(MountedFiles, "store_many", standing)
    answers: list[Answer] = []

    async def first() -> None:
        answers.append(await world.patch(token, 0, data, extract="1"))

    async with anyio.create_task_group() as tasks, open_world(world.path, store=world.store) as other:
        tasks.start_soon(first)
        await stands.wait()
        assert (await other.client("HEAD", f"/upload?token={token}&extract=1")).status == 200
        assert len(world.events("archive.unpacked")) == 1
        (world.folder / "0499").write_bytes(b"newer")
        goes_on.set()
    assert (world.folder / "0499").read_bytes() == b"newer"
    assert [answer.status for answer in answers] == [204]
    assert len(world.events("archive.unpacked")) == 1
