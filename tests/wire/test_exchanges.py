"""Every exchange recorded with Backend.AI's storage proxy 26.3, held again with Penstock."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from harness.exchanges import Exchange, Replay, load
from harness.processes import FOLDER, Answer, Site, open_site, until
from wire.comparing import differences
from wire.deliberate import DELIBERATE

from domain.ids import VFolderId

EXCHANGES = load(Path(__file__).with_name("exchanges.jsonl"))

#: Where the clone lies below the volume's root.
CLONE = "22222222222242228222222222222222/aa/bb/0003000040008000000000000003"

pytestmark = pytest.mark.timeout(120)


def _links_and_times(site: Site) -> None:
    """What the recording's folder was given from outside before it was listed."""
    (site.folder / "link-in").symlink_to("f1.bin")
    (site.folder / "link-out").symlink_to("/etc/hostname")
    (site.folder / "over.bin").write_bytes(b"0123456789ABCDEF")
    (site.folder / "link-broken").symlink_to("nope")
    (site.folder / "mt.bin").write_bytes(b"0123456789")
    os.utime(site.folder / "mt.bin", ns=(1_600_000_000_250_000_000, 1_600_000_000_250_000_000))


def _second_is_over(site: Site) -> None:
    """A date says which bytes of a file are meant once there can be no others of that second."""
    modified = int((site.folder / "f1.bin").stat().st_mtime)
    until(lambda: time.time() >= modified + 1, "its second is over")


def _no_dangling_link(site: Site) -> None:
    until(lambda: not (site.volume / CLONE).exists(), "the first clone is gone")
    (site.folder / "link-broken").unlink()


def _clone_is_there(site: Site) -> None:
    until((site.volume / CLONE).is_dir, "the clone is there")


def _folder_is_gone(site: Site) -> None:
    folder = str(VFolderId.parse(FOLDER))
    until(lambda: folder in {event.key for event in site.events("vfolder.purged")}, "nothing is left of the folder")


#: What happened on the volume itself, or was waited for, and before which exchange.
SCENES: dict[str, Callable[[Site], None]] = {
    "131": _links_and_times,
    "165": _second_is_over,
    "240": _clone_is_there,
    "241": _no_dangling_link,
    "242": _clone_is_there,
    "255": _folder_is_gone,
}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with open_site(tmp_path_factory.mktemp("wire"), volumes=("disk", "shm")) as site:
        for role in ("actor", "worker", "gateway"):
            site.start(role)
        yield site


@pytest.fixture(scope="module")
def answers(site: Site) -> dict[str, Answer]:
    ports = {"client": site.api.client_port, "manager": site.api.manager_port}
    replay = Replay({**ports, "internal": site.running[-1].internal_port})
    for exchange in EXCHANGES:
        SCENES.get(exchange.number, lambda _: None)(site)
        replay.hold(exchange)
    return replay.answers


@pytest.mark.parametrize("exchange", EXCHANGES, ids=lambda exchange: exchange.name)
def test_the_answer_is_the_reference_s(exchange: Exchange, answers: dict[str, Answer], site: Site) -> None:
    answer = answers[exchange.number]
    found = {place: found.here for place, found in differences(exchange, answer, str(site.volume)).items()}
    deliberate = DELIBERATE.get(exchange.name)
    if deliberate is None:
        assert found == {}
        return
    assert found == deliberate.here, deliberate.reason
    for name, value in deliberate.headers.items():
        assert answer.headers.get(name) == value


def test_only_recorded_exchanges_are_deliberately_different() -> None:
    assert set(DELIBERATE) <= {exchange.name for exchange in EXCHANGES}
    assert all(difference.reason and difference.here for difference in DELIBERATE.values())
