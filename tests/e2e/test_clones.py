"""Clones that outlive their workers."""

from __future__ import annotations

import json
import os
import random
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from harness.folders import FILES, OTHER, OTHER_PLACE, contents, fill, has_begun, over, task, worker_of
from harness.processes import FOLDER, PLACE, SCOPE, Site, ask, open_site, until

#: Files of a very large folder.
ENTRIES = int(os.environ.get("ENTRIES", "40000"))

pytestmark = pytest.mark.timeout(max(240, ENTRIES // 1000, FILES // 25))


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with open_site(tmp_path, volumes=("disk", "other"), actors__purge_interval_seconds=0.5) as found:
        for role in ("actor", "worker", "gateway"):
            found.start(role)
        found.api.make_folder()
        yield found


def clone(site: Site, volume: str | None = None) -> str:
    body = {"src_volume": "disk", "src_vfid": FOLDER, "dst_volume": volume, "dst_vfid": OTHER}
    answer = site.api.manager("POST", "/folder/clone", body)
    assert answer.status == 200, answer.body
    return str(answer.json["bgtask_id"])


@pytest.mark.parametrize("volume", ["disk", "other"])
def test_a_clone_outlives_its_workers(site: Site, volume: str) -> None:
    fill(site.folder)
    id_ = clone(site, volume)
    builds = site.path / "volumes" / volume / ".penstock/builds"
    for killed in range(3):
        until(lambda: has_begun(builds) or task(site, id_)["state"] == "done", "it has begun")
        time.sleep(0.2 * killed)
        worker_of(site).kill()
        site.start("worker")
    told = over(site, id_)
    assert told["state"] == "done", told
    assert told["items"] == FILES + 40 + 1
    target = site.path / "volumes" / volume / OTHER_PLACE
    assert contents(target) == contents(site.folder)
    assert (target / "big").read_bytes() == (site.folder / "big").read_bytes()
    assert not list(builds.iterdir())
    assert len(site.events("clone.completed")) == 1
    progress = site.events("task.progressed")
    assert all(event.body["items_total"] == FILES + 40 + 1 for event in progress)


def test_a_worker_counts_what_it_did(site: Site) -> None:
    fill(site.folder, 50)
    assert over(site, clone(site))["state"] == "done"
    done = 'backendai_bgtask_done_count_total{domain="",error_detail="",operation="",status="bgtask_done"'

    def metrics() -> str:
        return ask(worker_of(site).internal_port, "GET", "/metrics").body.decode()

    until(lambda: done in metrics(), "it is counted")
    assert 'backendai_bgtask_count{task_name="clone"} 0.0' in metrics()


def test_the_actor_dies_as_well(site: Site) -> None:
    fill(site.folder, 500)
    ids = []
    for number in range(12):
        folder = f"{SCOPE}/aabb01{number:02}-0000-4000-8000-000000000002"
        body = {"src_volume": "disk", "src_vfid": FOLDER, "dst_volume": "other", "dst_vfid": folder}
        ids.append(site.api.manager("POST", "/folder/clone", body).json["bgtask_id"])
        if number % 4 == 1:
            for role in list(site.running):
                if role.name in ("actor", "worker") and role.process.poll() is None:
                    role.kill()
                    site.start(role.name)
    for id_ in ids:
        assert over(site, id_)["state"] == "done"
    completed = [event.body["task"] for event in site.events("clone.completed")]
    assert sorted(completed) == sorted(ids), "each of them exactly once"
    expected = contents(site.folder)
    for number in range(12):
        place = PLACE.replace("aa/bb/0001000040008000000000000001", f"aa/bb/01{number:02}000040008000000000000002")
        assert contents(site.path / "volumes/other" / place) == expected
    assert not list((site.path / "volumes/other/.penstock/builds").iterdir())


def test_a_clone_is_cancelled(site: Site) -> None:
    fill(site.folder)
    worker_of(site).kill()
    id_ = clone(site, "other")
    until(lambda: task(site, id_)["state"] == "running", "it is known")
    done = site.penstock("tasks", "cancel", id_)
    assert done.returncode == 0, done.stderr
    assert task(site, id_)["cancelling"] is True
    again = site.api.manager("DELETE", f"/tasks/{id_}")
    assert (again.status, again.json["cancelling"]) == (202, True)
    site.start("worker")
    assert over(site, id_)["state"] == "cancelled"
    other = site.path / "volumes/other"
    assert not (other / OTHER_PLACE).exists()
    until(lambda: not list((other / ".penstock/trash").iterdir()), "nothing is left")
    assert not list((other / ".penstock/builds").iterdir())
    (event,) = site.events("clone.abandoned")
    assert "code" not in event.body
    (row,) = json.loads(site.penstock("tasks", "ls", "--json").stdout)
    assert (row["task"], row["state"]) == (id_, "cancelled")
    late = site.penstock("tasks", "cancel", id_)
    assert late.returncode == 1
    assert "it is over" in late.stderr


def test_a_very_large_folder_is_purged_while_others_work(site: Site) -> None:
    """Its worker is stopped in the middle, and another one goes on."""
    directories = max(1, ENTRIES // 1000)
    for directory in range(directories):
        (site.folder / str(directory)).mkdir()
        for number in range(ENTRIES // directories):
            (site.folder / str(directory) / str(number)).touch()
    answer = site.api.manager("POST", "/folder/delete", {"volume": "disk", "vfid": FOLDER})
    assert answer.status == 202
    id_ = answer.json["bgtask_id"]
    until(lambda: not site.folder.exists(), "it is gone at once")
    site.api.make_folder()
    until(lambda: task(site, id_)["items"] or task(site, id_)["state"] == "done", "it is being purged")
    assert worker_of(site).stop() == 0
    site.start("worker")
    uploads = 0
    while task(site, id_)["state"] == "running":
        site.api.upload(f"{uploads}.bin", b"meanwhile")
        uploads += 1
    told = task(site, id_)
    assert told["state"] == "done"
    assert ENTRIES // 2 < told["items"] <= ENTRIES + directories
    assert os.listdir(site.volume / ".penstock/trash") == []
    assert len(os.listdir(site.folder)) == uploads
    print(uploads, "uploads meanwhile")


def test_cancelling_races_with_the_end(site: Site) -> None:
    """Whoever is first: it is whole and done, or cancelled and nothing of it is there."""
    fill(site.folder, 200)
    expected, chance, outcomes = contents(site.folder), random.Random(3), Counter[str]()
    for number in range(24):
        folder = f"{SCOPE}/aabb02{number:02}-0000-4000-8000-000000000002"
        body = {"src_volume": "disk", "src_vfid": FOLDER, "dst_volume": "other", "dst_vfid": folder}
        id_ = site.api.manager("POST", "/folder/clone", body).json["bgtask_id"]
        until(lambda id_=id_: task(site, id_)["state"] != "unknown", "it is known")
        time.sleep(chance.random() * 0.5)
        answer = site.api.manager("DELETE", f"/tasks/{id_}")
        assert answer.status in (202, 409), answer.body
        state = over(site, id_)["state"]
        outcomes[state] += 1
        place = PLACE.replace("aa/bb/0001000040008000000000000001", f"aa/bb/02{number:02}000040008000000000000002")
        target = site.path / "volumes/other" / place
        if state == "done":
            assert contents(target) == expected
        else:
            assert state == "cancelled"
            assert not target.exists()
    until(lambda: not list((site.path / "volumes/other/.penstock/trash").iterdir()), "nothing is left", 60)
    assert not list((site.path / "volumes/other/.penstock/builds").iterdir())
    ended = Counter(
        event.body["task"] for event in site.events() if event.type in ("clone.completed", "clone.abandoned")
    )
    assert set(ended.values()) == {1}
    assert len(ended) == 24
    print(outcomes)
