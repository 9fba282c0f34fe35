"""What is in memory of many archives that are made at once."""

from __future__ import annotations

from pathlib import Path

import pytest
from harness.world import FOLDER, Answer, World, open_world

pytestmark = pytest.mark.anyio

#: Entries below `d`.
ENTRIES = 12


async def fetch(world: World, form: str) -> Answer:
    if form == "selection":
        body = {"volume": "disk", "virtual_folder_id": FOLDER, "files": ["d/**/*"]}
        token = (await world.manager("POST", "/folder/file/archive-download-token", body)).json["token"]
        return await world.client("GET", f"/download-archive?token={token}")
    return await world.download("d", archive="1", format=form)


def held(world: World) -> int:
    return world.gate.archived._count


async def given_back(world: World, others: int) -> None:
    """Wait until no more than others have is held: a moment after an archive was sent, whatever became of it."""
    await world.settled(lambda: held(world) == others)


@pytest.mark.parametrize("form", ["zip", "tar.zst", "selection"])
async def test_who_comes_when_too_much_is_in_memory_is_to_come_again(tmp_path: Path, form: str) -> None:
    async with open_world(tmp_path, archives_limit=20) as world:
        await world.make_folder()
        for number in range(ENTRIES - 1):
            await world.upload(f"d/e/{number}", b"a")
        with world.gate.archived.of_archive() as take:
            for others, status in ((20 - ENTRIES, 200), (21 - ENTRIES, 503)):
                take(others - held(world))
                for _ in range(2):
                    answer = await fetch(world, form)
                    assert answer.status == status, answer.body
                    await given_back(world, others)
            assert answer.headers["Retry-After"] == "5"
            assert answer.json["type"].endswith(":busy")
        assert (await fetch(world, form)).status == 200


async def test_one_by_itself_has_its_own_limit_only(tmp_path: Path) -> None:
    async with open_world(tmp_path, archives_limit=1) as world:
        await world.make_folder()
        await world.upload("d/e/a", b"a")
        for _ in range(2):
            assert (await fetch(world, "tar")).status == 200
