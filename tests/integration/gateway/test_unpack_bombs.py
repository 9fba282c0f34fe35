"""Archives that claim to be very much more than they are: refused in some MiB of memory."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from harness.bombs import BOMBS
from harness.fields import BODY
from harness.peak import Peak
from harness.processes import Site, ask, open_site

#: What the gateway may take for an archive it refuses, in bytes.
MOST = 24 << 20


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A gateway that has had something to do."""
    with open_site(Path(tmp_path_factory.mktemp("site"))) as found:
        found.start("actor")
        found.start("gateway")
        found.api.make_folder()
        found.api.upload("before", bytes(8 << 20))
        yield found


@pytest.fixture(scope="module")
def idle(site: Site) -> int:
    """What the gateway takes before it has seen any of them, in bytes: none hides behind what another has left."""
    return site.running[-1].rss_bytes()


@pytest.mark.parametrize("kind", list(BOMBS))
def test_a_bomb_is_refused_in_little_memory(site: Site, idle: int, kind: str) -> None:
    data = BOMBS[kind]()
    token = site.api.upload_token(f"{kind}/archive", len(data))
    with Peak(site) as peak:
        target = f"/upload?token={token}&extract=1"
        answer = ask(site.api.client_port, "PATCH", target, data, {**BODY, "Upload-Offset": "0"})
    assert answer.status in (400, 413), answer.body
    assert not (site.folder / kind).exists()
    assert peak.bytes - idle < MOST, (idle >> 20, peak.bytes >> 20)
