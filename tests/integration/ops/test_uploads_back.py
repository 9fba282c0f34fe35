"""Uploads whose records Redis has lost, made known again while their clients come back by themselves."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from harness.tus import LARGE, Collection
from harness.world import World, open_world

from ops.uploads_back import UploadsBack

pytestmark = pytest.mark.anyio

DATA = os.urandom(LARGE)


def back(world: World, *, dry_run: bool) -> UploadsBack:
    gate = world.gate
    return UploadsBack(world.bus, gate.volumes, gate.relays, gate.settings, 0.4, dry_run=dry_run)


@pytest.mark.parametrize("dry_run", [False, True])
async def test_what_goes_meanwhile_is_passed_over(tmp_path: Path, dry_run: bool) -> None:
    async with open_world(tmp_path) as world:
        await world.make_folder()
        files = await Collection.open(world)
        urls = {url.rpartition("/")[2]: url for url in [await files.begin(LARGE, name) for name in "abc"]}
        for name in urls:
            os.utime(world.folder / ".upload" / name, (1, 1))
        world.store.records.clear()
        told = list[str]()
        async for row in back(world, dry_run=dry_run).differences(world.volume):
            if not told:
                (first,) = [name for name in urls if name in row["difference"]]
                for name in urls.keys() - {first}:
                    assert (await files.delete(urls[name])).status == 204
            told.append(row["difference"])
        assert told == [f"unfinished upload {first} is on the volume, but has no record"]
        assert (await files.patch(urls[first], 0, DATA)).status == 204
