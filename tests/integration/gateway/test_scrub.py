"""Passes over all files with a digest, where something stands in their way."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from harness.world import World, digest

from actors.scrub import Row, Scrub

pytestmark = [pytest.mark.anyio, pytest.mark.folder]


def damage(path: Path) -> None:
    """Change a byte of a file, and neither its length nor its time."""
    known = path.stat()
    with path.open("r+b") as file:
        file.write(b"X")
    os.utime(path, ns=(known.st_atime_ns, known.st_mtime_ns))


async def scrubbed(world: World) -> list[Row]:
    """What a scrub of the volume tells."""
    return [row async for row in Scrub(world.bus, keep=False).volume(world.volume)]


async def test_a_damaged_file_whose_name_is_not_utf_8_is_told(world: World) -> None:
    await world.upload("f", b"123")
    os.rename(os.fsencode(world.folder / "f"), os.fsencode(world.folder) + b"/\xff")
    damage(world.folder / "\udcff")
    (row,) = await scrubbed(world)
    assert (row["path"], row["kept_sha256"], row["found_sha256"]) == ("\U0010ffff", digest(b"123"), digest(b"X23"))
    (event,) = world.events("file.damaged")
    assert event.body["path"] == "\U0010ffff"
