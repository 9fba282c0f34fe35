"""Directories that are removed just when something is put into them: nothing is lost, and what is told is so."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from harness.archives import tar_of
from harness.folders import files_below
from harness.tus import LARGE
from harness.world import FOLDER, World

pytestmark = [pytest.mark.anyio, pytest.mark.folder]


class Removing:
    """Removes a directory each time before something gets a name in it."""

    def __init__(self, directory: Path, times: int, monkeypatch: pytest.MonkeyPatch) -> None:
        self._directory = directory
        self.left = times
        for name in ("rename", "link"):
            monkeypatch.setattr(os, name, self._after(getattr(os, name)))

    def _after(self, put: Any) -> Any:
        def removed(source: str, target: str, **more: Any) -> None:
            if self.left and more.get("dst_dir_fd") is not None and target == "f":
                self.left -= 1
                self._directory.rmdir()
            put(source, target, **more)

        return removed


@pytest.mark.parametrize("times", [1, 5])
@pytest.mark.parametrize("size", [5, LARGE])
async def test_a_file_whose_directory_is_removed_gets_another_one(
    world: World, size: int, times: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    (world.folder / "d").mkdir()
    token, data = await world.upload_token("d/f", size), os.urandom(size)
    removing = Removing(world.folder / "d", times, monkeypatch)
    assert (await world.patch(token, 0, data)).status == 204
    assert removing.left == 0
    assert files_below(world.folder) == {"d/f": data}
    (event,) = world.events("file.uploaded")
    assert (event.body["path"], event.body["recovered"]) == ("d/f", False)


@pytest.mark.parametrize("size", [5, LARGE])
async def test_a_file_that_finds_no_directory_keeps_its_bytes(
    world: World, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Others remove it all the time, or a link that leads nowhere is in the way."""
    (world.folder / "d").symlink_to("nowhere")
    token, data = await world.upload_token("d/f", size), os.urandom(size)
    assert (await world.patch(token, 0, data)).status == 400
    assert world.events("file.uploaded") == []
    (world.folder / "nowhere").mkdir()
    offset = int((await world.client("HEAD", f"/upload?token={token}")).headers["Upload-Offset"])
    assert (await world.patch(token, offset, data[offset:])).status == 204
    assert files_below(world.folder) == {"nowhere/f": data}
    assert len(world.events("file.uploaded")) == 1


async def test_so_do_files_of_an_archive(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    contents = {"d/f": b"1", "e/g": b"2", "e/f": b"3"}
    archive = tar_of(contents)
    token = await world.upload_token("a.tar", len(archive))
    (world.folder / "d").mkdir()
    removing = Removing(world.folder / "d", 1, monkeypatch)
    assert (await world.patch(token, 0, archive, extract="1")).status == 204
    assert removing.left == 0
    assert files_below(world.folder) == contents


async def test_an_archive_is_unpacked_though_its_last_directory_is_removed(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive, rename = tar_of({"e/g": b"2", "d/f": b"1"}), os.rename

    def renamed(source: str, target: str, **more: Any) -> None:
        rename(source, target, **more)
        if more.get("dst_dir_fd") is not None and target == "f":
            (world.folder / "d/f").unlink()
            (world.folder / "d").rmdir()

    monkeypatch.setattr(os, "rename", renamed)
    token = await world.upload_token("a.tar", len(archive))
    assert (await world.patch(token, 0, archive, extract="1")).status == 204
    assert files_below(world.folder) == {"e/g": b"2"}
    assert len(world.events("archive.unpacked")) == 1


async def test_a_directory_is_made_though_the_one_above_it_is_removed(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    mkdir = os.mkdir

    def made(name: str, *mode: int, dir_fd: int | None = None) -> None:
        if name == "f":
            monkeypatch.undo()
            (world.folder / "d").rmdir()
        mkdir(name, *mode, dir_fd=dir_fd)

    (world.folder / "d").mkdir()
    monkeypatch.setattr(os, "mkdir", made)
    body = {"volume": "disk", "vfid": FOLDER, "relpath": "d/f"}
    assert (await world.manager("POST", "/folder/file/mkdir", body)).status == 200
    assert (world.folder / "d/f").is_dir()
