"""Events carried to a Redis of Backend.AI's."""

from __future__ import annotations

import base64
import json
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgpack
import pytest
import redis
from harness.folders import has_begun, over, worker_of
from harness.processes import FOLDER, SCOPE, Site, open_site, stopped, until
from harness.redis_server import RedisServer, debian_redis

from domain.ids import VFolderId

OTHER = f"{SCOPE}/aabb0002-0000-4000-8000-000000000002"
THIRD = f"{SCOPE}/aabb0003-0000-4000-8000-000000000003"
VFID, OTHER_VFID, THIRD_VFID = (str(VFolderId.parse(text)) for text in (FOLDER, OTHER, THIRD))

MOUNT = 'test -n "${{1}}" && exit 0; echo no location; exit 3'
STARTED, DONE, CANCELLED = "Task started", "Task completed successfully", "Task cancelled"
#: Tries of what depends on who is quicker.
TRIES = 20

pytestmark = pytest.mark.timeout(120)


@pytest.fixture
def peer(tmp_path: Path) -> Iterator[redis.Redis]:
    directory = tmp_path / "peer"
    directory.mkdir()
    server = RedisServer(debian_redis(), directory)
    server.start()
    with redis.Redis.from_url(server.url) as client:
        yield client
    server.stop()


@pytest.fixture
def site(tmp_path: Path, peer: redis.Redis) -> Iterator[Site]:
    port = peer.connection_pool.connection_kwargs["port"]
    programs = {
        "backendai__mount_program": ["sh", "-c", MOUNT, "-", "{location}"],
        "backendai__mount_seconds": 5.0,
        # A worker that is stopped for a moment is not given up, and does all by itself.
        "bus__upload_lease_seconds": 10.0,
        "volumes__disk__io__helpers": 0,
    }
    url = f"redis://127.0.0.1:{port}/0"
    with open_site(tmp_path, backendai__url=url, backendai__source="storage-1", **programs) as found:
        for role in ("actor", "worker", "gateway", "bridge"):
            found.start(role)
        until(lambda: "events are carried" in found.log("bridge"), "the bridge follows")
        yield found


def anycasts(peer: redis.Redis) -> list[tuple[str, tuple[Any, ...]]]:
    found = []
    for _, fields in peer.xrange("events"):
        assert fields[b"source"] == b"storage-1"
        found.append((fields[b"name"].decode(), tuple(msgpack.unpackb(fields[b"args"]))))
    return found


class Channel:
    """Listens to what is broadcast."""

    def __init__(self, peer: redis.Redis) -> None:
        self._channel = peer.pubsub(ignore_subscribe_messages=True)
        self._channel.subscribe("events_all")
        self._channel.get_message(timeout=5)
        #: What was said of each task, in order.
        self.of: dict[str, list[tuple[str, tuple[Any, ...]]]] = defaultdict(list)

    def hear(self, name: str, task: str = "", seconds: float = 20) -> tuple[Any, ...]:
        """Wait for an event of a name, of any task or of one; returns its arguments."""
        give_up = time.monotonic() + seconds
        while time.monotonic() < give_up:
            message = self._channel.get_message(timeout=0.2)
            if message:
                told = json.loads(message["data"])
                arguments = tuple(msgpack.unpackb(base64.b64decode(told["args"])))
                self.of[arguments[0]].append((told["name"], arguments[1:]))
                if told["name"] == name and (not task or task == arguments[0]):
                    return arguments
        raise AssertionError(f"nobody said {name}")


def kept(peer: redis.Redis, task: str) -> tuple[str, tuple[Any, ...]]:
    """What those are told who ask for a task later."""
    told = json.loads(peer.get(f"bgtask.{task}") or b"{}")
    assert 0 < peer.ttl(f"bgtask.{task}") <= 300
    return told["name"], tuple(msgpack.unpackb(base64.b64decode(told["args"])))[1:]


