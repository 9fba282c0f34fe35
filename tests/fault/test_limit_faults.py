"""A folder with too little room, while gateways are killed and frozen, and Redis is frozen, cut off and killed.

Its files are never more than its limit, whoever dies between counting and storing; and what is gone is counted no
more, or the folder would be full of nothing.
"""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest
import redis
from harness.fault.gateways import open_harmed
from harness.fault.harm import harm_while
from harness.fault.limited import LimitedUploader, Watch
from harness.fault.uploaders import Uploads
from harness.folders import sizes_below
from harness.processes import FOLDER, Site, until

SEEDS = range(int(os.environ.get("SEEDS", "1")))
SECONDS = 60 * float(os.environ["MINUTES"]) if "MINUTES" in os.environ else 12.0
UPLOADERS = 6
LIMIT_BYTES = 8 << 20
#: How long an upload is kept of which nobody knows that it has begun.
UPLOAD_SECONDS = 20.0
#: How old a count may be: too high until then, by what a gateway had removed, or put at its place, when it died
#: before it told of that.
COUNTED_SECONDS = 8.0
FAULTS = (
    *("kill_gateway", "kill_gateway", "freeze_gateway", "cut"),
    *("cut_redis", "restart_redis", "freeze_redis", "hold_redis"),
)


@pytest.mark.timeout(360 + SECONDS)
@pytest.mark.parametrize("seed", SEEDS)
def test_limits_under_every_fault(seed: int, tmp_path: Path) -> None:
    chance, uploads = random.Random(seed), Uploads()
    settings = {"gateway__upload_seconds": UPLOAD_SECONDS, "gateway__usage_max_age_seconds": COUNTED_SECONDS}
    with open_harmed(tmp_path, chance, **settings) as harmed:
        site, faults, watch = harmed.site, harmed.faults, Watch(harmed.site.folder)
        limited = site.api.manager("PUT", "/folder/quota", about(options={"limit_bytes": LIMIT_BYTES}))
        assert limited.status == 204, limited.body
        workers = [
            LimitedUploader(number, harmed.api, uploads, random.Random(chance.random()))
            for number in range(UPLOADERS)
        ]

        def is_enough() -> bool:
            known = sum(upload.is_there is not None for upload in uploads.all)
            return known > 10 and watch.looks > 10 and watch.most > 0 and any(worker.refused for worker in workers)

        runs = [watch.run, *(worker.run for worker in workers)]
        harm_while(runs, faults.one_of(FAULTS), SECONDS, chance, is_enough)
        assert uploads.wrong == [], f"{dict(faults.done)}, repeated after {dict(uploads.repeated)}"
        assert watch.most <= LIMIT_BYTES
        until(lambda: not counted(site), "nothing is counted of uploads that are over", 3 * UPLOAD_SECONDS)
        there = sum(sizes_below(site.folder).values())
        until(lambda: used(site) == there, "what is there is counted", 30 + COUNTED_SECONDS)
    assert is_enough()


def about(**fields: object) -> dict[str, object]:
    return {"volume": "disk", "vfid": FOLDER, **fields}


def counted(site: Site) -> list[bytes]:
    """What is counted of unfinished uploads, of the folder and its owner."""
    with redis.Redis.from_url(site.server.url) as client:
        return [member for name in client.scan_iter("index:uploads:*") for member in client.zrange(name, 0, -1)]


def used(site: Site) -> int:
    return int(site.api.manager("GET", "/folder/quota", about()).json["used_bytes"])
