"""Two gateways that have the same volume over NFS, each as a client of its own.

Run by hand, in a virtual machine: `make nfs`.
"""

from __future__ import annotations

import hashlib
import os
import random
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from harness.folders import OTHER
from harness.processes import FOLDER, PATIENCE, PLACE, Api, Role, Site, ask, is_ready, open_site, until
from harness.redis_server import free_port
from harness.sending import Sender

pytestmark = pytest.mark.timeout(60 * PATIENCE)

MIB = 1 << 20
#: Where the server has it, and its clients.
SERVER, CLIENTS = Path("/srv/volume"), (Path("/mnt/a"), Path("/mnt/b"))
#: How long a gateway may be silent before others take its uploads over, in seconds.
LEASE = 5.0


class Gateway:
    """One of the two."""

    role: Role

    def __init__(self, site: Site, mount: Path) -> None:
        self.site = site
        self.api = Api(free_port(), free_port())
        self._path = mount / site.path.name
        self.start()

    def start(self) -> None:
        """Start it, or start it again."""
        self.role = self.site.start(
            "gateway",
            volumes__disk__path=self._path,
            gateway__client__port=self.api.client_port,
            gateway__manager__port=self.api.manager_port,
        )


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    (SERVER / tmp_path.name).mkdir()
    settings = {
        "volumes__disk__path": str(CLIENTS[0] / tmp_path.name),
        "bus__lease_seconds": LEASE,
        "bus__upload_lease_seconds": LEASE,
        "actors__purge_interval_seconds": 0.5,
    }
    with open_site(tmp_path, **settings) as found:
        found.start("actor")
        yield found


@pytest.fixture
def gateways(site: Site) -> tuple[Gateway, Gateway]:
    both = Gateway(site, CLIENTS[0]), Gateway(site, CLIENTS[1])
    both[0].api.make_folder()
    return both


def folder_on_server(site: Site) -> Path:
    return SERVER / site.path.name / PLACE


def check_whole(site: Site, both: tuple[Gateway, Gateway], name: str, data: bytes) -> None:
    """One file, told once, and the same for all who look."""
    assert (folder_on_server(site) / name).read_bytes() == data
    for gateway in both:
        assert ask(gateway.api.client_port, "GET", gateway.api.download_url(name)).body == data
    told = [event for event in site.events("file.uploaded") if event.body["path"] == name]
    assert [event.body["sha256"] for event in told] == [hashlib.sha256(data).hexdigest()]


def offset(gateway: Gateway, token: str) -> int:
    """How far an upload is, as soon as it can be told."""
    target, fields = f"/upload?token={token}", {"Tus-Resumable": "1.0.0"}

    def answer() -> str | None:
        found = ask(gateway.api.client_port, "HEAD", target, headers=fields)
        assert found.status in (200, 409, 503), found
        return found.headers["upload-offset"] if found.status == 200 else None

    return int(until(answer, "it can be told"))


def check_stored(site: Site, data: bytes, stored: int) -> None:
    """All that is said to be stored is there, on the server."""
    (staged,) = (folder_on_server(site) / ".upload").iterdir()
    with staged.open("rb") as file:
        assert hashlib.sha256(file.read(stored)).digest() == hashlib.sha256(data[:stored]).digest()


def test_each_goes_on_where_the_other_was(site: Site, gateways: tuple[Gateway, Gateway]) -> None:
    data = random.Random(1).randbytes(6 * MIB + 12345)
    token = gateways[0].api.upload_token("file", len(data))
    step = 700_001
    for turn, start in enumerate(range(0, len(data), step)):
        gateway = gateways[turn % 2]
        assert gateway.api.offset(token) == start
        assert gateway.api.patch(token, start, data[start : start + step]).status == 204
    check_whole(site, gateways, "file", data)


def test_who_is_silent_is_not_waited_for(site: Site, gateways: tuple[Gateway, Gateway]) -> None:
    """And writes not one more byte."""
    data = random.Random(2).randbytes(4 * MIB)
    token = gateways[0].api.upload_token("file", len(data))
    with Sender(gateways[0].api, token, 0, len(data)) as sender:
        sender.send(data[: 2 * MIB + 77])
        time.sleep(PATIENCE / 4)
        stored = offset(gateways[1], token)
        assert 0 < stored <= 2 * MIB + 77
        check_stored(site, data, stored)
        with suppress(OSError):
            sender.send(bytes(MIB))
        assert gateways[1].api.patch(token, stored, data[stored:]).status == 204
        with suppress(OSError):
            sender.send(bytes(MIB))
    check_whole(site, gateways, "file", data)


