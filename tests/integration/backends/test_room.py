"""Small files are expected where there is room for them, without asking for each of them."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from uuid import uuid4

import pytest

from backends.contract import Operation
from backends.mounted import beneath, room, staging
from backends.mounted.beneath import open_root
from backends.mounted.mountinfo import MountedAs
from backends.observer import SilentObserver
from backends.registry import Site
from backends.settings import ThreadSettings
from backends.vfs import open_volume
from backends.vfs.volume import VfsVolume
from domain.errors import NotFoundError, StorageFullError
from domain.ids import QuotaScopeId, VFolderId, VolumeName

pytestmark = pytest.mark.anyio

SCOPE = QuotaScopeId.parse("user:11111111-1111-4111-8111-111111111111")
FOLDER = VFolderId(SCOPE, uuid4())


@pytest.fixture
async def volume(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[VfsVolume]:
    monkeypatch.setattr(beneath, "mounted_as", lambda path: MountedAs("/", "direct", "", "", "ext4"))
    site = Site(VolumeName("disk"), {"path": str(tmp_path)}, ThreadSettings(), SilentObserver())
    async with open_volume(site) as opened:
        await opened.take_over(1)
        await opened.create_scope(Operation(uuid4(), 1), SCOPE, None)
        await opened.create_folder(Operation(uuid4(), 1), FOLDER, 0o755)
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
