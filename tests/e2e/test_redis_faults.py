"""Every role on a Redis that is killed, and whose connections are cut: none ends by itself, nothing is lost."""

from __future__ import annotations

import json
import os
import random
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgpack
import pytest
import redis
from harness.cutter import open_cutter
from harness.forked import Forked
from harness.processes import SCOPE, Site, open_site, until
from harness.redis_server import RedisServer, debian_redis

from domain.ids import VFolderId

ROUNDS = 16
#: Connections that are cut in a round, and bytes before each at most.
CUTS, CUT_BYTES = 4, 1 << 12
#: Rounds between two of Redis's deaths, and how long it is away, in seconds.
DEATHS, AWAY_SECONDS = 5, 1.0


@contextmanager
def manager_redis(path: Path) -> Iterator[RedisServer]:
    """The Redis of Backend.AI's manager."""
    path.mkdir()
    server = RedisServer(debian_redis(), path)
    server.start()
    try:
        yield server
    finally:
        server.stop()


@pytest.mark.timeout(180)
def test_no_role_ends_and_nothing_is_lost(tmp_path: Path) -> None:
    chance, archive = random.Random(5), tmp_path / "archive"
    with (
        manager_redis(tmp_path / "peer") as peer,
        open_site(tmp_path, backendai__url=peer.url) as site,
        open_cutter(site.server.port) as way,
    ):
        site.write_settings(bus__url=f"redis://127.0.0.1:{way.port}/0")
        for role in ("actor", "worker", "gateway", "bridge"):
            site.start(role)
        until(lambda: "events are carried" in site.log("bridge"), "the bridge follows")
        words = ["archive", "--to", str(archive), "--config", str(site.config)]
        archiver = Forked("ops.cli", words, os.environ, tmp_path / "archive.log")
        until((archive / "events").is_dir, "the archive follows")
        folders = []
        for number in range(ROUNDS):
            folders.append(f"{SCOPE}/aabb{number:04}-0000-4000-8000-000000000001")
            for _ in range(CUTS):
                way.cut_after(chance.randrange(CUT_BYTES))
                time.sleep(0.05)
            if number % DEATHS == DEATHS - 1:
                site.server.kill()
                time.sleep(AWAY_SECONDS)
                site.server.start()
            live(site, folders[-1])
        way.budget = None
        expected = [("vfolder_deletion_success", (str(VFolderId.parse(folder)),)) for folder in folders]
        with redis.Redis.from_url(peer.url) as client:
            until(lambda: len(carried(client)) >= ROUNDS, "all are carried")
            assert carried(client) == expected
        assert archiver.poll() is None, (tmp_path / "archive.log").read_text()
        assert site.fallen() == []
        events = {str(event.id) for event in site.events()}
        until(lambda: events <= archived(site, archive), "all are archived")
        archiver.terminate()
        assert archiver.wait(30) == 0


def live(site: Site, folder: str) -> None:
    """A folder is made, and deleted."""
    for route, expected in (("/folder/create", (204,)), ("/folder/delete", (202,))):
        body = {"volume": "disk", "vfid": folder}

        def asked(route: str = route, body: dict[str, str] = body, expected: tuple[int, ...] = expected) -> bool:
            answer = site.api.manager("POST", route, body, f"{route}:{body['vfid']}")
            assert answer.status in (*expected, 503, 504), answer.body
            return answer.status in expected

        until(asked, f"{route} is answered")


def carried(client: redis.Redis) -> list[tuple[str, tuple[str, ...]]]:
    """What the manager was told."""
    told = [fields for _, fields in client.xrange("events")]
    return [(fields[b"name"].decode(), tuple(msgpack.unpackb(fields[b"args"]))) for fields in told]


def archived(site: Site, archive: Path) -> set[str]:
    """Ids of the events in the archive."""
    done = site.penstock("replay", "events", "--archive", str(archive), "--json")
    assert done.returncode == 0, done.stderr
    return {str(row["id"]) for row in map(json.loads, done.stdout.splitlines())}
