"""Names changed while gateways are killed and frozen, connections to Redis cut and Redis is started anew.

What was acknowledged is there, with the bytes that were sent, and was told once; what was done later to the same
thing was told later, whichever gateway did it. What a gateway died over has happened or not; files are told of if
they are there.
"""

from __future__ import annotations

import http.client
import os
import random
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Set
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from harness.fault.gateways import open_harmed
from harness.fault.harm import harm_while
from harness.fields import BODY, metadata
from harness.processes import FOLDER, Answer, Site, ask, until

SEEDS = range(int(os.environ.get("SEEDS", "1")))
SECONDS = 60 * float(os.environ["MINUTES"]) if "MINUTES" in os.environ else 10.0
WORKERS = 6
FAULTS = (
    *("kill_gateway", "kill_gateway", "freeze_gateway"),
    *("cut_redis", "restart_redis", "freeze_redis", "hold_redis"),
)


@dataclass(frozen=True)
class Step:
    """Something that was asked for."""

    #: What it leads to, and the name that is told of.
    event: str
    name: str
    is_acknowledged: bool
    #: Bytes of the file it makes.
    data: bytes = field(default=b"", repr=False)


@dataclass
class Thing:
    """A directory or file by its first name, and what was done with it."""

    name: str
    steps: list[Step] = field(default_factory=list)


#: Files by their paths; None: a directory.
Tree = dict[str, bytes | None]


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
            self._live(Thing(f"{self._number}-{len(self.things)}"))

    def _live(self, thing: Thing) -> None:
        """One thing's life, as far as every step of it is acknowledged."""
        self.things.append(thing)
        name = thing.name
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
        return self._upload(thing, name, self._chance.randbytes(self._chance.randrange(1, 5000)))

    def _upload_large(self, thing: Thing, name: str) -> bool:
        """It has a record in Redis, and goes there with its event."""
        return self._upload(thing, name, self._chance.randbytes(300_000))

    def _upload(self, thing: Thing, name: str, data: bytes) -> bool:
        fields = {**BODY, "Upload-Length": str(len(data)), "Upload-Metadata": metadata(filename=name)}
        fields["Authorization"] = f"Bearer {self._token}"
        answer = self._asked(lambda: ask(self._site.api.client_port, "POST", "/files", data, fields))
        return self._noted(thing, "file.uploaded", name, answer, data)

    def _manager(self, thing: Thing, event: str, told: str, route: str, **body: object) -> bool:
        request = {"volume": "disk", "vfid": FOLDER, **body}
        answer = self._asked(lambda: self._site.api.manager("POST", f"/folder/file/{route}", request))
        return self._noted(thing, event, told, answer)

    @staticmethod
    def _noted(thing: Thing, event: str, told: str, answer: Answer | None, data: bytes = b"") -> bool:
        is_acknowledged = answer is not None and answer.status in (200, 201, 204)
        thing.steps.append(Step(event, told, is_acknowledged, data))
        return is_acknowledged

    @staticmethod
    def _asked(asking: Callable[[], Answer]) -> Answer | None:
        """An answer; None: there was none."""
        with suppress(OSError, http.client.HTTPException):
            return asking()
        time.sleep(0.05)
        return None


@pytest.mark.timeout(300 + SECONDS)
@pytest.mark.parametrize("seed", SEEDS)
def test_names_under_every_fault(seed: int, tmp_path: Path) -> None:
    chance = random.Random(seed)
    with open_harmed(tmp_path, chance) as harmed:
        site, faults = harmed.site, harmed.faults
        workers = [Worker(number, site, random.Random(chance.random())) for number in range(WORKERS)]
        runs = [worker.run for worker in workers]

        def is_enough() -> bool:
            known = [step.is_acknowledged for worker in workers for thing in worker.things for step in thing.steps]
            return sum(known) > 100 and not all(known)

        harm_while(runs, faults.one_of(FAULTS), SECONDS, chance, is_enough)
        things = [thing for worker in workers for thing in worker.things]
        with suppress(AssertionError):
            until(lambda: not list(violations(site, things)), "all is told", 30)
        wrong = list(violations(site, things))
        assert wrong == [], f"{dict(faults.done)}, {lives(things, wrong)}"
    assert is_enough(), "too little went right, or nothing went wrong at all"


def violations(site: Site, things: list[Thing]) -> Iterator[str]:
    """What was told too often, not at all, or in the wrong order, and what is not there as it was told."""
    yield from site.fallen()
    told: dict[tuple[str, str], list[int]] = defaultdict(list)
    for number, event in enumerate(site.events()):
        for name in names_of(event.body):
            told[event.type, name].append(number)
    found = found_below(site.folder)
    for thing in things:
        yield from mistold(thing, told)
        yield from misplaced(thing, set(told), found.pop(thing.name, {}))
    yield from (f"{name} is there, which nobody made" for name in found)


def lives(things: list[Thing], wrong: list[str]) -> list[Thing]:
    """Things something is wrong with."""
    text = " ".join(wrong).replace("/", " ").split()
    return [thing for thing in things if any(step.name in text for step in thing.steps)]


