"""Names changed while gateways are killed and frozen, connections to Redis cut and Redis is started anew.

What was acknowledged is there and was told once, and what was done later to the same thing was told later,
whichever gateway did it.
"""

from __future__ import annotations

import http.client
import os
import random
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from harness.cutter import open_cutter
from harness.fault.gateways import GatewayFaults
from harness.fields import BODY, metadata
from harness.processes import FOLDER, Answer, Site, ask, open_site, until

SEEDS = range(int(os.environ.get("SEEDS", "1")))
SECONDS = 60 * float(os.environ["MINUTES"]) if "MINUTES" in os.environ else 10.0
WORKERS = 6
FAULTS = ("kill_gateway", "kill_gateway", "freeze_gateway", "cut_redis", "restart_redis")


@dataclass
class Thing:
    """A directory or file; of each step with it the event it leads to, its name, and if it was acknowledged."""

    steps: list[tuple[str, str, bool]] = field(default_factory=list)


class Worker:
    """Makes things, gives them other names and removes them, one after the other."""

    def __init__(self, number: int, site: Site, chance: random.Random) -> None:
        self._number = number
        self._site = site
        self._chance = chance
        self.things: list[Thing] = []
        self._token = ""

    def run(self, stop: threading.Event) -> None:
        body = {"volume": "disk", "vfid": FOLDER, "relpath": ".", "owner": f"o{self._number}"}
        while not self._token and not stop.is_set():
            answer = self._asked(lambda: self._site.api.manager("POST", "/folder/file/upload-below", body))
            self._token = str(answer.json["token"]) if answer is not None and answer.status == 200 else ""
        while not stop.is_set():
            self._live(Thing())

    def _live(self, thing: Thing) -> None:
        """One thing's life, as far as every step of it is acknowledged."""
        self.things.append(thing)
        name = f"{self._number}-{len(self.things)}"
        begin = self._chance.choice((self._mkdir, self._upload_small, self._upload_large))
        if not begin(thing, name):
            return
        for turn in range(self._chance.randrange(3)):
            moved = f"{name}-{turn}"
            if not self._manager(thing, "file.moved", moved, "rename", relpath=name, new_name=moved):
                return
            name = moved
        if self._chance.random() < 0.5:
            self._manager(thing, "file.deleted", name, "delete", relpaths=[name], recursive=True)

    def _mkdir(self, thing: Thing, name: str) -> bool:
        """A directory, and maybe a large file in it at once."""
        if not self._manager(thing, "directory.created", name, "mkdir", relpath=name, parents=False):
            return False
        return self._chance.random() < 0.5 or self._upload_large(thing, f"{name}/in")

    def _upload_small(self, thing: Thing, name: str) -> bool:
        return self._upload(thing, name, b"x" * self._chance.randrange(1, 5000))

    def _upload_large(self, thing: Thing, name: str) -> bool:
        """It has a record in Redis, and goes there with its event."""
        return self._upload(thing, name, b"x" * 100_000)

    def _upload(self, thing: Thing, name: str, data: bytes) -> bool:
        fields = {**BODY, "Upload-Length": str(len(data)), "Upload-Metadata": metadata(filename=name)}
        fields["Authorization"] = f"Bearer {self._token}"
        answer = self._asked(lambda: ask(self._site.api.client_port, "POST", "/files", data, fields))
        return self._noted(thing, "file.uploaded", name, answer)

    def _manager(self, thing: Thing, event: str, told: str, route: str, **body: object) -> bool:
        request = {"volume": "disk", "vfid": FOLDER, **body}
        answer = self._asked(lambda: self._site.api.manager("POST", f"/folder/file/{route}", request))
        return self._noted(thing, event, told, answer)

    def _noted(self, thing: Thing, event: str, told: str, answer: Answer | None) -> bool:
        is_done = answer is not None and answer.status in (200, 201, 204)
        thing.steps.append((event, told, is_done))
        return is_done

    @staticmethod
    def _asked(asking: Callable[[], Answer]) -> Answer | None:
        """An answer; None: there was none."""
        with suppress(OSError, http.client.HTTPException):
            return asking()
        time.sleep(0.05)
        return None


@pytest.mark.timeout(240 + SECONDS)
@pytest.mark.parametrize("seed", SEEDS)
def test_names_under_every_fault(seed: int, tmp_path: Path) -> None:
    chance, stop = random.Random(seed), threading.Event()
    with ExitStack() as stack:
        site = stack.enter_context(open_site(tmp_path))
        redis_way = stack.enter_context(open_cutter(site.server.port))
        site.write_settings(bus__url=f"redis://127.0.0.1:{redis_way.port}/0", gateway__sweep_seconds=1.0)
        site.start("actor")
        faults = GatewayFaults(site, chance, redis_way)
        site.api.make_folder()
        workers = [Worker(number, site, random.Random(chance.random())) for number in range(WORKERS)]
        threads = [threading.Thread(target=worker.run, args=(stop,)) for worker in workers]
        for thread in threads:
            thread.start()
        end = time.monotonic() + SECONDS
        while time.monotonic() < end:
            time.sleep(chance.uniform(0.05, 0.5))
            faults.do(chance.choice(FAULTS))
        stop.set()
        for thread in threads:
            thread.join()
        things = [thing for worker in workers for thing in worker.things]
        with suppress(AssertionError):
            until(lambda: not list(violations(site, things)), "all is told", 30)
        assert list(violations(site, things)) == [], dict(faults.done)
    steps = [step for thing in things for step in thing.steps]
    assert sum(is_done for _, _, is_done in steps) > 100
    assert not all(is_done for _, _, is_done in steps), "nothing went wrong at all"


def violations(site: Site, things: list[Thing]) -> Iterator[str]:
    """What was told too often, not at all, or in the wrong order."""
    yield from site.fallen()
    told: dict[tuple[str, str], list[int]] = defaultdict(list)
    for number, event in enumerate(site.events()):
        for name in names_of(event.body):
            told[event.type, name].append(number)
    for thing in things:
        last = -1
        for event_type, name, is_done in thing.steps:
            places = told[event_type, name]
            if len(places) > 1 or (is_done and not places):
                known = "acknowledged" if is_done else "not acknowledged"
                yield f"{event_type} of {name}, {known}, was told {len(places)} times"
            if places and places[0] < last:
                yield f"{event_type} of {name} was told before what came before it"
            last = max([last, *places])


def names_of(body: object) -> list[str]:
    """What an event is about, as its step was noted."""
    assert isinstance(body, dict)
    paths = body.get("paths") or [body.get("destination") or body.get("path") or ""]
    return [str(path) for path in paths]


def test_a_name_is_found_in_its_event() -> None:
    assert names_of({"paths": ["a", "b"]}) == ["a", "b"]
    assert names_of({"source": "a", "destination": "b"}) == ["b"]
    assert names_of({"path": "a", "size_bytes": 1}) == ["a"]
