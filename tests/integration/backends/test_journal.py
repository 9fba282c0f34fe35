"""The journal of a mounted volume: what a crash tears off, and how old entries go."""

from __future__ import annotations

from pathlib import Path

import pytest

from backends.mounted import journal as journal_module
from backends.mounted.area import Area
from backends.mounted.beneath import open_root
from backends.mounted.journal import Journal


@pytest.fixture
def area(tmp_path: Path) -> Area:
    area = Area(open_root(tmp_path))
    area.prepare()
    return area


def files(tmp_path: Path) -> list[Path]:
    return sorted((tmp_path / ".penstock/journal").iterdir())


def test_what_was_torn_off_is_left_out_and_nothing_else(tmp_path: Path, area: Area) -> None:
    first, second = Journal(area), Journal(area)
    first.append(1, [b"one", b"two"])
    (file,) = files(tmp_path)
    whole = file.read_bytes()
    second.append(2, [b"three"])
    for length in range(len(whole)):
        kept = [b"one"] if length >= 8 + 3 else []
        for rest in (0, 20):  # a power failure may leave zeros
            file.write_bytes(whole[:length] + bytes(rest))
            assert first.read() == [*kept, b"three"]
    for damaged in range(len(whole)):
        file.write_bytes(bytes(byte ^ (index == damaged) for index, byte in enumerate(whole)))
        assert first.read() in ([b"three"], [b"one", b"three"])


def test_the_same_epoch_never_writes_behind_what_was_torn_off(tmp_path: Path, area: Area) -> None:
    Journal(area).append(1, [b"one", b"two"])
    (file,) = files(tmp_path)
    file.write_bytes(file.read_bytes()[:-1])
    Journal(area).append(1, [b"three"])
    assert Journal(area).read() == [b"one", b"three"]


def test_the_oldest_go_when_there_are_too_many(tmp_path: Path, area: Area, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal_module, "_FILE_BYTES", 1000)
    monkeypatch.setattr(journal_module, "_TOTAL_BYTES", 5000)
    journal = Journal(area)
    for number in range(100):
        journal.append(1 + number // 30, [b"%03d" % number + b"x" * 200])
    numbers = [int(entry[:3]) for entry in journal.read()]
    assert numbers == list(range(100 - len(numbers), 100))
    assert 15 < len(numbers) < 30
    assert sum(file.stat().st_size for file in files(tmp_path)) <= 6100


def test_an_area_of_an_earlier_release_gets_its_journal(tmp_path: Path, area: Area) -> None:
    (tmp_path / ".penstock/journal").rmdir()
    area.prepare()
    Journal(area).append(1, [b"one"])
    assert Journal(area).read() == [b"one"]