def mistold(thing: Thing, told: Mapping[tuple[str, str], list[int]]) -> Iterator[str]:
    """What is wrong with what was told of a thing."""
    last = -1
    for step in thing.steps:
        places = told.get((step.event, step.name), [])
        if len(places) > 1 or (step.is_acknowledged and not places):
            known = "acknowledged" if step.is_acknowledged else "not acknowledged"
            yield f"{step.event} of {step.name}, {known}, was told {len(places)} times"
        if places and places[0] < last:
            yield f"{step.event} of {step.name} was told before what came before it"
        last = max([last, *places])


def misplaced(thing: Thing, told: Set[tuple[str, str]], found: Tree) -> Iterator[str]:
    """What is wrong with what is there of a thing."""
    done = [step for step in thing.steps if step.is_acknowledged or (step.event, step.name) in told]
    meant: Tree = {}
    for step in done:
        meant = after(step, meant)
    for step in thing.steps[len(done) :]:
        if step.event != "file.uploaded" and found == after(step, meant):
            return
        # Entries are removed one after the other.
        if step.event == "file.deleted" and found.items() <= meant.items():
            return
    yield from differences(found, meant)


def after(step: Step, tree: Tree) -> Tree:
    """What is there of a thing when a step is done."""
    match step.event:
        case "directory.created":
            return {step.name: None}
        case "file.uploaded":
            return {**tree, step.name: step.data}
        case "file.moved":
            top = min(tree, key=len)
            return {step.name + path.removeprefix(top): data for path, data in tree.items()}
        case _:
            return {}


def found_below(folder: Path) -> dict[str, Tree]:
    """All that is there, but for what is on its way, by the things it belongs to."""
    found: dict[str, Tree] = defaultdict(dict)
    for path in folder.rglob("*"):
        name = str(path.relative_to(folder))
        with suppress(FileNotFoundError):
            if not name.startswith(".upload"):
                found[thing_of(name)][name] = None if path.is_dir() else path.read_bytes()
    return found


def thing_of(name: str) -> str:
    """Which thing a name is of, whatever it is called by now."""
    return "-".join(name.partition("/")[0].split("-")[:2])


def differences(found: Tree, meant: Tree) -> Iterator[str]:
    """What is missing, too many, or has other bytes."""
    for name in sorted(found.keys() - meant.keys()):
        yield f"{name} is there, which is gone or has another name"
    for name in sorted(meant.keys() - found.keys()):
        yield f"{name} is not there"
    for name in sorted(found.keys() & meant.keys()):
        if found[name] != meant[name]:
            yield f"{name} has other bytes than were sent: {_length(found[name])} for {_length(meant[name])}"


def _length(data: bytes | None) -> str:
    return "a directory" if data is None else str(len(data))


def names_of(body: object) -> list[str]:
    """What an event is about, as its step was noted."""
    assert isinstance(body, dict)
    paths = body.get("paths") or [body.get("destination") or body.get("path") or ""]
    return [str(path) for path in paths]


def test_a_name_is_found_in_its_event() -> None:
    assert names_of({"paths": ["a", "b"]}) == ["a", "b"]
    assert names_of({"source": "a", "destination": "b"}) == ["b"]
    assert names_of({"path": "a", "size_bytes": 1}) == ["a"]
    assert [thing_of(name) for name in ("1-22", "1-22-0", "1-22-0-1/in", "x")] == ["1-22"] * 3 + ["x"]


MADE = [Step("directory.created", "1-1", True), Step("file.uploaded", "1-1/in", True, b"1")]
MOVED, TORN = Step("file.moved", "1-1-0", True), Step("file.moved", "1-1-0", False)


@pytest.mark.parametrize(
    ("last", "told", "found", "wrong"),
    [
        ([], False, {"1-1": None, "1-1/in": b"1"}, 0),
        ([], False, {"1-1": None, "1-1/in": b""}, 1),
        ([], False, {"1-1": None}, 1),
        ([MOVED], False, {"1-1-0": None, "1-1-0/in": b"1"}, 0),
        ([MOVED], False, {"1-1": None, "1-1/in": b"1"}, 4),
        ([TORN], False, {"1-1-0": None, "1-1-0/in": b"1"}, 0),
        ([TORN], False, {"1-1": None, "1-1/in": b"1"}, 0),
        ([TORN], True, {"1-1": None, "1-1/in": b"1"}, 4),
        ([TORN], False, {"1-1": None, "1-1-0/in": b"1"}, 2),
        ([Step("file.deleted", "1-1", False)], False, {"1-1": None}, 0),
        ([Step("file.deleted", "1-1", False)], True, {"1-1": None}, 1),
        ([Step("file.deleted", "1-1", True)], True, {}, 0),
        ([Step("file.uploaded", "1-1/b", False, b"2")], False, {"1-1": None, "1-1/in": b"1", "1-1/b": b"2"}, 1),
    ],
)
def test_what_was_done_to_a_thing_says_what_is_there(last: list[Step], told: bool, found: Tree, wrong: int) -> None:
    events = {(step.event, step.name) for step in last if told}
    assert len(list(misplaced(Thing("1-1", [*MADE, *last]), events, found))) == wrong


def test_what_differs_is_found() -> None:
    meant: Tree = {"a": None, "b": b"1", "c": b"1"}
    found: Tree = {"a": b"", "b": b"2", "d": None}
    assert [wrong.split()[0] for wrong in differences(found, meant)] == ["d", "c", "a", "b"]
    assert list(differences(meant, meant)) == []
