"""Passes over all files with a digest, where something stands in their way."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from harness.world import FOLDER, OTHER, World, digest

from actors.scrub import Row, Scrub
from backends.contract import Listing
from backends.mounted.files import MountedFiles
from backends.mounted.read_handle import MountedReadHandle
from domain.errors import (
    BackendFaultError,
    BackendUnavailableError,
    BusBrokenError,
    ForbiddenError,
    NotFoundError,
    PenstockError,
)
from domain.ids import VFolderId
from domain.paths import RelativePath

#: Has something fail.
Fails = Callable[[pytest.MonkeyPatch, PenstockError], None]

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


async def three(world: World) -> None:
    """Three files in directories of their own, of which the first and the last are damaged."""
    for name in ("a/f", "b/g", "c/h"):
        await world.upload(name, b"123")
    for name in ("a/f", "c/h"):
        damage(world.folder / name)


def file_fails(monkeypatch: pytest.MonkeyPatch, error: PenstockError) -> None:
    """Have reading b/g fail."""
    real = MountedReadHandle._read

    def read(handle: MountedReadHandle, offset: int, count: int) -> bytes:
        with handle.descriptor.use() as fd:
            if os.readlink(f"/proc/self/fd/{fd}").endswith("b/g"):
                raise error
        return real(handle, offset, count)

    monkeypatch.setattr(MountedReadHandle, "_read", read)


def directory_fails(monkeypatch: pytest.MonkeyPatch, error: PenstockError) -> None:
    """Have listing b fail."""
    real = MountedFiles.listing

    async def listing(files: MountedFiles, path: RelativePath, *, limit: int) -> Listing:
        if path.name == "b":
            raise error
        return await real(files, path, limit=limit)

    monkeypatch.setattr(MountedFiles, "listing", listing)


BROKEN = [(file_fails, "b/g"), (directory_fails, "b")]


@pytest.mark.parametrize(("fails", "path"), BROKEN, ids=["file", "directory"])
@pytest.mark.parametrize("error", [BackendFaultError("the storage failed: EIO"), ForbiddenError("not permitted")])
async def test_what_cannot_be_read_is_told_and_passed_over(
    world: World, monkeypatch: pytest.MonkeyPatch, fails: Fails, path: str, error: PenstockError
) -> None:
    await three(world)
    fails(monkeypatch, error)
    work = Scrub(world.bus, keep=False)
    rows = {row["path"]: row async for row in work.volume(world.volume)}
    assert sorted(rows) == ["a/f", path, "c/h"]
    assert rows[path]["unreadable"] == error.message
    assert "kept_sha256" in rows["a/f"]
    assert work.found == {"damaged": 2, "unreadable": 1}
    assert len(world.events("file.damaged")) == 2


@pytest.mark.parametrize("fails", [file_fails, directory_fails])
async def test_a_storage_that_does_not_answer_ends_a_scrub(
    world: World, monkeypatch: pytest.MonkeyPatch, fails: Fails
) -> None:
    await three(world)
    fails(monkeypatch, BackendUnavailableError("the storage does not answer"))
    with pytest.raises(BackendUnavailableError):
        await scrubbed(world)


async def test_damage_that_nobody_can_be_told_of_ends_a_scrub(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def publish(*_: object) -> None:
        raise BusBrokenError("Redis is away")

    await three(world)
    monkeypatch.setattr(world.bus.events, "publish", publish)
    with pytest.raises(BusBrokenError):
        await scrubbed(world)


async def test_a_scrub_of_a_folder_that_is_not_there_is_refused(world: World) -> None:
    work = Scrub(world.bus, keep=False)
    with pytest.raises(NotFoundError):
        _ = [row async for row in work.volume(world.volume, VFolderId.parse(OTHER))]
    await world.upload("a", b"123")
    assert [row async for row in work.volume(world.volume, VFolderId.parse(FOLDER))] == []
    assert work.found == {"intact": 1}
