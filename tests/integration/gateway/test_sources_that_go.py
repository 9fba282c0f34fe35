"""Folders that go while they are copied."""

from __future__ import annotations

from typing import Any

import pytest
from harness.world import FOLDER, OTHER, World

from backends.mounted import tree_copy
from domain.ids import VFolderId

pytestmark = [pytest.mark.anyio, pytest.mark.folder]

BODY = {"volume": "disk", "vfid": FOLDER}


@pytest.mark.parametrize("made_again", [True, False])
async def test_what_is_purged_while_it_is_copied_is_no_whole_clone(
    world: World, monkeypatch: pytest.MonkeyPatch, *, made_again: bool
) -> None:
    monkeypatch.setattr(tree_copy, "_STEP_ENTRIES", 1)
    for name in ("a", "b/c", "b/d", "e/f"):
        await world.upload(name, b"1")
    copy_into = world.volume.copy_into

    async def copy(*args: Any) -> Any:
        copying = await copy_into(*args)
        assert not await copying.step()
        await world.manager("POST", "/folder/delete", BODY)
        await world.settled(lambda: world.events("vfolder.deleted"))
        (entry,) = await world.volume.trash()
        await world.volume.purge(entry.id)
        if made_again:
            await world.make_folder()
        return copying

    world.volume.copy_into = copy
    clone = {"src_volume": "disk", "src_vfid": FOLDER, "dst_volume": None, "dst_vfid": OTHER}
    await world.manager("POST", "/folder/clone", clone)
    await world.settled(lambda: world.events("clone.completed") or world.events("clone.abandoned"))
    (told,) = world.events("clone.abandoned")
    assert told.body["code"] == "not-found"
    assert VFolderId.parse(OTHER) not in [folder async for folder in world.volume.folders()]
