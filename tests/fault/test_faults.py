"""The promises of the bus under faults, and runs with a protection switched off, which have to be found out."""

from __future__ import annotations

import os
from pathlib import Path

import anyio
import pytest
from harness.fault.clients import Habits
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
    "part_actor": 2,
    "cut_off_actor": 2,
    "hang_volumes": 2,
    "slow_volumes": 1,
    "step_actor": 2,
}
CALM = Habits(poison=False)
FORGETFUL = Habits(poison=False, lossy=True)
SEEDS = range(int(os.environ.get("SEEDS", "1")))
SECONDS = 60 * float(os.environ["MINUTES"]) if "MINUTES" in os.environ else 10.0
#: When faults fall is chance: where what is looked for did not show, it is looked for again.
TRIES = 12

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(240 + SECONDS)]


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("kind", SERVERS)
async def test_every_promise_holds_under_every_fault(kind: str, seed: int, tmp_path: Path) -> None:
    # Debian's server has an allocator that does not go with a clock of its own.
    stepping = kind != "redis"
    faults = {**EVERYTHING, "step_redis": 2} if stepping else EVERYTHING
    history, found = await run(SERVERS[kind](), tmp_path, seed, Options(faults, SECONDS, stepping=stepping))
    assert found == [], f"see {tmp_path / 'history.txt'}"
    assert len(history.accepted) > 100
    assert len(history.faults) > 4


@pytest.mark.parametrize("seed", SEEDS)
async def test_after_everything_was_lost_nothing_is_done_twice_or_out_of_order(seed: int, tmp_path: Path) -> None:
    faults = {"lose_everything": 1, "lose_lanes": 1, "truncate_log": 1, "kill_actor": 2, "freeze_actor": 1}
    options = Options(faults, SECONDS, habits=FORGETFUL)
    _, found = await run(SERVERS["redis"](), tmp_path, seed, options)
    assert found == [], f"see {tmp_path / 'history.txt'}"


@pytest.mark.parametrize("seed", SEEDS)
async def test_a_rolling_upgrade_loses_nothing(seed: int, tmp_path: Path) -> None:
    options = Options({"upgrade_actor": 4, "kill_actor": 1, "kill_at_step": 1}, SECONDS, upgrade=True, habits=CALM)
    for turn in range(TRIES):
        path = tmp_path / str(turn)
        await anyio.Path(path).mkdir()
        history, found = await run(SERVERS["redis"](), path, 1000 * turn + seed, options)
        assert found == [], f"see {path / 'history.txt'}"
        left = await anyio.Path(path / "actors.log").read_text()
        if "is left waiting" in left and history.faults.count("upgrade_actor") > 2:
            return
    raise AssertionError("no earlier release ever met what only a later one knows")


@pytest.mark.parametrize("seed", SEEDS)
async def test_two_primaries_at_once_do_nothing_twice_or_out_of_order(seed: int, tmp_path: Path) -> None:
    options = Options({"split_brain": 1}, SECONDS, habits=FORGETFUL, pair=True)
    history, found = await run(SERVERS["redis"](), tmp_path, seed, options)
    assert found == [], f"see {tmp_path / 'history.txt'}"
    assert history.faults.count("split_brain") > 2


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("quarantine", [(), ("quota.set",)], ids=["continue", "quarantine"])
async def test_what_was_set_aside_is_tried_again_in_its_turn(
    quarantine: tuple[str, ...], seed: int, tmp_path: Path
) -> None:
    faults = {"redrive": 3, "kill_actor": 1, "cut_answers": 1}
    options = Options(faults, SECONDS, habits=Habits(poison=False, sick=True), quarantine=quarantine)
    history, found = await run(SERVERS["redis"](), tmp_path, seed, options)
    assert found == [], f"see {tmp_path / 'history.txt'}"
    assert len(history.redriven) > 5


async def test_ten_times_too_much_is_refused_and_not_lost(tmp_path: Path) -> None:
    faults, limit = {"clogged_volumes": 1}, 100
    options = Options(faults, 8.0, clients=60, actors=1, volumes=("disk",), habits=CALM, queue_limit=limit)
    history, found = await run(SERVERS["redis"](), tmp_path, 1, options)
    assert found == []
    assert history.busy > 0
    assert history.deepest > 0.9 * limit