def test_one_after_the_other_is_killed(site: Site, gateways: tuple[Gateway, Gateway]) -> None:
    chance = random.Random(3)
    data = chance.randbytes(64 * MIB)
    token = gateways[0].api.upload_token("file", len(data))
    stored = 0
    for turn in range(6):
        gateway, other = gateways[turn % 2], gateways[1 - turn % 2]
        with sending(gateway, token, data, stored):
            time.sleep(chance.uniform(0.1, 1.5))
            gateway.role.kill()
        found = offset(other, token)
        assert stored <= found <= len(data)
        stored = found
        if stored < len(data):
            check_stored(site, data, stored)
        gateway.start()
    assert stored
    if stored < len(data):
        assert gateways[0].api.patch(token, stored, data[stored:]).status == 204
    check_whole(site, gateways, "file", data)


@contextmanager
def sending(gateway: Gateway, token: str, data: bytes, start: int) -> Iterator[None]:
    """Send an upload's rest meanwhile, whatever becomes of it."""

    def run() -> None:
        with suppress(OSError), Sender(gateway.api, token, start, len(data) - start) as sender:
            for at in range(start, len(data), 64 << 10):
                sender.send(data[at : at + (64 << 10)])

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        thread.join(60 * PATIENCE)


@contextmanager
def cut_off(host: str) -> Iterator[None]:
    """Nothing comes from a client to the server, or back."""
    subprocess.run(["ip", "link", "set", f"to-{host}", "down"], check=True)
    try:
        yield
    finally:
        subprocess.run(["ip", "link", "set", f"to-{host}", "up"], check=True)


def test_a_host_that_is_cut_off(site: Site, gateways: tuple[Gateway, Gateway]) -> None:
    """Redis and the clients reach its gateway, but it does not reach the storage."""
    chance = random.Random(4)
    first, second = gateways
    data = chance.randbytes(16 * MIB)
    for number in range(3):
        token = first.api.upload_token(f"file{number}", len(data))
        with sending(first, token, data, 0):
            time.sleep(chance.uniform(0.2, 2))
            with cut_off("a"):
                stored = offset(second, token)
                if stored < len(data):
                    check_stored(site, data, stored)
                    assert second.api.patch(token, stored, data[stored:]).status == 204
        until(lambda: is_ready(first.role.internal_port), "it is there again", 60)
        check_whole(site, gateways, f"file{number}", data)


def test_what_one_has_changed_the_other_shows(site: Site, gateways: tuple[Gateway, Gateway]) -> None:
    first, second = gateways
    where = {"volume": "disk", "vfid": FOLDER}

    def names(gateway: Gateway) -> list[str]:
        listed = gateway.api.manager("POST", "/folder/file/list", {**where, "relpath": "."})
        return sorted(item["name"] for item in listed.json["items"])

    for turn in range(6):
        writer, reader = gateways[turn % 2], gateways[1 - turn % 2]
        assert len(names(reader)) == turn
        missing = ask(reader.api.client_port, "GET", reader.api.download_url(f"f{turn}"))
        assert missing.status == 404
        writer.api.upload(f"f{turn}", os.urandom(1000))
        assert ask(reader.api.client_port, "GET", reader.api.download_url(f"f{turn}")).status == 200
        assert names(reader) == [f"f{number}" for number in range(turn + 1)]
    assert second.api.manager("GET", "/folder/usage", {"volume": "disk", "vfid": OTHER}).status == 404
    assert first.api.manager("POST", "/folder/create", {"volume": "disk", "vfid": OTHER}).status == 204
    assert second.api.manager("POST", "/folder/file/mkdir", {**where, "vfid": OTHER, "relpath": "d"}).status == 200
    assert first.api.manager("POST", "/folder/delete", where).status == 202
    until(lambda: not folder_on_server(site).exists(), "it is gone")
    assert ask(second.api.client_port, "GET", second.api.download_url("f1")).status == 404
