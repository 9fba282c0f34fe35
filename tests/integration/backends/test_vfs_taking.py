"""Files taken into the trash, and folders brought back, on a real file system."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest
from harness.trees import SOURCE, op, state

from backends.contract import Operation
from backends.vfs.volume import VfsVolume
from domain.errors import (
    FencedError,
    NotFoundError,
)
from domain.foreign_names import path_of
from domain.paths import RelativePath

pytestmark = pytest.mark.anyio


async def trashed(volume: VfsVolume, operation: Operation, *names: str, recursive: bool = True) -> list[str]:
    paths = [RelativePath.parse(name) for name in names]
    return [str(path) for path in await volume.trash_files(operation, SOURCE, paths, recursive=recursive)]


async def test_files_go_into_the_trash_at_once(volume: VfsVolume, source: Path) -> None:
    take = op()
    removed = await trashed(volume, take, "deep", "inside", "nowhere", "empty", "inside/er", "/".join(["x"] * 200))
    assert removed == ["deep", "inside", "empty"]
    assert not (source / "deep").exists()
    assert (source / "한글.txt").exists()
    (entry,) = await volume.trash()
    assert (entry.id, entry.folder, entry.files) == (take.id, SOURCE, True)
    (source / "deep").mkdir()
    assert await trashed(volume, take, "deep", "inside", "empty") == removed, "done again, it is done already"
    assert (source / "deep").exists()
    while not (purge := await volume.purge(take.id)).finished:
        pass
    assert purge.removed > 0
    await volume.drop_trash(take.id)
    assert await volume.trash() == []


async def test_names_that_are_no_utf8_are_known_again(volume: VfsVolume, source: Path) -> None:
    name = os.fsdecode(b"\xff" * 255)
    (source / name).touch()
    take, path = op(), path_of((name,))
    for _ in range(2):
        assert await volume.trash_files(take, SOURCE, [path], recursive=False) == [path]


async def test_directories_need_to_be_asked_for(volume: VfsVolume, source: Path) -> None:
    (source / "bare").mkdir()
    assert await trashed(volume, op(), "deep", "bare", recursive=False) == ["bare"]
    assert (source / "deep").exists()
    assert await trashed(volume, op(), ".", "nowhere", recursive=False) == []
    assert len(await volume.trash()) == 1


async def test_a_folder_is_emptied_but_for_unfinished_uploads(volume: VfsVolume, source: Path) -> None:
    assert await trashed(volume, op(), ".") == ["."]
    assert os.listdir(source) == [".upload"]


@pytest.mark.parametrize("number", [errno.EPERM, errno.EACCES, errno.EBUSY, errno.EXDEV])
async def test_what_may_not_be_taken_out_of_a_folder_stays(
    volume: VfsVolume, source: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """Such as what somebody has mounted there, or made immutable: the rest goes, and is purged."""
    rename = os.rename

    def refusing(name: str, target: str, **more: int) -> None:
        if name == "inside":
            raise OSError(number, os.strerror(number))
        rename(name, target, **more)

    monkeypatch.setattr(os, "rename", refusing)
    take = op()
    assert await trashed(volume, take, ".") == ["."]
    assert sorted(os.listdir(source)) == [".upload", "inside"]
    assert [entry.id for entry in await volume.trash()] == [take.id]


async def test_taking_files_goes_on_after_a_crash(volume: VfsVolume, source: Path, tmp_path: Path) -> None:
    """The first entry was taken, then the owner died; its name has been given anew since."""
    take, area = op(), tmp_path / ".penstock"
    note = area / f"trash/{take.id}.json"
    note.write_text(f'{{"folder": "{SOURCE}", "paths": [], "whole": false}}')
    (area / f"stage.1/e1/trash.{take.id}").mkdir()
    (source / "deep").rename(area / f"stage.1/e1/trash.{take.id}/0")
    (source / "deep").write_bytes(b"another one")
    await volume.take_over(2)
    assert await volume.trash() == [], "what is not whole is not purged"
    assert await trashed(volume, Operation(take.id, 2), "deep", "empty") == ["deep", "empty"]
    assert (source / "deep").read_bytes() == b"another one"
    assert not (source / "empty").exists()
    assert len(await volume.trash()) == 1


async def test_a_folder_is_either_restored_or_purged(volume: VfsVolume, source: Path) -> None:
    deletion, back = op(), op()
    await volume.delete_folder(deletion, SOURCE)
    await volume.purge(deletion.id)
    with pytest.raises(NotFoundError):
        await volume.restore_folder(back, deletion.id, SOURCE)
    (entry,) = await volume.trash()
    assert entry.doomed


async def test_restoring_goes_on_after_a_crash(volume: VfsVolume, source: Path, tmp_path: Path) -> None:
    before = state(source)
    deletion, back, area = op(), op(), tmp_path / ".penstock"
    await volume.delete_folder(deletion, SOURCE)
    (area / f"trash/{deletion.id}").rename(area / f"stage.1/e1/trash.{deletion.id}")
    await volume.take_over(2)
    for _ in range(2):
        await volume.restore_folder(Operation(back.id, 2), deletion.id, SOURCE)
    assert state(source) == before
    assert await volume.trash() == []
    with pytest.raises(FencedError):
        await volume.delete_folder(op(1), SOURCE)
