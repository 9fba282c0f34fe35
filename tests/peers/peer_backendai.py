"""Events heard by Backend.AI's own code, and its wishes answered.

Needs a Python 3.13 with `backend.ai-common` 26.3, which Debian does not have, so it is run by hand:
`make peers PEER_PYTHON=/path/to/venv/bin/python`. The bytes are kept in `tests/wire/backendai_events.jsonl`.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from harness.folders import has_begun, worker_of
from harness.processes import FOLDER, SCOPE, Site, open_site, stopped, until
from harness.redis_server import RedisServer, debian_redis

from domain.ids import VFolderId

#: The database Backend.AI has its streams in; its listener looks nowhere else.
DATABASE = 4
STARTED, DONE, CANCELLED = "Task started", "Task completed successfully", "Task cancelled"
#: Programs that mount what they are told to, and unmount it.
MOUNT = ["mount", "-t", "{type}", "-o", "{options}", "{location}", "{path}"]
UNMOUNT = ["umount", "{path}"]
#: Files of a folder that takes a while, and tries of what depends on who is quicker.
FILES, TRIES = 3000, 20

pytestmark = pytest.mark.timeout(120)


class Listener:
    """A process of theirs."""

    def __init__(self, address: str) -> None:
        script = Path(__file__).with_name("backendai_listener.py")
        command = [os.environ["PEER_PYTHON"], str(script), address, str(DATABASE)]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        self.lines: list[str] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        self.lines.extend(self.process.stdout)

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        self._reader.join()
        for pipe in (self.process.stdin, self.process.stdout):
            assert pipe is not None
            pipe.close()

    def ask(self, wish: str, *arguments: Any) -> None:
        """Have it wish for something."""
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps({"do": wish, "with": arguments}) + "\n")
        self.process.stdin.flush()

    def heard(self, pattern: str) -> list[tuple[str, tuple[Any, ...]]]:
        told = [json.loads(line) for line in self.lines[1:]]
        return [(event["name"], tuple(event["args"])) for event in told if event["pattern"] == pattern]

    def of(self, task: str) -> list[tuple[str, tuple[Any, ...]]]:
        """What was broadcast of a task, in order."""
        return [(name, args[1:]) for name, args in self.heard("broadcast") if args[0] == task]

    def ended(self, task: str, *ends: str) -> list[tuple[str, tuple[Any, ...]]]:
        """Wait until a task's end was broadcast; returns what was said of it."""
        until(lambda: any(name in ends for name, _ in self.of(task)), f"one of {ends} is told")
        return self.of(task)

    def kept(self, task: str) -> tuple[str, tuple[Any, ...]]:
        """What their code finds kept of a task."""
        before = len(self.heard("kept"))
        self.ask("fetch", task)
        until(lambda: len(self.heard("kept")) > before, "it was looked for")
        name, (found, *arguments) = self.heard("kept")[-1]
        assert found == task
        return name, tuple(arguments)

    def shown(self, pattern: str, task: str) -> list[list[tuple[str, str]]]:
        """What each of those was shown who followed a task to its end."""
        return [[tuple(each) for each in args] for name, args in self.heard(pattern) if name == task]

    def watched(self, task: str, message: str, ends: str) -> None:
        """See that a task's end reached whoever followed it, and reaches who begins now."""
        self.ask("watch", task)
        for pattern in ("graphql", "http"):
            until(lambda pattern=pattern: len(self.shown(pattern, task)) == 2, f"{pattern} ends, now and later")
            at_once, late = self.shown(pattern, task)
            assert at_once[-1] == (ends, message)
            assert {name for name, _ in at_once[:-1]} <= {"bgtask_updated"}
            assert late == [(ends, message)]


@pytest.fixture
def peer(tmp_path: Path) -> Iterator[RedisServer]:
    directory = tmp_path / "peer"
    directory.mkdir()
    server = RedisServer(debian_redis(), directory)
    server.start()
    yield server
    server.stop()