def clone(site: Site, number: int) -> str:
    """Have the folder cloned; returns the task."""
    body = {"src_volume": "disk", "src_vfid": FOLDER, "dst_volume": "disk", "dst_vfid": numbered(number)}
    return str(site.api.manager("POST", "/folder/clone", body).json["bgtask_id"])


def numbered(number: int) -> str:
    return f"{SCOPE}/aabb02{number:02}-0000-4000-8000-000000000002"


def test_what_the_manager_waits_for(site: Site, peer: redis.Redis) -> None:
    channel = Channel(peer)
    site.api.make_folder()
    body = {"src_volume": "disk", "src_vfid": FOLDER, "dst_volume": "disk", "dst_vfid": OTHER}
    clone = site.api.manager("POST", "/folder/clone", body).json["bgtask_id"]
    assert channel.hear("bgtask_done", clone) == (clone, DONE)
    assert channel.of[clone] == [("bgtask_updated", (0, 0, STARTED)), ("bgtask_done", (DONE,))]
    deletion = site.api.manager("POST", "/folder/delete", {"volume": "disk", "vfid": OTHER}).json["bgtask_id"]
    assert channel.hear("bgtask_done", deletion) == (deletion, DONE)
    assert channel.of[deletion] == channel.of[clone]
    body = {**body, "src_vfid": OTHER, "dst_vfid": THIRD}
    refused = site.api.manager("POST", "/folder/clone", body).json["bgtask_id"]
    task, detail = channel.hear("bgtask_failed")
    assert task == refused
    assert "not found" in detail
    assert anycasts(peer) == [
        ("vfolder_clone_success", (VFID, OTHER_VFID)),
        ("vfolder_deletion_success", (OTHER_VFID,)),
        ("vfolder_clone_failure", (OTHER_VFID, THIRD_VFID, detail)),
    ]
    assert kept(peer, clone) == kept(peer, deletion) == ("bgtask_done", (DONE,))
    assert kept(peer, refused) == ("bgtask_failed", (detail,))


def test_how_far_a_task_is(site: Site, peer: redis.Redis) -> None:
    channel, files = Channel(peer), 3000
    site.api.make_folder()
    for number in range(files):
        (site.folder / str(number)).write_bytes(b"x")
    builds, between = site.volume / ".penstock/builds", []
    for number in range(TRIES):
        task = clone(site, number)
        place = site.volume.joinpath(*VFolderId.parse(numbered(number)).directory)
        until(lambda place=place: has_begun(builds) or place.exists(), "it has begun")
        with stopped(worker_of(site).process.pid):
            time.sleep(1.2)  # it says how far it is once a second
        assert channel.hear("bgtask_done", task) == (task, DONE)
        first, *between, _ = channel.of[task]
        assert first == ("bgtask_updated", (0, 0, STARTED))
        if between:
            break
    assert between, "none of them took so long"
    for name, (done, total, message) in between:
        assert name == "bgtask_updated"
        assert 0 < done <= total
        assert message.endswith(f"of {files} entries")
    assert kept(peer, task) == ("bgtask_done", (DONE,))


def test_a_task_that_is_cancelled(site: Site, peer: redis.Redis) -> None:
    channel = Channel(peer)
    site.api.make_folder()
    worker_of(site).kill()
    task = clone(site, 0)
    assert channel.hear("bgtask_updated", task) == (task, 0, 0, STARTED)
    assert site.api.manager("DELETE", f"/tasks/{task}").status == 202
    site.start("worker")
    assert channel.hear("bgtask_cancelled", task) == (task, CANCELLED)
    source, destination = VFID, str(VFolderId.parse(numbered(0)))
    assert anycasts(peer) == [("vfolder_clone_failure", (source, destination, "cancelled"))]
    assert kept(peer, task) == ("bgtask_cancelled", (CANCELLED,))


@contextmanager
def restless(path: Path) -> Iterator[None]:
    """A file that grows all the while."""
    enough = threading.Event()

    def grow() -> None:
        with path.open("ab", buffering=0) as file:
            while not enough.is_set():
                file.write(b"x")

    path.write_bytes(bytes(32 << 20))
    thread = threading.Thread(target=grow)
    thread.start()
    try:
        yield
    finally:
        enough.set()
        thread.join()


