"""Looking for what belongs to nothing while folders are deleted and come back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from harness.trees import SOURCE, op

from backends.mounted import leftovers
from backends.vfs.volume import VfsVolume

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("looks", range(1, 9))
async def test_what_is_deleted_meanwhile_is_no_leftover(
    volume: VfsVolume, source: Path, monkeypatch: pytest.MonkeyPatch, looks: int
) -> None:
    deletion, names_in, looked = op(), leftovers.names_in, list[int]()

    def beside(place: Any) -> list[str]:
        looked.append(1)
        if len(looked) == looks:
            volume._trash.delete(deletion, SOURCE)
        return names_in(place)

    monkeypatch.setattr(leftovers, "names_in", beside)
    assert await volume.leftovers() == []


@pytest.mark.parametrize("looks", range(1, 9))
async def test_what_comes_back_meanwhile_is_no_leftover(
    volume: VfsVolume, source: Path, monkeypatch: pytest.MonkeyPatch, looks: int
) -> None:
    deletion, names_in, looked = op(), leftovers.names_in, list[int]()
    await volume.delete_folder(deletion, SOURCE)

    def beside(place: Any) -> list[str]:
        names = names_in(place)
        looked.append(1)
        if len(looked) == looks:
            volume._trash.restore(op(), deletion.id, SOURCE, None)
        return names

    monkeypatch.setattr(leftovers, "names_in", beside)
    assert await volume.leftovers() == []


async def test_what_nothing_tells_of_is_a_leftover(volume: VfsVolume, tmp_path: Path) -> None:
    (tmp_path / ".penstock/trash/something").mkdir()
    (tmp_path / ".penstock/lost/more").mkdir()
    assert [found.name for found in await volume.leftovers()] == ["trash/something", "lost/more"]