@pytest.fixture
def listener(peer: RedisServer) -> Iterator[Listener]:
    found = Listener(peer.url.split("/")[2])
    until(lambda: found.lines, "it listens")
    yield found
    found.close()


@pytest.fixture
def site(tmp_path: Path, peer: RedisServer) -> Iterator[Site]:
    url = f"redis://{peer.url.split('/')[2]}/{DATABASE}"
    more: dict[str, Any] = {
        "backendai__mount_program": MOUNT,
        "backendai__unmount_program": UNMOUNT,
        "bus__upload_lease_seconds": 10.0,
        "volumes__disk__io__helpers": 0,
    }
    with open_site(tmp_path, backendai__url=url, **more) as found:
        for role in ("actor", "worker", "gateway", "bridge"):
            found.start(role)
        until(lambda: "events are carried" in found.log("bridge"), "the bridge follows")
        found.api.make_folder()
        yield found


def numbered(number: int) -> str:
    return f"{SCOPE}/aabb02{number:02}-0000-4000-8000-000000000002"


def vfid(folder: str) -> str:
    """A folder's id as their events have it."""
    return str(VFolderId.parse(folder))


def clone(site: Site, source: str = FOLDER, number: int = 0) -> str:
    """Have a folder cloned; returns the task."""
    body = {"src_volume": "disk", "src_vfid": source, "dst_volume": "disk", "dst_vfid": numbered(number)}
    return str(site.api.manager("POST", "/folder/clone", body).json["bgtask_id"])


def delete(site: Site, folder: str) -> str:
    body = {"volume": "disk", "vfid": folder}
    return str(site.api.manager("POST", "/folder/delete", body).json["bgtask_id"])


def test_success(site: Site, listener: Listener) -> None:
    told = [("bgtask_updated", (0, 0, STARTED)), ("bgtask_done", (DONE,))]
    cloned = clone(site)
    listener.ask("watch", cloned)
    assert listener.ended(cloned, "bgtask_done") == told
    listener.watched(cloned, DONE, "bgtask_done")
    deleted = delete(site, numbered(0))
    # The second time when nothing is left of it.
    until(lambda: listener.of(deleted) == [*told, told[-1]], "it is deleted, and purged")
    assert listener.kept(cloned) == listener.kept(deleted) == told[-1]
    assert listener.heard("anycast") == [
        ("vfolder_clone_success", (vfid(FOLDER), vfid(numbered(0)))),
        ("vfolder_deletion_success", (vfid(numbered(0)),)),
    ]


def test_how_far_it_is(site: Site, listener: Listener) -> None:
    for number in range(FILES):
        (site.folder / str(number)).write_bytes(b"x")
    builds, between = site.volume / ".penstock/builds", []
    for number in range(TRIES):
        task = clone(site, number=number)
        place = site.volume.joinpath(*VFolderId.parse(numbered(number)).directory)
        until(lambda place=place: has_begun(builds) or place.exists(), "it has begun")
        with stopped(worker_of(site).process.pid):
            time.sleep(1.2)  # it says how far it is once a second
        _, *between, _ = listener.ended(task, "bgtask_done")
        if between:
            break
    assert between, "none of them took so long"
    for name, (done, total, message) in between:
        assert (name, done <= total) == ("bgtask_updated", True)
        assert message.endswith(f"of {FILES} entries")


def test_failure(site: Site, listener: Listener) -> None:
    task = clone(site, source=numbered(9))
    ((name, (detail,)),) = listener.ended(task, "bgtask_failed")
    assert name == "bgtask_failed"
    assert listener.kept(task) == (name, (detail,))
    assert listener.heard("anycast") == [("vfolder_clone_failure", (vfid(numbered(9)), vfid(numbered(0)), detail))]