def test_a_folder_that_changed_while_it_was_cloned(site: Site, peer: redis.Redis) -> None:
    channel = Channel(peer)
    site.api.make_folder()
    with restless(site.folder / "log"):
        for number in range(TRIES):
            task = clone(site, number)
            assert over(site, task)["state"] == "done"
            _, message = channel.hear("bgtask_done", task)
            if message != DONE:
                break
    error = "log: changed while it was copied"
    assert message == f"{DONE}, but for: {error}"
    *_, partly, done = channel.of[task]
    assert partly == ("bgtask_partial_success", (message, [error]))
    assert done == ("bgtask_done", (message,)), "who knows no partial success would wait for ever"
    assert kept(peer, task) == done
    assert anycasts(peer)[-1][0] == "vfolder_clone_success"


def test_nothing_is_lost_or_told_twice_while_the_bridge_dies(site: Site, peer: redis.Redis) -> None:
    expected = []
    for number in range(30):
        folder = f"{SCOPE}/aabb01{number:02}-0000-4000-8000-000000000002"
        site.api.make_folder(folder)
        site.api.manager("POST", "/folder/delete", {"volume": "disk", "vfid": folder})
        expected.append(("vfolder_deletion_success", (str(VFolderId.parse(folder)),)))
        if number % 7 == 3:
            next(role for role in reversed(site.running) if role.name == "bridge").kill()
            site.start("bridge")
    until(lambda: len(anycasts(peer)) >= 30, "all are carried")
    time.sleep(1.5)
    assert anycasts(peer) == expected


def test_the_manager_s_redis_may_be_away(site: Site, peer: redis.Redis) -> None:
    site.api.make_folder()
    peer.execute_command("CLIENT", "PAUSE", 3000, "ALL")
    site.api.manager("POST", "/folder/delete", {"volume": "disk", "vfid": FOLDER})
    until(lambda: anycasts(peer) == [("vfolder_deletion_success", (VFID,))], "it is carried")


def test_wishes_for_mounts_are_answered(site: Site, peer: redis.Redis) -> None:
    channel = Channel(peer)

    def wish(name: str, *arguments: Any) -> None:
        packed = base64.b64encode(msgpack.packb(arguments)).decode()
        peer.publish("events_all", json.dumps({"name": name, "source": "manager", "args": packed}))

    wish("do_volume_mount", "there", "disk", SCOPE, "10.0.0.1:/export", "nfs", None, None, False, "/etc/fstab")
    path = str(site.volume / "there")
    mounted = ("storage-1", "storage_proxy", path, SCOPE, "nothing is mounted there")
    assert channel.hear("volume_mounted") == mounted
    wish("do_volume_mount", "there", "disk", SCOPE, "", "nfs", None, None, False, "/etc/fstab")
    assert channel.hear("volume_mounted")[4] == "no location"
    wish("do_volume_mount", "../x", "disk", SCOPE, "10.0.0.1:/export", "nfs", None)
    assert channel.hear("volume_mounted")[4] == "the directory leads out of the volume"
    wish("do_volume_mount", "x", "disk", SCOPE, "--bind", "nfs", None)
    assert "option" in channel.hear("volume_mounted")[4]
    wish("do_volume_unmount", "there", "disk", SCOPE, None, False, None)
    assert channel.hear("volume_unmounted") == ("storage-1", "storage_proxy", path, SCOPE, None)
    wish("do_volume_mount", "there", "nowhere", SCOPE, "10.0.0.1:/export", "nfs", None)
    wish("do_volume_unmount", "again", "disk", SCOPE)
    assert channel.hear("volume_unmounted")[2].endswith("again"), "of another node's volume nothing was said"


def test_without_a_place_to_carry_to_it_says_so(tmp_path: Path) -> None:
    with open_site(tmp_path) as site:
        done = site.penstock("bridge")
        assert done.returncode != 0
        assert "backendai.url" in done.stderr
