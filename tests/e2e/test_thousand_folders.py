"""A thousand folders at once over two actor processes, one of which dies in the middle."""

from __future__ import annotations

import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from harness.processes import SCOPE, Site, open_site

COUNT = 1000
VOLUMES = ("disk", "shelf", "chest")


def vfid(number: int) -> str:
    return f"{SCOPE}/{number:08x}-0000-4000-8000-000000000001"


@pytest.mark.timeout(180)
def test_each_is_made_once(tmp_path: Path) -> None:
    with open_site(tmp_path, volumes=VOLUMES) as site:
        first, _ = site.start("actor"), site.start("actor")
        site.start("gateway")
        half = threading.Event()
        made: Counter[int] = Counter()

        def make(number: int) -> None:
            body = {"volume": VOLUMES[number % 3], "vfid": vfid(number)}
            made[site.api.manager("POST", "/folder/create", body).status] += 1
            if sum(made.values()) > COUNT // 3:
                half.set()

        with ThreadPoolExecutor(32) as pool:
            requests = [pool.submit(make, number) for number in range(COUNT)]
            assert half.wait(60)
            first.kill()
            for request in requests:
                request.result(120)
        assert made == {204: COUNT}
        check(site)


def check(site: Site) -> None:
    created = Counter(event.body["folder"] for event in site.events("vfolder.created"))
    assert len(created) == COUNT
    assert set(created.values()) == {1}
    assert not site.events("vfolder.create.failed")
    on_disk = [path for name in VOLUMES for path in (site.path / "volumes" / name).glob("[0-9a-f]*/*/*/*")]
    assert len(on_disk) == COUNT
    with_stage = [path for name in VOLUMES for path in (site.path / "volumes" / name).glob(".penstock/stage/*")]
    assert not with_stage
    answer = site.penstock("folders", "ls", "--json")
    assert answer.stdout.count('"created"') == COUNT, answer.stderr
