"""A thousand folders live their lives while whatever serves them is killed, and cut off from Redis, at random."""

from __future__ import annotations

import json
import os
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPException
from itertools import cycle
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from harness.cutter import Cutter, open_cutter
from harness.folders import files_below
from harness.processes import Answer, Site, open_site, until

from domain.envelope import Envelope
from domain.errors import ErrorCode

LIVES = int(os.environ.get("LIVES", "1000"))
OWNERS = [f"user:{number}{str(number) * 7}-1111-4111-8111-111111111111" for number in range(1, 9)]
#: Longest time in which a request has to be answered, whoever is down meanwhile, in seconds.
PATIENCE = 90.0
#: Who is killed.
VICTIMS = ("worker", "actor", "gateway")
#: What happens in turn, and a pause between two of it, in seconds.
FAULTS = (*VICTIMS, "redis", "cut")
PAUSE = 0.8
#: Connections to Redis that are cut at a time, and bytes before each at most.
CUTS = 3
CUT_BYTES = 1 << 14


def place(site: Site, volume: str, vfid: str) -> Path:
    scope, _, folder = vfid.partition("/")
    digits = UUID(folder).hex
    owner = UUID(scope.partition(":")[2]).hex
    return site.path / "volumes" / volume / owner / digits[:2] / digits[2:4] / digits[4:]


@dataclass
class Life:
    """One folder, and what becomes of it."""

    site: Site
    number: int

    @property
    def vfid(self) -> str:
        return f"{OWNERS[self.number % 8]}/{self.number:08x}-0000-4000-8000-000000000001"

    @property
    def copy(self) -> str:
        return f"{OWNERS[(self.number + 1) % 8]}/{self.number:08x}-0000-4000-8000-000000000002"

    @property
    def data(self) -> bytes:
        return random.Random(self.number).randbytes(1000)

    def run(self) -> None:
        """Live."""
        self.asked("POST", "/folder/create", {"volume": "disk", "vfid": self.vfid}, 204)
        self.upload("a/first.bin")
        self.upload("second.bin")
        self.rename()
        kind = self.number % 8
        if kind in (0, 4):
            body = {"src_volume": "disk", "src_vfid": self.vfid, "dst_volume": "other", "dst_vfid": self.copy}
            self.over(self.asked("POST", "/folder/clone", body, 200).json["bgtask_id"])
        if kind == 1:
            body = {"src_volume": "disk", "src_vfid": self.vfid, "dst_volume": "other", "dst_vfid": self.copy}
            self.over(self.asked("POST", "/folder/migrate", body, 202).json["task_id"])
        if kind == 5:
            body = {"src_volume": "disk", "src_vfid": self.vfid, "dst_vfid": self.copy}
            self.asked("POST", "/folder/migrate", body, 200)
        if kind in (0, 2, 4, 6):
            body = {"volume": "disk", "vfid": self.vfid}
            trash = self.asked("POST", "/folder/delete", body, 202).json["bgtask_id"]
            until(lambda: not place(self.site, "disk", self.vfid).exists(), "it is deleted", PATIENCE)
            if kind in (0, 2):
                self.asked("POST", "/folder/restore", {**body, "trash": trash}, 204)
            if kind == 4:
                self.asked("POST", "/folder/purge", {**body, "trash": trash}, 204)

    def upload(self, name: str) -> None:
        body = {"volume": "disk", "vfid": self.vfid, "relpath": name, "size": len(self.data)}
        token = self.asked("POST", "/folder/file/upload", body, 200).json["token"]
        api = self.site.api

        def send() -> Answer:
            offset = api.offset(token)
            return api.patch(token, offset, self.data[offset:])

        patient(send, (204,))

    def rename(self) -> None:
        """A repetition may find that it was done."""
        body = {"volume": "disk", "vfid": self.vfid, "relpath": "second.bin", "new_name": "renamed.bin"}
        patient(lambda: self.site.api.manager("POST", "/folder/file/rename", body), (204, 400))

    def asked(self, method: str, route: str, body: dict[str, Any], expected: int) -> Answer:
        """Ask until there is an answer; asked twice it is done once."""
        key = f"{self.number}:{route}:{body.get('relpath', '')}"
        return patient(lambda: self.site.api.manager(method, route, body, key), (expected,))

    def over(self, task: str) -> None:
        def done() -> bool:
            answer = patient(lambda: self.site.api.manager("GET", f"/tasks/{task}"), (200, 404))
            assert answer.status == 404 or answer.json["state"] in ("running", "done"), answer.json
            return answer.status == 200 and answer.json["state"] == "done"

        until(done, f"task {task} is done", PATIENCE)

    def check(self) -> None:
        """Everything is where it should be, and nowhere else."""
        kind = self.number % 8
        here = place(self.site, "disk", self.vfid)
        there = place(self.site, "other", self.copy)
        moved = place(self.site, "disk", self.copy)
        assert self.is_whole(here) is (kind in (0, 2, 3, 7)), (self.number, "here")
        assert self.is_whole(there) is (kind in (0, 1, 4)), (self.number, "there")
        assert self.is_whole(moved) is (kind == 5), (self.number, "moved")

    def is_whole(self, folder: Path) -> bool:
        if not folder.exists():
            return False
        found = files_below(folder)
        # What a gateway had begun for somebody who never heard of it waits to be swept away.
        found = {name: data for name, data in found.items() if not name.startswith(".upload/")}
        assert found == {"a/first.bin": self.data, "renamed.bin": self.data}, (self.number, sorted(found))
        return True


