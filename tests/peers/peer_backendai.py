"""Events heard by Backend.AI's own code.

Needs a Python 3.13 with `backend.ai-common` 26.3, which Debian does not have, so it is run by hand:
`make peers PEER_PYTHON=/path/to/venv/bin/python`. The bytes are kept in `tests/wire/backendai_events.jsonl`.
"""

from __future__ import annotations

import json
import os
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from harness.processes import FOLDER, SCOPE, Site, open_site, until
from harness.redis_server import RedisServer, debian_redis

from domain.ids import VFolderId

#: The database Backend.AI has its streams in; its listener looks nowhere else.
DATABASE = 4
OTHER = f"{SCOPE}/aabb0002-0000-4000-8000-000000000002"

pytestmark = pytest.mark.timeout(120)


class Listener:
    """A process of theirs."""

    def __init__(self, address: str) -> None:
        script = Path(__file__).with_name("backendai_listener.py")
        command = [os.environ["PEER_PYTHON"], str(script), address, str(DATABASE)]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
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
        assert self.process.stdout is not None
        self.process.stdout.close()

    def heard(self, pattern: str) -> list[tuple[str, tuple[Any, ...]]]:
        told = [json.loads(line) for line in self.lines[1:]]
        return [(event["name"], tuple(event["args"])) for event in told if event["pattern"] == pattern]


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
    with open_site(tmp_path, backendai__url=url) as found:
        for role in ("actor", "worker", "gateway", "bridge"):
            found.start(role)
        until(lambda: "events are carried" in found.log("bridge"), "the bridge follows")
        yield found


def test_their_listener_understands_everything(site: Site, listener: Listener) -> None:
    site.api.make_folder()
    body = {"src_volume": "disk", "src_vfid": FOLDER, "dst_volume": "disk", "dst_vfid": OTHER}
    clone = site.api.manager("POST", "/folder/clone", body).json["bgtask_id"]
    one, two = str(VFolderId.parse(FOLDER)), str(VFolderId.parse(OTHER))
    until(lambda: ("vfolder_clone_success", (one, two)) in listener.heard("anycast"), "the clone is told")
    until(lambda: ("bgtask_done", (clone, None)) in listener.heard("broadcast"), "its task is told")
    site.api.manager("POST", "/folder/delete", {"volume": "disk", "vfid": OTHER})
    until(lambda: ("vfolder_deletion_success", (two,)) in listener.heard("anycast"), "the deletion is told")
    site.api.manager("POST", "/folder/clone", body | {"src_vfid": OTHER, "dst_vfid": FOLDER})
    until(lambda: len(listener.heard("anycast")) == 3, "the failure is told")
    assert listener.heard("anycast")[2][0] == "vfolder_clone_failure"
