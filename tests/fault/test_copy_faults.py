"""An owner with too little room, who uploads, clones, cancels and restores, while whoever does that is killed.

What is there is never more than the limit, whoever dies between counting and copying, and what is over is counted
no more.
"""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest
import redis
from harness.archives import tar_of
from harness.fault.cloner import Cloner
from harness.fault.gateways import Harmed, open_harmed
from harness.fault.harm import harm_while
from harness.fault.limited import LimitedUploader, Watch
from harness.fault.uploaders import Uploads
from harness.fields import BODY
from harness.folders import sizes_below
from harness.processes import SCOPE, Site, ask, until

SEEDS = range(int(os.environ.get("SEEDS", "1")))
SECONDS = 60 * float(os.environ["MINUTES"]) if "MINUTES" in os.environ else 12.0
LIMIT_BYTES = 10 << 20
#: What is cloned: so many files of so many bytes.
FILES, FILE_BYTES = 300, 8 << 10
SOURCE = f"{SCOPE}/aabb0009-0000-4000-8000-000000000009"
SOURCE_PLACE = "11111111111141118111111111111111/aa/bb/0009000040008000000000000009"
UPLOAD_SECONDS = 20.0
COUNTED_SECONDS = 8.0
FAULTS = (
    *("kill_worker", "kill_worker", "kill_actor", "kill_gateway", "freeze_gateway", "cut"),
    *("cut_redis", "restart_redis", "freeze_redis", "hold_redis"),
)


@pytest.mark.timeout(360 + SECONDS)
@pytest.mark.parametrize("seed", SEEDS)
def test_limits_of_owners_who_clone(seed: int, tmp_path: Path) -> None:
    chance, uploads = random.Random(seed), Uploads()
    settings = {"gateway__upload_seconds": UPLOAD_SECONDS, "gateway__usage_max_age_seconds": COUNTED_SECONDS}
    with open_harmed(
        tmp_path, chance, "worker", actors__purge_interval_seconds=0.5, actors__trash_seconds=60, **settings
    ) as harmed:
        site, faults = harmed.site, harmed.faults
        prepare(harmed)
        scope = site.volume / SOURCE_PLACE.partition("/")[0]
        watch = Watch(scope)
        uploaders = [
            LimitedUploader(number, harmed.api, uploads, random.Random(chance.random())) for number in range(3)
        ]
        cloners = [Cloner(number, site.api, SOURCE, uploads, random.Random(chance.random())) for number in range(3)]
        for uploader in uploaders:
            uploader.removed = 0.9
        workers = [watch.run, *(worker.run for worker in (*uploaders, *cloners))]

        def is_enough() -> bool:
            return watch.most > FILES * FILE_BYTES and any(cloner.restored for cloner in cloners)

        harm_while(workers, faults.one_of(FAULTS), SECONDS, chance, is_enough)
        assert uploads.wrong == [], f"{dict(faults.done)}, repeated after {dict(uploads.repeated)}"
        assert watch.most <= LIMIT_BYTES
        until(lambda: not counted(site), "nothing is counted of what is over", 3 * UPLOAD_SECONDS)
        until(lambda: used(site) == sum(sizes_below(scope).values()), "it is counted", 30 + COUNTED_SECONDS)
    assert is_enough()


def prepare(harmed: Harmed) -> None:
    """A folder to clone, and little room for more."""
    site = harmed.site
    site.api.make_folder(SOURCE)
    archive = tar_of({str(number): bytes(FILE_BYTES) for number in range(FILES)})
    wanted = {"volume": "disk", "vfid": SOURCE, "relpath": "all.tar", "size": len(archive)}
    token = site.api.manager("POST", "/folder/file/upload", wanted).json["token"]
    headers = {**BODY, "Upload-Offset": "0"}
    unpacked = ask(site.api.client_port, "PATCH", f"/upload?token={token}&extract=1", archive, headers)
    assert unpacked.status == 204, unpacked.body
    body = {"volume": "disk", "qsid": SCOPE, "options": {"limit_bytes": LIMIT_BYTES}}
    assert site.api.manager("PATCH", "/quota-scope", body).status == 204


def counted(site: Site) -> list[bytes]:
    """What is counted of unfinished uploads, and of what is on its way."""
    with redis.Redis.from_url(site.server.url) as client:
        names = [name for kind in ("uploads", "arrivals") for name in client.scan_iter(f"index:{kind}:*")]
        return [member for name in names for member in client.zrange(name, 0, -1)]


def used(site: Site) -> int:
    kind, _, owner = SCOPE.partition(":")
    return int(site.api.manager("GET", f"/volumes/disk/quota-scope/{kind}/{owner}").json["used_bytes"])
