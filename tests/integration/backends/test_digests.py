"""Digests kept with files on a mounted volume, with and without extended attributes."""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from backends.mounted import digests
from backends.mounted.area import Area
from backends.mounted.beneath import Beneath, open_root

DIGEST = hashlib.sha256(b"12345").digest()


@pytest.fixture
def mount(tmp_path: Path) -> Iterator[Beneath]:
    with open_root(tmp_path) as opened:
        Area(opened).prepare()
        yield opened


@pytest.fixture(params=["attribute", "aside"])
def place(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    if request.param == "aside":

        def refused(*_: object) -> bytes:
            raise OSError(errno.ENOTSUP, "not supported")

        monkeypatch.setattr(digests.os, "setxattr", refused)
        monkeypatch.setattr(digests.os, "getxattr", refused)
    return str(request.param)


@pytest.fixture
def file(tmp_path: Path) -> Iterator[int]:
    (tmp_path / "a").write_bytes(b"12345")
    fd = os.open(tmp_path / "a", os.O_RDWR)
    yield fd
    os.close(fd)


def test_a_digest_is_of_the_bytes_there(mount: Beneath, place: str, file: int, tmp_path: Path) -> None:
    assert digests.kept(mount, file) is None
    digests.keep(mount, file, DIGEST)
    assert digests.kept(mount, file) == DIGEST
    os.rename(tmp_path / "a", tmp_path / "b")
    assert digests.kept(mount, file) == DIGEST
    assert any((tmp_path / ".penstock" / "digests").iterdir()) == (place == "aside")


@pytest.mark.parametrize("change", ["length", "time"])
def test_a_digest_of_other_bytes_is_none(mount: Beneath, place: str, file: int, change: str) -> None:
    digests.keep(mount, file, DIGEST)
    if change == "length":
        os.ftruncate(file, 4)
        os.utime(file, ns=(0, 0))
    else:
        os.utime(file, ns=(0, os.fstat(file).st_mtime_ns + 1))
    assert digests.kept(mount, file) is None


@pytest.mark.parametrize("place", ["aside"], indirect=True)
def test_what_is_kept_aside_does_not_pile_up(mount: Beneath, place: str, file: int, tmp_path: Path) -> None:
    """Nobody hears of it when a file is removed; the next one that gets its number takes its place."""
    for time in range(3):
        os.utime(file, ns=(0, time))
        digests.keep(mount, file, DIGEST)
        assert digests.kept(mount, file) == DIGEST
    assert len(list((tmp_path / ".penstock" / "digests").glob("*/*"))) == 1


@pytest.mark.parametrize("text", [b"", b"zz 5 0", b"\xff\xff 5", b"00ff"])
def test_garbage_is_no_digest(mount: Beneath, file: int, text: bytes) -> None:
    stamp = f" 5 {os.fstat(file).st_mtime_ns}".encode()
    os.setxattr(file, "user.penstock.sha256", text + stamp)
    assert digests.kept(mount, file) is None


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EROFS])
def test_a_digest_the_file_does_not_take_is_kept_aside(
    mount: Beneath, file: int, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """Also where the file has one of other bytes, as a copy with all attributes has that was changed since."""
    digests.keep(mount, file, hashlib.sha256(b"other").digest())
    os.utime(file, ns=(0, 0))

    def refused(*_: object) -> None:
        raise OSError(number, "refused")

    monkeypatch.setattr(digests.os, "setxattr", refused)
    digests.keep(mount, file, DIGEST)
    assert digests.kept(mount, file) == DIGEST


def test_a_digest_that_cannot_be_kept_at_all_is_not(
    mount: Beneath, file: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object, **__: object) -> None:
        raise OSError(errno.EDQUOT, "over the limit")

    with monkeypatch.context() as patched:
        for name in ("setxattr", "mkdir"):
            patched.setattr(digests.os, name, refused)
        digests.keep(mount, file, DIGEST)
    assert digests.kept(mount, file) is None