# --- negative controls: a checker that never fails proves nothing -------------------------------------------


async def broken(tmp_path: Path, options: Options, wanted: set[str], kind: str = "redis") -> bool:
    """Whether one of these promises is found broken, in one of some runs."""
    for seed in range(1, TRIES + 1):
        path = tmp_path / str(seed)
        await anyio.Path(path).mkdir()
        _, found = await run(SERVERS[kind](), path, seed, options)
        if wanted & {text.partition(":")[0] for text in found}:
            return True
    return False


@pytest.mark.timeout(600)
async def test_without_recognising_its_own_traces_an_effect_meets_itself(tmp_path: Path) -> None:
    options = Options({"kill_actor": 3, "trouble_storage": 3}, without=("probe",), habits=CALM)
    assert await broken(tmp_path, options, {"I1"})


@pytest.mark.timeout(600)
async def test_refusing_what_already_shows_leaves_effects_without_events(tmp_path: Path) -> None:
    options = Options({"trouble_storage": 1}, 5.0, without=("completing",), habits=CALM, failing=0.05)
    assert await broken(tmp_path, options, {"I3", "I4"})


@pytest.mark.timeout(600)
async def test_a_release_that_knows_of_no_later_one_sets_good_commands_aside(tmp_path: Path) -> None:
    options = Options({"upgrade_actor": 1}, 5.0, without=("waiting",), habits=CALM, upgrade=True)
    assert await broken(tmp_path, options, {"I10"})


@pytest.mark.timeout(600)
async def test_with_a_new_id_for_every_try_commands_are_done_twice(tmp_path: Path) -> None:
    options = Options({"cut_answers": 1, "drop_connections": 1}, habits=Habits(poison=False, fresh_ids=True))
    assert await broken(tmp_path, options, {"I1", "I4"})


@pytest.mark.timeout(600)
async def test_trimmed_by_length_commands_are_lost(tmp_path: Path) -> None:
    options = Options({"trim_by_length": 1, "kill_actor": 1}, 5.0, habits=CALM, patience=3.0)
    assert await broken(tmp_path, options, {"I1", "I9"})


@pytest.mark.timeout(600)
async def test_without_the_journal_effects_lose_their_events(tmp_path: Path) -> None:
    options = Options({"lose_everything": 1}, without=("journal",), habits=FORGETFUL)
    assert await broken(tmp_path, options, {"I1", "I4"})


@pytest.mark.timeout(600)
async def test_without_the_fence_late_effects_undo_later_ones(tmp_path: Path) -> None:
    options = Options({"cut_off_actor": 1}, clients=12, volumes=("disk", "shelf"), without=("fence",), habits=CALM)
    assert await broken(tmp_path, options, {"I3", "I4"})


@pytest.mark.timeout(600)
async def test_events_trimmed_by_length_are_missed(tmp_path: Path) -> None:
    options = Options({"trim_events_by_length": 1}, 5.0, habits=CALM)
    assert await broken(tmp_path, options, {"I5", "I6"})


@pytest.mark.timeout(600)
async def test_what_was_set_aside_and_is_published_anew_has_nobody_who_sent_it(tmp_path: Path) -> None:
    options = Options({"publish_letters_again": 1}, 5.0, habits=Habits(poison=False, sick=True))
    assert await broken(tmp_path, options, {"I1"})


@pytest.mark.timeout(600)
@pytest.mark.parametrize("protection", ["marks", "watchdog"])
async def test_without_counting_deaths_or_a_watchdog_poison_stays(protection: str, tmp_path: Path) -> None:
    options = Options({}, 4.0, without=(protection,), patience=8.0)
    assert await broken(tmp_path, options, {"I9", "I10"})


@pytest.mark.timeout(600)
async def test_who_believes_in_clocks_waits_for_the_dead(tmp_path: Path) -> None:
    faults = {"step_redis_back": 1, "kill_actor": 1}
    options = Options(faults, 5.0, without=("clocks",), stepping=True, habits=CALM, patience=8.0)
    assert await broken(tmp_path, options, {"I9"}, "valkey")
