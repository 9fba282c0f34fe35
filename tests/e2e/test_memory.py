"""Memory of the gateway does not follow the size of what it moves."""

from __future__ import annotations

import http.client
import os
from pathlib import Path

import pytest
from harness.peak import Peak
from harness.processes import Api, Site

GIB = 1 << 30
LIMIT = 100 << 20


@pytest.mark.timeout(180)
def test_a_gibibyte_up_and_down(site: Site, tmp_path: Path) -> None:
    source = tmp_path / "sparse"
    with source.open("wb") as file:
        os.truncate(file.fileno(), GIB)
    with Peak(site) as peak:
        token = site.api.upload_token("big", GIB)
        with source.open("rb") as file:
            assert site.api.patch(token, 0, file).status == 204
        assert (site.folder / "big").stat().st_size == GIB
        assert read_slowly(site.api, "big") == GIB
    assert peak.bytes - peak.idle < LIMIT, (peak.idle, peak.bytes)


def read_slowly(api: Api, name: str) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", api.client_port, timeout=60)
    try:
        connection.request("GET", api.download_url(name))
        answer = connection.getresponse()
        total = 0
        while piece := answer.read(4 << 20):
            total += len(piece)
        return total
    finally:
        connection.close()