def patient(request: Callable[[], Answer], expected: tuple[int, ...]) -> Answer:
    """Ask again while nobody is there, or nobody can answer."""
    give_up = time.monotonic() + PATIENCE
    while True:
        try:
            answer: Answer | None = request()
        except (OSError, HTTPException, AssertionError):
            answer = None
        if answer is not None and answer.status in expected:
            return answer
        retry = answer is None or answer.status in (409, 423, 503, 504)
        told = answer and (answer.status, answer.body)
        assert retry, told
        assert time.monotonic() < give_up, told
        time.sleep(0.2)


@contextmanager
def harm(site: Site, way: Cutter) -> Iterator[Counter[str]]:
    """Kill somebody now and then, and start another in their place; or cut connections to Redis."""
    over, done = threading.Event(), Counter[str]()
    chance = random.Random(7)

    def kill(name: str) -> None:
        next(role for role in site.running if role.name == name and role.process.poll() is None).kill()
        site.revive(name)

    def run() -> None:
        for name in cycle(FAULTS):
            if over.wait(PAUSE * (0.5 + chance.random())):
                break
            if name == "redis":
                site.server.kill()
                site.server.start()
            elif name == "cut":
                for _ in range(CUTS):
                    way.cut_after(chance.randrange(CUT_BYTES))
                    over.wait(0.1)
            else:
                kill(name)
            done[name] += 1

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield done
    finally:
        over.set()
        thread.join()


@pytest.mark.timeout(600)
def test_nothing_is_lost_nothing_is_twice_nothing_is_half(tmp_path: Path) -> None:
    settings: dict[str, Any] = {
        "actors__purge_interval_seconds": 1.0,
        "actors__trash_seconds": 3600.0,
        "gateway__sweep_seconds": 0.5,
    }
    with (
        open_site(tmp_path, volumes=("disk", "other"), **settings) as site,
        open_cutter(site.server.port) as way,
    ):
        site.write_settings(bus__url=f"redis://127.0.0.1:{way.port}/0")
        for role in VICTIMS:
            site.start(role)
        lives = [Life(site, number) for number in range(LIVES)]
        with harm(site, way) as done, ThreadPoolExecutor(16) as pool:
            for result in [pool.submit(life.run) for life in lives]:
                result.result(400)
        assert min(done[name] for name in FAULTS) >= 2, done
        assert site.fallen() == []
        settle(site)
        for life in lives:
            life.check()
        each_once(site)
        known(site)


def settle(site: Site) -> None:
    """What was asked for has come to its end."""
    kept = sum(1 for number in range(LIVES) if number % 8 == 6)

    def left() -> int:
        areas = [site.path / "volumes" / volume / ".penstock" for volume in ("disk", "other")]
        places = [area / name for area in areas for name in ("builds", "purging", "work")]
        trashed = [found for area in areas for found in (area / "trash").glob("*.json")]
        return sum(len(list(place.iterdir())) for place in places) + len(trashed) - kept

    until(lambda: left() == 0, "only what is kept is left", 120)


def each_once(site: Site) -> None:
    events = site.events()
    for kind, field in (
        ("vfolder.created", "folder"),
        ("vfolder.deleted", "folder"),
        ("vfolder.restored", "folder"),
        ("vfolder.purged", "trash"),
        ("clone.completed", "destination"),
        ("vfolder.migrated", "destination"),
    ):
        found = Counter(str(event.body[field]) for event in events if event.type == kind)
        assert set(found.values()) == {1}, (kind, [name for name, count in found.items() if count > 1])
    uploaded = Counter(event.body["session"] for event in events if event.type == "file.uploaded")
    assert len(uploaded) == 2 * LIVES
    assert set(uploaded.values()) == {1}
    counts = Counter(event.type for event in events)
    assert counts["vfolder.created"] == LIVES
    assert counts["vfolder.deleted"] == LIVES // 2
    assert counts["vfolder.restored"] == LIVES // 4
    assert counts["clone.completed"] == LIVES // 4
    assert counts["vfolder.migrated"] == LIVES // 4
    troubles = [event for event in events if event.type.endswith((".failed", ".abandoned"))]
    assert [(event.type, event.body) for event in troubles if not was_overtaken(event)] == []


def was_overtaken(event: Envelope) -> bool:
    """Whether a worker was refused that had been slow, because another one had taken its task over."""
    finishing = event.type in ("clone.finish.failed", "vfolder.migrate.finish.failed")
    return finishing and event.body["code"] == ErrorCode.NOT_FOUND


def known(site: Site) -> None:
    """Volumes and catalogue say the same, and nothing belongs to nothing.

    But for uploads whose gateway died before it had answered that they may begin: nobody knows of them, and they
    are swept away when their time is over.
    """
    for volume in ("disk", "other"):
        for row in inspect(site, volume, "repair=true"):
            assert row["difference"].endswith(("of which there are no bytes", "of which there is no record")), row
        until(lambda name=volume: inspect(site, name, "repair=false") == [], "nothing is left to be found", 30)


def inspect(site: Site, volume: str, option: str) -> list[dict[str, str]]:
    words = (
        "tasks",
        "start",
        "volume.inspect",
        "--volume",
        volume,
        "--option",
        "age_seconds=0",
        "--option",
        option,
    )
    done = site.penstock(*words, "--wait", "--json")
    assert done.returncode == 0, done.stderr
    found: list[dict[str, str]] = json.loads(done.stdout)
    return found
