"""What is in memory while a directory is gone through for its archive."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import pytest

from backends.contract import Entry, EntryKind, FileAccess, FileStat, Listing
from domain.errors import TooLargeError
from domain.paths import ROOT, RelativePath
from gateway.archive.composition import Composition, tag
from gateway.archive.manifest import Gatherer

pytestmark = pytest.mark.anyio

MOST = 50
_FILE, _DIRECTORY, _SOCKET = (
    FileStat(kind, 0, 0o644, 0, 0, number)
    for number, kind in enumerate((EntryKind.FILE, EntryKind.DIRECTORY, EntryKind.OTHER))
)


class Tree:
    """A folder that is made up when it is looked at.

    Args:
        wide, deep: directories in each directory but the deepest.
        within: what else is in each.
    """

    def __init__(self, wide: int, deep: int, within: Sequence[Entry] = (), *, only_last: bool = False) -> None:
        self._wide = wide
        self._deep = deep
        self._within = within
        #: Whether only the last directory of each has something in it.
        self._only_last = only_last
        self.listed: list[str] = []

    async def listing(self, path: RelativePath, *, limit: int) -> Listing:
        del limit
        self.listed.append(str(path))
        below = self._wide if len(path.parts) < self._deep else 0
        if self._only_last and any(part != f"d{self._wide - 1:04}" for part in path.parts):
            return Listing([], False)
        directories = [Entry(f"d{number:04}", _DIRECTORY) for number in range(below)]
        return Listing([*directories, *self._within], False)

    async def stat(self, path: RelativePath) -> FileStat:
        del path
        return _DIRECTORY

    def gatherer(self, most: int = MOST) -> Gatherer:
        return Gatherer(cast("FileAccess", self), most, lambda _: None)


def files(count: int) -> list[Entry]:
    return [Entry(f"f{number:04}", _FILE) for number in range(count)]


async def test_directories_are_looked_at_one_after_the_other() -> None:
    """So no more than one is in memory with all that is in it, and what is too much ends it."""
    tree = Tree(wide=20, deep=1, within=files(20))
    with pytest.raises(TooLargeError):
        await tree.gatherer().directory(ROOT)
    assert len(tree.listed) == 2


async def test_members_come_in_the_order_they_are_listed() -> None:
    manifest = await Tree(wide=2, deep=2, within=files(1)).gatherer().directory(ROOT)
    below = ["d0001/f0000", "d0001/d0001/f0000", "d0001/d0000/f0000"]
    assert [member.name for member in manifest.members] == [
        "f0000",
        *below,
        *[name.replace("d0001", "d0000", 1) for name in below],
    ]


async def test_directories_that_wait_count_before_anything_is_found_in_them() -> None:
    """Very many side by side, on very many floors: only at the bottom of all something is found."""
    tree = Tree(wide=40, deep=100, only_last=True)
    with pytest.raises(TooLargeError):
        await tree.gatherer().directory(ROOT)
    assert len(tree.listed) == 2


async def test_what_is_left_out_is_told_of_so_much_at_most() -> None:
    sockets = [Entry(f"s{number:04}", _SOCKET) for number in range(20)]
    tree = Tree(wide=20, deep=1, within=sockets)
    with pytest.raises(TooLargeError):
        await tree.gatherer().directory(ROOT)
    assert len(tree.listed) == 3


@pytest.mark.parametrize(("wide", "fits"), [(MOST, True), (MOST + 1, False)])
async def test_as_many_empty_directories_as_an_archive_may_hold(wide: int, fits: bool) -> None:
    tree = Tree(wide=wide, deep=1)
    if fits:
        assert len((await tree.gatherer().directory(ROOT)).members) == MOST
    else:
        with pytest.raises(TooLargeError):
            await tree.gatherer().directory(ROOT)


@pytest.mark.parametrize("portable", [True, False])
async def test_what_is_left_out_is_told_alike_in_whatever_order_it_was_met(portable: bool) -> None:
    """Another process may list a directory in another order, and has to resume the same archive."""
    sockets = [Entry(name, _SOCKET) for name in ("b", "c", "a")]
    one, other = [
        Composition.of(await Tree(1, 1, within).gatherer().directory(ROOT), portable=portable)
        for within in (sockets, [*sockets[::-1], sockets[0]])
    ]
    assert [line.partition(":")[0] for line in one.errors] == ["a", "b", "c", "d0000/a", "d0000/b", "d0000/c"]
    assert tag(one.whole(), "") == tag(other.whole(), "")
