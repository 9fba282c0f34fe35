"""Folders that go to another volume, whoever dies meanwhile."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from harness.folders import OTHER, OTHER_PLACE, contents, fill, has_begun, over, task, worker_of
from harness.processes import FOLDER, SCOPE, Site, open_site, until

pytestmark = pytest.mark.timeout(240)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with open_site(tmp_path, volumes=("disk", "other"), actors__purge_interval_seconds=0.5) as found:
        for role in ("actor", "worker", "gateway"):
            found.start(role)
        found.api.make_folder()
        yield found


def target_of(site: Site) -> Path:
    return site.path / "volumes/other" / OTHER_PLACE


def migrate(site: Site) -> str:
    body = {"src_volume": "disk", "src_vfid": FOLDER, "dst_volume": "other", "dst_vfid": OTHER}
    answer = site.api.manager("POST", "/folder/migrate", body)
    assert answer.status == 202, answer.body
    return str(answer.json["task_id"])


def status(site: Site, volume: str, folder: str) -> str:
    answer = site.api.manager("GET", "/folder/status", {"volume": volume, "vfid": folder})
    return str(answer.json.get("status", answer.status)) if answer.status != 404 else "absent"


def nothing_is_left(site: Site) -> None:
    def left() -> list[Path]:
        return [
            found
            for volume in ("disk", "other")
            for place in ("trash", "purging", "builds")
            for found in (site.path / "volumes" / volume / ".penstock" / place).iterdir()
        ]

    until(lambda: not left(), "nothing is left", 60)


@contextmanager
def beside(work: Callable[[], Any]) -> Iterator[None]:
    """Do something again and again meanwhile."""
    over_now = threading.Event()

    def run() -> None:
        while not over_now.is_set():
            work()

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        over_now.set()
        thread.join()


def test_it_goes_whoever_dies(site: Site) -> None:
    fill(site.folder, 2000)
    expected = contents(site.folder)
    id_ = migrate(site)
    for number in range(6):
        role = ("worker", "actor")[number % 2]
        time.sleep(0.25 * number)
        site.alive(role).kill()
        site.start(role)
    told = over(site, id_)
    assert (told["state"], told["kind"], told["items"]) == ("done", "vfolder.migrate", len(expected)), told
    assert contents(target_of(site)) == expected
    assert not site.folder.exists()
    nothing_is_left(site)
    assert len(site.events("vfolder.migrated")) == 1
    assert len(site.events("vfolder.withdrawn")) == 1
    progress = site.events("task.progressed")
    assert progress
    assert all(event.body["size_bytes_total"] for event in progress), "it counts from its beginning to its end"
    listed = site.api.manager("GET", "/folders").json["items"]
    assert [(item["volume"], item["status"]) for item in listed] == [("other", "ready")]
    assert (status(site, "disk", FOLDER), status(site, "other", OTHER)) == ("absent", "ready")


def test_what_is_written_meanwhile_is_there_or_was_refused(site: Site) -> None:
    fill(site.folder, 1500)
    accepted: list[str] = []
    refused: list[int] = []

    def write() -> None:
        name = f"late-{len(accepted) + len(refused):05}"
        body = {"volume": "disk", "vfid": FOLDER, "relpath": [name], "parents": True, "exist_ok": False}
        answer = site.api.manager("POST", "/folder/file/mkdir", body)
        if answer.status == 200:
            accepted.append(name)
        else:
            refused.append(answer.status)

    with beside(write):
        id_ = migrate(site)
        assert over(site, id_)["state"] == "done"
        until(lambda: len(refused) > 3, "writers are told")
    assert len(accepted) > 3
    for name in accepted:
        assert (target_of(site) / name).is_dir(), f"{name} was acknowledged"
    assert not site.folder.exists()


def test_cancelled_it_stays(site: Site) -> None:
    fill(site.folder, 1500)
    expected = contents(site.folder)
    worker_of(site).kill()
    id_ = migrate(site)
    until(lambda: task(site, id_)["state"] == "running", "it is known")
    assert status(site, "other", OTHER) == "cloning"
    assert site.api.manager("DELETE", f"/tasks/{id_}").status == 202
    site.start("worker")
    assert over(site, id_)["state"] == "cancelled"
    assert contents(site.folder) == expected
    nothing_is_left(site)
    assert (status(site, "disk", FOLDER), status(site, "other", OTHER)) == ("ready", "absent")


@pytest.mark.parametrize("killed", [False, True])
def test_one_that_cannot_come_in_comes_back(site: Site, *, killed: bool) -> None:
    """Somebody makes its destination when it is on its way already."""
    fill(site.folder, 3000)
    expected = contents(site.folder)
    id_ = migrate(site)
    builds = site.path / "volumes/other/.penstock/builds"
    until(lambda: has_begun(builds), "it has begun")
    made = site.api.manager("POST", "/folder/create", {"volume": "other", "vfid": OTHER})
    assert made.status == 204
    if killed:
        until(lambda: bool(site.events("vfolder.withdrawn")), "it was taken from its place", 60)
        worker_of(site).kill()
        until(lambda: status(site, "disk", FOLDER) in ("performing", "ready"), "it is told")
        site.start("worker")
    told = over(site, id_)
    assert told["state"] == "failed", told
    until(lambda: status(site, "disk", FOLDER) == "ready", "it is back", 60)
    assert contents(site.folder) == expected
    assert contents(target_of(site)) == {}
    nothing_is_left(site)
    listed = site.api.manager("GET", "/folders").json["items"]
    assert sorted(item["volume"] for item in listed) == ["disk", "other"]


def test_a_source_that_vanishes_ends_it(site: Site) -> None:
    fill(site.folder, 1500)
    worker_of(site).kill()
    id_ = migrate(site)
    assert site.api.manager("POST", "/folder/delete", {"volume": "disk", "vfid": FOLDER}).status == 202
    until(lambda: not site.folder.exists(), "it is gone")
    site.start("worker")
    assert over(site, id_)["state"] == "failed"
    nothing_is_left(site)


def test_only_who_may_be_there(site: Site) -> None:
    body = {"src_volume": "disk", "src_vfid": OTHER, "dst_volume": "other", "dst_vfid": OTHER}
    assert site.api.manager("POST", "/folder/migrate", body).status == 404
    assert site.api.manager("POST", "/folder/create", {"volume": "other", "vfid": OTHER}).status == 204
    body = {"src_volume": "disk", "src_vfid": FOLDER, "dst_volume": "other", "dst_vfid": OTHER}
    assert site.api.manager("POST", "/folder/migrate", body).status == 409
    assert site.folder.exists()
    assert SCOPE in str(site.api.manager("GET", "/folders").json)