def test_a_deletion_that_fails(site: Site, listener: Listener) -> None:
    scope = site.volume / VFolderId.parse(FOLDER).directory[0]
    shutil.move(scope, site.path / "elsewhere")
    scope.symlink_to(site.path / "elsewhere")
    task = delete(site, FOLDER)
    ((name, (detail,)),) = listener.ended(task, "bgtask_failed")
    assert listener.kept(task) == (name, (detail,))
    assert listener.heard("anycast") == [("vfolder_deletion_failure", (vfid(FOLDER), detail))]


def test_a_task_that_is_cancelled(site: Site, listener: Listener) -> None:
    worker_of(site).kill()
    task = clone(site)
    listener.ask("watch", task)
    until(lambda: listener.of(task), "it has begun")
    assert site.api.manager("DELETE", f"/tasks/{task}").status == 202
    site.start("worker")
    assert listener.ended(task, "bgtask_cancelled")[-1] == ("bgtask_cancelled", (CANCELLED,))
    listener.watched(task, CANCELLED, "bgtask_cancelled")
    for pattern in ("graphql", "http"):
        assert listener.shown(pattern, task)[0][0] == ("bgtask_updated", STARTED)
    assert listener.kept(task) == ("bgtask_cancelled", (CANCELLED,))
    assert listener.heard("anycast")[0][0] == "vfolder_clone_failure"


def test_partial_success(site: Site, listener: Listener) -> None:
    log, enough = site.folder / "log", threading.Event()
    log.write_bytes(bytes(32 << 20))

    def grow() -> None:
        with log.open("ab", buffering=0) as file:
            while not enough.is_set():
                file.write(b"x")

    growing = threading.Thread(target=grow)
    growing.start()
    try:
        for number in range(TRIES):
            task = clone(site, number=number)
            listener.ask("watch", task)
            *_, partly, done = listener.ended(task, "bgtask_done")
            if partly[0] == "bgtask_partial_success":
                break
    finally:
        enough.set()
        growing.join()
    message = f"{DONE}, but for: log: changed while it was copied"
    assert partly == ("bgtask_partial_success", (message, ["log: changed while it was copied"]))
    assert done == ("bgtask_done", (message,))
    listener.watched(task, message, "bgtask_done")
    assert listener.kept(task) == done
    assert listener.heard("anycast")[-1][0] == "vfolder_clone_success"


def test_mounts_both_ways(site: Site, listener: Listener) -> None:
    there = site.volume / "there"
    there.mkdir()
    mount = ["there", "disk", SCOPE, "tmpfs", "tmpfs", "size=1m", None, False, "/etc/fstab"]
    unmount = ["there", "disk", SCOPE, None, False, None]
    answer = ("penstock", "storage_proxy", str(there), SCOPE)
    try:
        listener.ask("mount", *mount)
        until(lambda: listener.heard("broadcast") == [("volume_mounted", (*answer, None))], "it is mounted")
        assert there.is_mount()
        listener.ask("unmount", *unmount)
        until(lambda: listener.heard("broadcast")[1:] == [("volume_unmounted", (*answer, None))], "it is unmounted")
        assert not there.is_mount()
        listener.ask("mount", *mount[:5], "no-such-option", *mount[6:])
        until(lambda: len(listener.heard("broadcast")) == 3, "it is refused")
        name, told = listener.heard("broadcast")[2]
        assert (name, told[:4]) == ("volume_mounted", answer)
        assert told[4].startswith("mount: ")
        listener.ask("mount", *mount)
        until(there.is_mount, "it is mounted again")
        with (there / "file").open("wb"):
            listener.ask("unmount", *unmount)
            until(lambda: len(listener.heard("broadcast")) == 5, "it is in use")
        name, told = listener.heard("broadcast")[4]
        assert (name, told[:4]) == ("volume_unmounted", answer)
        assert told[4].startswith("umount: ")
    finally:
        subprocess.run(["umount", "-l", str(there)], check=False, capture_output=True)
