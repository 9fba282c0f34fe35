"""The promises of the bus under faults, and runs with a protection switched off, which have to be found out."""

from __future__ import annotations

import os
from pathlib import Path

import anyio
import pytest
from harness.fault.run import Options, run
from harness.redis_server import SERVERS

EVERYTHING = {
    "kill_actor": 2,
    "kill_at_step": 4,
    "crowd": 1,
    "stop_actor": 1,
    "freeze_actor": 3,
    "kill_redis": 1,
    "flush_scripts": 1,
    "drop_connections": 2,
    "cut_answers": 3,
    "trouble_storage": 2,
}
SEEDS = range(int(os.environ.get("SEEDS", "1")))
SECONDS = 60 * float(os.environ["MINUTES"]) if "MINUTES" in os.environ else 10.0

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(240 + SECONDS)]


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("kind", SERVERS)
async def test_every_promise_holds_under_every_fault(kind: str, seed: int, tmp_path: Path) -> None:
    history, found = await run(SERVERS[kind](), tmp_path, seed, Options(EVERYTHING, SECONDS))
    assert found == [], f"see {tmp_path / 'history.txt'}"
    assert len(history.accepted) > 100
    assert len(history.faults) > 4


@pytest.mark.parametrize("seed", SEEDS)
async def test_after_everything_was_lost_nothing_is_done_twice_or_out_of_order(seed: int, tmp_path: Path) -> None:
    faults = {"lose_everything": 1, "kill_actor": 2, "freeze_actor": 1}
    options = Options(faults, SECONDS, poison=False, lossy=True)
    _, found = await run(SERVERS["redis"](), tmp_path, seed, options)
    assert found == [], f"see {tmp_path / 'history.txt'}"


@pytest.mark.parametrize("seed", SEEDS)
async def test_a_rolling_upgrade_loses_nothing(seed: int, tmp_path: Path) -> None:
    faults = {"upgrade_actor": 4, "kill_actor": 1, "kill_at_step": 1}
    history, found = await run(
        SERVERS["redis"](), tmp_path, seed, Options(faults, SECONDS, upgrade=True, poison=False)
    )
    assert found == [], f"see {tmp_path / 'history.txt'}"
    assert (tmp_path / "actors.log").read_text().count("is left waiting") > 0
    assert history.faults.count("upgrade_actor") > 2


async def test_ten_times_too_much_is_refused_and_not_lost(tmp_path: Path) -> None:
    options = Options({}, 8.0, clients=60, actors=1, volumes=("disk",), poison=False)
    history, found = await run(SERVERS["redis"](), tmp_path, 1, options)
    assert found == []
    assert history.busy > 0


# --- negative controls: a checker that never fails proves nothing -------------------------------------------


#: When faults fall is chance: where a violation did not show, it is looked for again.
TRIES = 5


async def broken(tmp_path: Path, options: Options, wanted: set[str]) -> bool:
    """Whether one of these promises is found broken, in one of some runs."""
    for seed in range(1, TRIES + 1):
        path = tmp_path / str(seed)
        await anyio.Path(path).mkdir()
        _, found = await run(SERVERS["redis"](), path, seed, options)
        if wanted & {text.partition(":")[0] for text in found}:
            return True
    return False


@pytest.mark.timeout(600)
async def test_without_recognising_its_own_traces_an_effect_meets_itself(tmp_path: Path) -> None:
    options = Options({"kill_actor": 3, "trouble_storage": 3}, without=("probe",), poison=False)
    assert await broken(tmp_path, options, {"I1"})


@pytest.mark.timeout(600)
async def test_refusing_what_already_shows_leaves_effects_without_events(tmp_path: Path) -> None:
    options = Options({"trouble_storage": 1}, 5.0, without=("completing",), poison=False, failing=0.05)
    assert await broken(tmp_path, options, {"I3", "I4"})


@pytest.mark.timeout(600)
async def test_a_release_that_knows_of_no_later_one_sets_good_commands_aside(tmp_path: Path) -> None:
    options = Options({"upgrade_actor": 1}, 5.0, without=("waiting",), poison=False, upgrade=True)
    assert await broken(tmp_path, options, {"I10"})


@pytest.mark.timeout(600)
async def test_with_a_new_id_for_every_try_commands_are_done_twice(tmp_path: Path) -> None:
    options = Options({"cut_answers": 1, "drop_connections": 1}, fresh_ids=True, poison=False)
    assert await broken(tmp_path, options, {"I1", "I4"})


@pytest.mark.timeout(600)
async def test_trimmed_by_length_commands_are_lost(tmp_path: Path) -> None:
    options = Options({"trim_by_length": 1, "kill_actor": 1}, 5.0, poison=False, patience=3.0)
    assert await broken(tmp_path, options, {"I1", "I9"})


@pytest.mark.timeout(600)
async def test_without_the_journal_effects_lose_their_events(tmp_path: Path) -> None:
    options = Options({"lose_everything": 1}, without=("journal",), poison=False, lossy=True)
    assert await broken(tmp_path, options, {"I1", "I4"})
