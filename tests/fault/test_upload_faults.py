"""Uploads while gateways are killed and frozen, connections cut and Redis is started anew.

No acknowledged byte is lost, no file is there by halves, and every file that is there was told once.
"""

from __future__ import annotations

import os
import random
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from harness.fault.gateways import open_harmed
from harness.fault.harm import harm_while
from harness.fault.uploaders import Upload, Uploader, Uploads
from harness.folders import files_below
from harness.processes import Site, until

SEEDS = range(int(os.environ.get("SEEDS", "1")))
SECONDS = 60 * float(os.environ["MINUTES"]) if "MINUTES" in os.environ else 12.0
UPLOADERS = 6
#: Within what time an upload that was half finished is looked after.
SWEPT_SECONDS = 30.0
FAULTS = (
    *("kill_gateway", "kill_gateway", "freeze_gateway", "cut", "cut"),
    *("cut_redis", "restart_redis", "freeze_redis", "hold_redis"),
)


@pytest.mark.timeout(300 + SECONDS)
@pytest.mark.parametrize("seed", SEEDS)
def test_uploads_under_every_fault(seed: int, tmp_path: Path) -> None:
    chance, uploads = random.Random(seed), Uploads()
    with open_harmed(tmp_path, chance, gateway__resumable_uploads=True) as harmed:
        site, faults = harmed.site, harmed.faults
        workers = [
            Uploader(number, harmed.api, uploads, random.Random(chance.random())).run for number in range(UPLOADERS)
        ]

        def is_enough() -> bool:
            return sum(upload.is_there is True for upload in uploads.all) > 10 and bool(uploads.repeated)

        harm_while(workers, faults.one_of(FAULTS), SECONDS, chance, is_enough)
        settled(site, uploads)
        wrong = [*uploads.wrong, *violations(site, uploads)]
        assert wrong == [], f"{dict(faults.done)}, repeated after {dict(uploads.repeated)}"
    assert is_enough()


def settled(site: Site, uploads: Uploads) -> None:
    """Wait for what a gateway that died left half done, and nobody came back for: another one ends it in time."""
    with suppress(AssertionError):
        until(lambda: not list(violations(site, uploads)), "all is ended", SWEPT_SECONDS)


def violations(site: Site, uploads: Uploads) -> Iterator[str]:
    """What is wrong with the roles, with the folder, and with what was told of it."""
    yield from site.fallen()
    files = files_below(site.folder)
    told = Counter(event.body["path"] for event in site.events("file.uploaded"))
    told += Counter(event.body["path"] for event in site.events("archive.unpacked"))
    meant = {name for upload in uploads.all for name in (upload.name, *upload.files)}
    for name in files.keys() | told.keys():
        if name not in meant and not name.startswith(".upload"):
            yield f"{name} is there, which nobody uploaded"
    for upload in uploads.all:
        for name, data in upload.files.items():
            yield from _violations(upload, name, data, files.get(name), told[upload.name])


def _violations(upload: Upload, name: str, data: bytes, found: bytes | None, told: int) -> Iterator[str]:
    if upload.is_there is not None and (found is not None) != upload.is_there:
        yield f"{name} was said {'' if upload.is_there else 'not '}to be there"
    if found is not None and found != data:
        yield f"{name} has {len(found)} bytes, which are not the {len(data)} that were sent"
    if told != (found is not None):
        yield f"{name} is {'' if found is not None else 'not '}there, and was told {told} times"
