"""Directories outside of all volumes, as a driver's own part has them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from backends.mounted.outside import open_outside
from backends.observer import SilentObserver
from backends.powers import KnowsItsPlace, ReadsAtOnce
from domain.errors import BackendUnavailableError, InvalidPathError, NotFoundError, Subject
from domain.paths import RelativePath

pytestmark = pytest.mark.anyio

FILE = RelativePath(("file",))


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    (tmp_path / "a" / "b" / "c").mkdir(parents=True)
    (tmp_path / "a" / "b" / "c" / "file").write_bytes(b"c")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "file").write_bytes(b"elsewhere")
    return tmp_path


@pytest.mark.parametrize(
    ("named", "admitted", "refused"),
    [
        ([], [], ["/", "/srv", ""]),
        (
            ["/srv/a"],
            ["/srv/a", "/srv/a/", "//srv/a/b", "/srv/./a", "/srv//a/b/"],
            ["/srv", "/srv/ab", "/srv/b", "/"],
        ),
        (["/srv/a/", "/srv/b/c"], ["/srv/a", "/srv/b/c/d"], ["/srv/b", "/srv", "/srv/a/..", "/srv/a/../b/c"]),
        (["/"], ["/", "/etc", "//"], ["", "etc", ".", "/..", "/a/../b", "/\0", "/\udc80", f"/{'a' * 256}"]),
        (["/srv/한"], ["/srv/한/글", "/srv/한/\U0010ff80"], ["/srv/\U0010ffed\U0010ff95\U0010ff9d", "/srv/\udced"]),
    ],
)
async def test_what_is_admitted(named: list[str], admitted: list[str], refused: list[str]) -> None:
    async with open_outside([Path(name) for name in named], SilentObserver()) as outside:
        assert {path for path in [*admitted, *refused] if outside.admits(path)} == set(admitted)
        for path in refused:
            with pytest.raises(InvalidPathError):
                async with outside.opened(path):
                    pass


async def test_the_nearest_named_one_counts(tree: Path) -> None:
    """A link is followed where it is what was named, and nowhere else."""
    (tree / "a" / "link").symlink_to(tree / "elsewhere")
    (tree / "a" / "b" / "up").symlink_to("../..")
    named = [tree / "a", tree / "a" / "link", tree / "a" / "b"]
    for order in (named, named[::-1]):
        async with open_outside(order, SilentObserver()) as outside:
            async with outside.opened(str(tree / "a" / "link")) as files:
                _, data = await files.open_or_read(FILE, lambda known: (0, known.size_bytes))
                assert data == b"elsewhere"
            for path in ("a/b/up", "a/b/up/elsewhere", "a/b/c/file", "a/b/x"):
                with pytest.raises((InvalidPathError, NotFoundError)) as raised:
                    async with outside.opened(str(tree / path)):
                        pass
                assert raised.value.subject is Subject.FILE
                assert str(tree) not in str(raised.value.facts), "what lies above is nobody's business"


async def test_it_is_read_and_nothing_else(tree: Path) -> None:
    path = tree / "a" / "b" / "c" / "file"
    async with open_outside([tree / "a"], SilentObserver()) as outside, outside.opened(str(path.parent)) as files:
        assert not isinstance(files, ReadsAtOnce)
        assert not any(hasattr(files, name) for name in ("move", "delete", "make_directories", "create_staging"))
        handle = await files.open_read(FILE)
        await handle.keep_sha256(bytes(32))
        assert await handle.sha256() is None
        assert isinstance(handle, KnowsItsPlace)
        assert await handle.place() is None
        assert os.listxattr(path) == []
        await handle.close()


async def test_it_is_closed_with_its_block_and_its_threads_with_all(tree: Path) -> None:
    before = set(os.listdir("/proc/self/fd"))
    async with open_outside([tree / "a"], SilentObserver()) as outside:
        async with outside.opened(str(tree / "a" / "b" / "c")) as files:
            handle = await files.open_read(FILE)
        assert await handle.read(0, 9) == b"c", "what was opened meanwhile stays open"
        await handle.close()
        with pytest.raises(BackendUnavailableError):
            await files.stat(FILE)
    assert set(os.listdir("/proc/self/fd")) <= before
    with pytest.raises(BackendUnavailableError):
        async with outside.opened(str(tree / "a")):
            pass
