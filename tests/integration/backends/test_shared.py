"""What another host has just changed, seen through a client that remembers names, as NFS's does."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from backends.mounted import beneath
from backends.mounted.beneath import Beneath
from backends.mounted.helping.resolving import DIRECTORY
from backends.mounted.mountinfo import MountedAs
from domain.paths import RelativePath

SHARED = MountedAs("/", "nfs", "server:/", "", "nfs4")
LOCAL = MountedAs("/", "direct", "/dev/sda", "", "ext4")
FOLDER = ("a", "b", "c")


class Remembering:
    """Resolves names by what was known of a directory when it was last opened for reading."""

    def __init__(self) -> None:
        self._known: dict[int, dict[str, int | None]] = {}

    def open(self, root_fd: int, parts: Sequence[str], flags: int, mode: int = 0) -> int:
        *before, name = parts
        parent = self.open_plain(root_fd, before)
        try:
            if self._look(parent, name) is None:
                raise FileNotFoundError(errno.ENOENT, name)
            return os.open(name, flags, mode, dir_fd=parent)
        finally:
            os.close(parent)

    def open_plain(self, root_fd: int, parts: Sequence[str]) -> int:
        fd = os.dup(root_fd)
        for part in parts:
            found = self._look(fd, part)
            os.close(fd)
            if found is None:
                raise FileNotFoundError(errno.ENOENT, part)
            fd = os.dup(found)
        return fd

    def _look(self, fd: int, name: str) -> int | None:
        names = self._known.setdefault(os.fstat(fd).st_ino, {})
        if name not in names:
            try:
                names[name] = os.open(name, os.O_PATH | os.O_CLOEXEC, dir_fd=fd)
            except FileNotFoundError:
                names[name] = None
        return names[name]

    def readable(self, fd: int) -> int:
        self.forget(fd)
        return os.open(".", os.O_RDONLY | os.O_DIRECTORY, dir_fd=fd)

    def forget(self, fd: int) -> None:
        for found in self._known.pop(os.fstat(fd).st_ino, {}).values():
            if found is not None:
                os.close(found)

    def close(self) -> None:
        for names in self._known.values():
            for found in names.values():
                if found is not None:
                    os.close(found)


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> Iterator[Remembering]:
    made = Remembering()
    monkeypatch.setattr(beneath, "readable", made.readable)
    yield made
    made.close()


@pytest.fixture(params=[SHARED, LOCAL], ids=["shared", "local"])
def root(request: pytest.FixtureRequest, tmp_path: Path, client: Remembering) -> Iterator[Beneath]:
    with Beneath(os.open(tmp_path, DIRECTORY), client, request.param) as opened:
        yield opened


def is_there(root: Beneath) -> bool:
    try:
        root.below(FOLDER).close()
    except FileNotFoundError:
        return False
    return True


@pytest.mark.parametrize("before", ["", "a", "a/b"])
def test_what_another_host_has_made_is_there(root: Beneath, tmp_path: Path, before: str) -> None:
    (tmp_path / before).mkdir(parents=True, exist_ok=True)
    assert not is_there(root)
    tmp_path.joinpath(*FOLDER).mkdir(parents=True)
    assert is_there(root) == root.mounted.is_shared, "a local file system is not asked twice"


def test_what_another_host_took_away_is_gone(root: Beneath, tmp_path: Path) -> None:
    tmp_path.joinpath(*FOLDER).mkdir(parents=True)
    assert is_there(root)
    tmp_path.joinpath(*FOLDER).rename(tmp_path / "trash")
    assert is_there(root) != root.mounted.is_shared
    tmp_path.joinpath(*FOLDER).mkdir()
    (tmp_path / "trash/old").touch()
    if root.mounted.is_shared:
        with root.below(FOLDER) as found:
            assert os.listdir(f"/proc/self/fd/{found.fd}") == [], "not the one that was there before"


def test_a_file_another_host_has_made_is_there(root: Beneath, tmp_path: Path) -> None:
    path = RelativePath.parse("d/file")
    (tmp_path / "d").mkdir()
    with pytest.raises(FileNotFoundError):
        root.open(path, os.O_RDONLY)
    (tmp_path / "d/file").write_bytes(b"1")
    if not root.mounted.is_shared:
        with pytest.raises(FileNotFoundError):
            root.open(path, os.O_RDONLY)
        return
    fd = root.open(path, os.O_RDONLY)
    assert os.read(fd, 2) == b"1"
    os.close(fd)


def test_what_is_not_a_directory_or_a_link_on_the_way_is_no_other_error(root: Beneath, tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a/b").symlink_to("elsewhere")
    (tmp_path / "file").touch()
    assert not is_there(root)
    for name in ("nothing/x", "a/b/c", "file"):
        with pytest.raises(OSError) as caught:
            os.close(root.open(RelativePath.parse(name), os.O_RDONLY | os.O_DIRECTORY))
        assert caught.value.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP)
