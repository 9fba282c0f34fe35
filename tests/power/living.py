"""Penstock in a machine that loses its power: finds out whether all is there that was told, and goes on.

`living.py PLACE TOLD MODE`: lives in a directory and says on its output what it is told; what it was told in its
lives before is in the file TOLD. With the mode `check` it ends when it has looked.
"""

from __future__ import annotations

import hashlib
import itertools
import random
import sys
import threading
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from uuid import UUID

from harness.fields import BODY, metadata
from harness.processes import FOLDER, SCOPE, Api, Site, ask, open_site, until
from power.saying import say, told_outside

from ops.durable import drop_zeros

WORKERS = 4
#: Length of uploads that come in pieces, and of a piece.
LONG_BYTES, PIECE_BYTES = 24 << 20, 1 << 20


def data_of(name: str) -> bytes:
    """What a file of this name holds."""
    if name.endswith("long"):
        return hashlib.sha256(name.encode()).digest() * (LONG_BYTES // 32)
    source = random.Random(name)
    return source.randbytes(source.choice([0, 100, 5000, 60_000, 300_000]))


@dataclass
class Told:
    """What was asked for and answered before."""

    #: Tokens of uploads that were begun, by file.
    begun: dict[str, str] = field(default_factory=dict)
    #: Files that may be there, and those that surely are.
    asked: set[str] = field(default_factory=set)
    files: set[str] = field(default_factory=set)
    #: Old and new names that were asked for, and old names that were surely given up.
    moving: dict[str, str] = field(default_factory=dict)
    moved: set[str] = field(default_factory=set)
    #: Files whose deletion was asked for, and those that were deleted.
    removing: set[str] = field(default_factory=set)
    removed: set[str] = field(default_factory=set)
    directories: set[str] = field(default_factory=set)
    #: Folders that were made, and those whose deletion was asked for, and accepted.
    folders: set[str] = field(default_factory=set)
    deleting: set[str] = field(default_factory=set)
    deleted: set[str] = field(default_factory=set)

    @classmethod
    def read(cls, path: Path) -> Told:
        """Read the lines of the lives before."""
        told = cls()
        for line in path.read_text().splitlines():
            match line.split():
                case [_, "begun", name, token]:
                    told.begun[name] = token
                case [_, "moving", name, target]:
                    told.moving[name] = target
                case [_, what, name]:
                    getattr(told, what).add(name)
        return told


class Life:
    """One life, from power to power failure."""

    def __init__(self, site: Site, told: Told) -> None:
        self._site = site
        self._api: Api = site.api
        self._told = told

    # --- looking ------------------------------------------------------------------------------------

    def check(self) -> None:
        """All that was told is there, and all that is there was told of, once."""
        if self._listed(FOLDER) != 200:
            self._api.make_folder()
        for name in sorted(self._told.begun.keys() - self._told.files):
            self._go_on(name, self._told.begun[name])
        present = self._check_files()
        for old, new in self._told.moving.items():
            there = [name for name in (old, new) if (self._site.folder / name).exists()]
            assert there == [new] if old in self._told.moved else len(there) == 1, f"{old} or {new}: {there}"
        for name in self._told.removed:
            assert not (self._site.folder / name).exists(), f"{name} was deleted"
        for name in self._told.directories:
            assert (self._site.folder / name).is_dir(), f"directory {name}"
        self._check_folders()
        say("checked", len(present), len(self._told.moved), len(self._told.directories), len(self._told.deleted))

    def _go_on(self, name: str, token: str) -> None:
        """What is said of an upload is so, and it can be finished."""
        data = data_of(name)
        offset = self._api.offset(token)
        assert (offset == len(data)) == self._is_there(name), f"{name}: {offset} of {len(data)} bytes are told"
        if offset < len(data):
            answer = self._api.patch(token, offset, data[offset:])
            assert answer.status == 204, answer
        assert self._is_there(name), f"{name} is not there after it was finished"

    def _is_there(self, name: str) -> bool:
        """Whether a file is there, under its name or the one it was to be given; if it is, it is whole."""
        for place in (name, self._told.moving.get(name, name)):
            path = self._site.folder / place
            if path.exists():
                assert path.read_bytes() == data_of(name), f"{place} is not what was sent"
                return True
        return False

    def _check_files(self) -> set[str]:
        """Files that were told are there; all that are there have their event, as soon as all was looked after."""
        present = told = set[str]()

        def agree() -> bool:
            nonlocal present, told
            present = {name for name in self._told.asked - self._told.removing if self._is_there(name)}
            counts = Counter(event.body["path"] for event in self._site.events("file.uploaded"))
            assert set(counts.values()) <= {1}, f"told more than once: {counts.most_common(3)}"
            told = counts.keys() - self._told.removing
            return told == present

        with suppress(AssertionError):
            until(agree, "events and files are the same", 60)
        assert told == present, f"without a file: {told - present}; without an event: {present - told}"
        lost = self._told.files - self._told.removing - present
        assert not lost, f"told, but not there: {lost}"
        ids = Counter(event.id for event in self._site.events())
        assert set(ids.values()) == {1}
        return present

    def _check_folders(self) -> None:
        for folder in self._told.folders - self._told.deleting:
            assert self._listed(folder) == 200, folder
        for folder in self._told.deleted:
            until(lambda folder=folder: self._listed(folder) == 404, f"{folder} is gone")
        events = Counter(
            (event.type, event.body.get("folder")) for event in self._site.events() if event.type[:8] == "vfolder."
        )
        for kind, folders in (("vfolder.created", self._told.folders), ("vfolder.deleted", self._told.deleted)):
            for folder in folders:
                assert events[kind, folder] == 1, f"{kind} of {folder}: {events[kind, folder]}"

    def _listed(self, folder: str) -> int:
        return self._api.manager(
            "POST", "/folder/file/list", {"volume": "disk", "vfid": folder, "relpath": "."}
        ).status

    # --- living -------------------------------------------------------------------------------------

    def live(self, names: str) -> None:
        """Do all kinds of things at the same time, for ever."""
        body = {"volume": "disk", "vfid": FOLDER, "relpath": "."}
        token = self._api.manager("POST", "/folder/file/upload-below", body).json["token"]
        for worker in range(WORKERS):
            threading.Thread(target=self._work, args=(f"{names}-{worker}", token), daemon=True).start()
        threading.Thread(target=self._work_long, args=(names,), daemon=True).start()
        say("lives")
        threading.Event().wait()

    def _work_long(self, names: str) -> None:
        with told_outside():
            for number in itertools.count():
                self._upload(f"{names}-{number}-long")

    def _work(self, names: str, token: str) -> None:
        with told_outside():
            for number in itertools.count():
                self._upload(f"{names}-{number}-patched", pieces=1 + number % 2)
                self._post(f"{names}-{number}-posted", token)
                self._move(f"{names}-{number}-patched", f"{names}-{number}-moved")
                self._make_directory(f"{names}-{number}")
                self._come_and_go(f"{SCOPE}/{folder_id(f'{names}-{number}')}", goes=number % 2 == 0)
                self._post(f"{names}-{number}-doomed", token)
                self._delete(f"{names}-{number}-doomed")

    def _upload(self, name: str, pieces: int = 2) -> None:
        data = data_of(name)
        say("asked", name)
        token = self._api.upload_token(name, len(data))
        say("begun", name, token)
        piece = min(-(-len(data) // pieces), PIECE_BYTES)
        for start in range(0, len(data), piece or 1):
            answer = self._api.patch(token, start, data[start : start + piece])
            assert answer.status == 204, answer
        say("files", name)

    def _post(self, name: str, token: str) -> None:
        data = data_of(name)
        say("asked", name)
        fields = {**BODY, "Upload-Length": str(len(data)), "Upload-Metadata": metadata(filename=name)}
        answer = ask(self._api.client_port, "POST", f"/files?token={token}", data, fields)
        assert answer.status == 201, answer
        assert answer.headers["upload-offset"] == str(len(data))
        say("files", name)

    def _move(self, name: str, target: str) -> None:
        say("moving", name, target)
        body = {"volume": "disk", "vfid": FOLDER, "relpath": name, "new_name": target}
        answer = self._api.manager("POST", "/folder/file/rename", body)
        assert answer.status == 204, answer
        say("moved", name)

    def _delete(self, name: str) -> None:
        say("removing", name)
        body = {"volume": "disk", "vfid": FOLDER, "relpaths": [name]}
        answer = self._api.manager("POST", "/folder/file/delete", body)
        assert answer.status == 200, answer
        say("removed", name)

    def _make_directory(self, name: str) -> None:
        body = {"volume": "disk", "vfid": FOLDER, "relpath": name}
        answer = self._api.manager("POST", "/folder/file/mkdir", body)
        assert answer.status == 200, answer
        say("directories", name)

    def _come_and_go(self, folder: str, *, goes: bool) -> None:
        self._api.make_folder(folder)
        say("folders", folder)
        if goes:
            say("deleting", folder)
            answer = self._api.manager("POST", "/folder/delete", {"volume": "disk", "vfid": folder})
            assert answer.status == 202, answer
            say("deleted", folder)


def folder_id(name: str) -> str:
    return UUID(bytes=hashlib.sha256(name.encode()).digest()[:16], version=4).hex


def main(place: Path, told: Path, mode: str) -> None:
    for log in place.rglob("*.incr.aof"):
        drop_zeros(log)  # as `redis-check-aof --fix` does
    with open_site(place, gateway__stop_seconds=5.0) as site:
        site.start("actor")
        site.start("gateway")
        known = Told.read(told)
        life = Life(site, known)
        with told_outside():
            life.check()
            if mode != "check":
                life.live(mode)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3])
