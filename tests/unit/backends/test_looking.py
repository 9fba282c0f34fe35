"""A directory asked for at once tells what it tells entry by entry."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from backends.mounted.helping import fts
from backends.mounted.helping.looking import Sight, look_at
from backends.mounted.helping.resolving import find_resolver


def look(path: Path, leave_out: str = "", *, local: bool) -> Sight | None:
    fd = os.open(path, os.O_PATH)
    try:
        return look_at(find_resolver(), fd, (), leave_out, local=local)
    finally:
        os.close(fd)


def both(path: Path, leave_out: str = "") -> Sight:
    at_once, one_by_one = (in_a_thread(partial(look, path, leave_out, local=local)) for local in (True, False))
    assert at_once is not None
    assert one_by_one is not None
    assert at_once[:2] == one_by_one[:2]
    (figures, names, links), (others, other_names, other_links) = at_once[2], one_by_one[2]
    assert (figures, sorted(names), sorted(links)) == (others, sorted(other_names), sorted(other_links))
    return at_once


def in_a_thread(work: Callable[[], Sight | None]) -> Sight | None:
    """As the threads of a volume do it, beside others."""
    found: list[Sight | None] = []
    thread = threading.Thread(target=lambda: found.append(work()))
    thread.start()
    thread.join()
    return found[0]


@pytest.fixture(autouse=True)
def _can_be_used() -> None:
    assert fts.can_be_used(), "this machine has the library, and lets threads have directories of their own"


def test_entries_of_all_kinds(tmp_path: Path) -> None:
    place = os.fsencode(tmp_path)
    for number, name in enumerate((b"a", b"\xff\xfe", b"new\nline", b"x" * 255, "ж日".encode())):
        with open(place + b"/" + name, "wb") as file:
            file.write(b"y" * 5000 * number)
    for name in (b"dir", b"\xffdir", b"d" * 255):
        os.mkdir(place + b"/" + name)
    (tmp_path / "dir" / "below").write_bytes(b"not of this directory")
    (tmp_path / "link").symlink_to("/nowhere")
    (tmp_path / "to-dir").symlink_to("dir")
    os.mkfifo(tmp_path / "fifo")
    os.link(tmp_path / "a", tmp_path / "dir" / "twin")
    os.link(tmp_path / "fifo", tmp_path / "fifo-twin")
    with open(tmp_path / "holes", "wb") as file:
        file.truncate(5 << 40)
    (figures, names, links) = both(tmp_path)[2]
    assert figures[:2] == (13, 6)
    assert sorted(names) == sorted(["dir", "\udcffdir", "d" * 255])
    assert sorted(link[4] for link in links) == [False, False, True]
    assert figures[3] >= 5 << 40


@pytest.mark.parametrize("count", [0, 1, 3000])
def test_directories_of_many_sizes(tmp_path: Path, count: int) -> None:
    for number in range(count):
        (tmp_path / f"{number}").touch()
    assert both(tmp_path)[2][0][:2] == (count, count)


def test_a_name_that_is_left_out(tmp_path: Path) -> None:
    (tmp_path / "seen").write_bytes(b"12345")
    for make, remove in ((Path.mkdir, Path.rmdir), (Path.touch, Path.unlink)):
        make(tmp_path / "staging")
        assert both(tmp_path, "staging")[2][0][:4] == (1, 1, 5, 5)
        assert both(tmp_path)[2][0][0] == 2
        remove(tmp_path / "staging")


def test_a_thread_is_where_it_was(tmp_path: Path) -> None:
    before = Path.cwd()
    found = []

    def work() -> None:
        look(tmp_path, local=True)
        with open("/dev/null") as file, pytest.raises(NotADirectoryError), fts.Children(file.fileno()):
            pass
        found.append((fts.can_be_used(), Path.cwd()))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert found == [(True, before)]
    assert Path.cwd() == before


def test_names_come_and_go_meanwhile(tmp_path: Path) -> None:
    for number in range(500):
        (tmp_path / f"stays-{number}").touch()
    stop = threading.Event()

    def change() -> None:
        number = 0
        while not stop.is_set():
            for name in range(200):
                (tmp_path / f"{number}-{name}").touch()
            for name in range(200):
                (tmp_path / f"{number}-{name}").unlink()
            number += 1

    thread = threading.Thread(target=change)
    thread.start()
    try:
        for _ in range(100):
            seen = look(tmp_path, local=True)
            assert seen is not None
            assert seen[2][0][0] >= 500
    finally:
        stop.set()
        thread.join()


def test_the_status_of_an_entry_that_cannot_be_had(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Vanished ones are passed over, of others it is told."""
    (tmp_path / "file").touch()
    unknown = fts.ENTRY.unpack_from

    class Entry:
        @staticmethod
        def unpack_from(memory: object, at: int) -> tuple[int, int, int]:
            following, _, known = unknown(memory, at)
            return following, fts.UNKNOWN, known

    monkeypatch.setattr(fts, "ENTRY", Entry)
    monkeypatch.setattr(fts, "error_of", lambda _: FileNotFoundError())
    seen = look(tmp_path, local=True)
    assert seen is not None
    assert seen[2][0][0] == 0
    monkeypatch.setattr(fts, "error_of", lambda _: PermissionError())
    with pytest.raises(PermissionError):
        look(tmp_path, local=True)
