"""Selections that were made to hold up everybody else."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from harness.world import FOLDER, World, open_world

from gateway.client.selecting import Selecting

pytestmark = pytest.mark.anyio


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with open_world(tmp_path) as opened:
        await opened.make_folder()
        for number in range(50):
            (opened.folder / f"a{number}").mkdir()
        (opened.folder / "a1" / "x.csv").write_text("x")
        yield opened


@pytest.fixture
def on_loop(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many entries were compared with how many names of patterns, on the event loop."""
    found: list[int] = []
    look, loop = Selecting._look, threading.get_ident()

    def watched(self: Selecting, patterns: Any, directory: Any, state: int, entries: Any, matched: Any) -> Any:
        if threading.get_ident() == loop:
            found.append(len(entries) * state.bit_count())
        return look(self, patterns, directory, state, entries, matched)

    monkeypatch.setattr(Selecting, "_look", watched)
    return found


async def selected(world: World, *files: str) -> int:
    body = {"volume": "disk", "virtual_folder_id": FOLDER, "files": list(files)}
    answer = await world.manager("POST", "/folder/file/archive-download-token", body)
    assert answer.status == 200, answer.body
    return (await world.client("GET", f"/download-archive?token={answer.json['token']}")).status


async def test_few_entries_are_not_compared_with_very_many_names_on_the_event_loop(
    world: World, on_loop: list[int]
) -> None:
    patterns = [f"**/a*{'/**/a*' * 10}/{number}*" for number in range(31)]
    assert await selected(world, *patterns, "**/*.csv") == 200
    assert on_loop, "small steps are done at once"
    assert max(on_loop) <= 1000


async def test_runs_of_any_directories(world: World, on_loop: list[int]) -> None:
    assert await selected(world, "**/" * 1000 + "*.csv") == 200
    assert max(on_loop) <= 100


async def test_more_names_in_patterns_than_may_be(world: World) -> None:
    assert await selected(world, *["*/" * 40 + str(number) for number in range(32)]) == 413


async def test_patterns_that_are_given_again_count_once(world: World) -> None:
    assert await selected(world, *["*/" * 40 + "x.csv"] * 33, "a1/*.csv") == 200
