"""A gateway that may read a directory outside of all volumes."""

from __future__ import annotations

import os
from pathlib import Path

import jwt
import pytest
from harness.processes import FOLDER, TOKEN_SECRET, ask, open_site

pytestmark = pytest.mark.timeout(120)

DATA = os.urandom(700_000)


def test_what_the_settings_name_is_sent_and_told_of_among_the_metrics(tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    with open_site(tmp_path, gateway__unmanaged_paths=[str(shared)]) as site:
        gateway = site.start("gateway")  # the directory is not there yet
        shared.mkdir()
        (shared / "file").write_bytes(DATA)
        body = {"volume": "noop", "vfid": FOLDER, "relpath": "file", "unmanaged_path": str(shared)}
        token = site.api.manager("POST", "/folder/file/download", body).json["token"]
        answer = ask(site.api.client_port, "GET", f"/download?token={token}")
        assert (answer.status, answer.body) == (200, DATA)
        claims = jwt.decode(token, TOKEN_SECRET, algorithms=["HS256"])
        for volume, path, status in (("made-up", str(shared), 200), ("noop", str(tmp_path), 403)):
            made = jwt.encode({**claims, "volume": volume, "unmanaged_path": path}, TOKEN_SECRET)
            assert ask(site.api.client_port, "GET", f"/download?token={made}").status == status
        metrics = ask(gateway.internal_port, "GET", "/metrics").body.decode()
        (sent,) = [line for line in metrics.splitlines() if line.startswith("penstock_transfer_bytes_total{")]
        assert ('volume="noop"' in sent, float(sent.rpartition(" ")[2])) == (True, 2 * len(DATA))
        assert "made-up" not in metrics
        assert gateway.stop() == 0
