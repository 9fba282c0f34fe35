"""Small files are expected where there is room for them, without asking for each of them."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from uuid import uuid4

import pytest
from harness.ordered import FOLDER, SCOPE, keep_order, open_ordered

from backends.contract import Operation
from backends.mounted import room, staging
from backends.mounted.beneath import open_root
from backends.vfs.volume import VfsVolume
from domain.errors import NotFoundError, StorageFullError
from domain.ids import VFolderId

pytestmark = pytest.mark.anyio


@pytest.fixture
async def volume(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[VfsVolume]:
    keep_order(monkeypatch)
    async with open_ordered(tmp_path) as opened:
        yield opened


class Free:
    """What is free in folders, as their file system tells."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.bytes = 1 << 40
        #: How often it was asked.
        self.asked = 0
        patch.setattr(staging.os, "statvfs", self._tell)

    def _tell(self, _: int) -> SimpleNamespace:
        self.asked += 1
        return SimpleNamespace(f_bavail=self.bytes, f_frsize=1)


async def test_where_there_was_plenty_a_moment_ago_it_is_not_asked_for(
    volume: VfsVolume, monkeypatch: pytest.MonkeyPatch
) -> None:
    files, free = volume.files(FOLDER), Free(monkeypatch)
    await files.expect_whole(5)
    free.bytes = 0
    await files.expect_whole(5)
    assert free.asked == 1
    with pytest.raises(StorageFullError):
        await files.expect_whole(2 << 20)  # a small file it is not
    monkeypatch.setattr(room, "_RELIED_ON_SECONDS", 0.0)
    free.bytes = 1 << 40
    await files.expect_whole(2 << 20)  # and now it is relied on no more
    free.bytes = 0
    with pytest.raises(StorageFullError):
        await files.expect_whole(5)


async def test_where_there_was_not_much_it_is_asked_for(volume: VfsVolume, monkeypatch: pytest.MonkeyPatch) -> None:
    files, free = volume.files(FOLDER), Free(monkeypatch)
    free.bytes = (1 << 30) - 1
    await files.expect_whole(5)
    free.bytes = 4
    with pytest.raises(StorageFullError):
        await files.expect_whole(5)


async def test_plenty_in_one_folder_is_none_in_another(volume: VfsVolume, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file system tells for each folder what its project's quota leaves."""
    other = VFolderId(SCOPE, uuid4())
    await volume.create_folder(Operation(uuid4(), 1), other, 0o755)
    free = Free(monkeypatch)
    await volume.files(FOLDER).expect_whole(5)
    free.bytes = 0
    with pytest.raises(StorageFullError):
        await volume.files(other).expect_whole(5)


async def test_a_folder_that_is_gone_is_missed_though_there_was_plenty(volume: VfsVolume, tmp_path: Path) -> None:
    files = volume.files(FOLDER)
    await files.expect_whole(5)
    shutil.rmtree(tmp_path.joinpath(*FOLDER.directory))
    with pytest.raises(NotFoundError):
        await files.expect_whole(5)


def test_folders_with_plenty_are_forgotten(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(room, "_REMEMBERED", 2)
    monkeypatch.setattr(room, "_PLENTY", 0)
    found, folders = room.Room(), [VFolderId(SCOPE, uuid4()) for _ in range(3)]
    with open_root(tmp_path) as root:
        for folder in (folders[0], folders[1], folders[0], folders[2]):
            found.check(root, folder, 1)
    assert [found.surely_holds(folder, 1) for folder in folders] == [True, False, True]
