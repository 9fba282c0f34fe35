"""A real Prometheus that scrapes a gateway, and the questions the documentation says it answers."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from harness.processes import FOLDER, SCOPE, Site, ask, open_site, until
from harness.redis_server import free_port

from ops.reference.queries import QUERIES

CONFIG = """
global: {scrape_interval: 1s}
scrape_configs:
  - job_name: penstock-gateway
    static_configs: [{targets: ["127.0.0.1:%d"]}]
    relabel_configs: [{target_label: service_group, replacement: storage-proxy}]
"""

pytestmark = pytest.mark.timeout(180)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with open_site(tmp_path, gateway__command_seconds=5.0, bus__queue_limit=1) as found:
        found.start("actor")
        # Where the machine is slow, that may be too short for the first command of all.
        patient = found.start("gateway", gateway__command_seconds=30)
        found.api.make_folder()
        patient.kill()
        found.running.remove(patient)
        found.start("gateway")
        yield found


class Prometheus:
    """A server of its own."""

    def __init__(self, path: Path, target: int) -> None:
        binary = shutil.which("prometheus", path=os.defpath)
        assert binary is not None, "prometheus is not installed: run `make test`"
        path.mkdir()
        (path / "prometheus.yml").write_text(CONFIG % target)
        self.port = free_port()
        command = [
            binary,
            f"--config.file={path / 'prometheus.yml'}",
            f"--storage.tsdb.path={path / 'data'}",
            f"--web.listen-address=127.0.0.1:{self.port}",
            "--log.level=error",
        ]
        self.process = subprocess.Popen(command, cwd=path)
        until(self._is_ready, "Prometheus is ready")

    def _is_ready(self) -> bool:
        try:
            return ask(self.port, "GET", "/-/ready").status == 200
        except OSError:
            return False

    def query(self, expression: str) -> list[Any]:
        query = urllib.parse.urlencode({"query": expression})
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/api/v1/query?{query}", timeout=20) as answer:
            found = json.load(answer)
        assert found["status"] == "success", found
        return list(found["data"]["result"])

    def close(self) -> None:
        self.process.terminate()
        self.process.wait(20)


@pytest.fixture
def prometheus(site: Site, tmp_path: Path) -> Iterator[Prometheus]:
    server = Prometheus(tmp_path / "prometheus", site.running[-1].internal_port)
    yield server
    server.close()


def everything(site: Site) -> None:
    """One request of each kind the questions are about."""
    api, named = site.api, {"volume": "disk", "vfid": FOLDER}
    api.upload("a.txt", b"hello")
    assert ask(api.client_port, "GET", api.download_url("a.txt")).status == 200
    assert api.manager("POST", "/folder/file/list", {**named, "relpath": "."}).status == 200
    limit = {"volume": "disk", "qsid": SCOPE, "options": {"limit_bytes": 10}}
    assert api.manager("PATCH", "/quota-scope", limit).status == 204
    assert api.manager("GET", "/quota-scope", {"volume": "disk", "qsid": SCOPE}).status == 200
    assert api.manager("POST", "/folder/file/upload", {**named, "relpath": "b", "size": 100}).status == 413
    api.manager("DELETE", "/quota-scope/quota", {"volume": "disk", "qsid": SCOPE})
    refused = {**named, "relpath": "b", "size": 1, "permission": "ro"}
    assert api.manager("POST", "/folder/file/upload", refused).status == 403
    assert ask(api.client_port, "GET", "/download?token=nonsense").status == 401
    folder = f"{SCOPE}/{os.urandom(16).hex()}"
    assert api.manager("POST", "/folder/create", {"volume": "disk", "vfid": folder}).status == 204


def works(site: Site, body: dict[str, str]) -> bool:
    return site.api.manager("POST", "/folder/create", body).status in (204, 409)


def test_every_question_has_an_answer(site: Site, prometheus: Prometheus) -> None:
    until(lambda: prometheus.query("up == 1"), "it scrapes")
    for _ in range(2):
        everything(site)
        body = {"volume": "disk", "vfid": f"{SCOPE}/{os.urandom(16).hex()}"}
        next(role for role in reversed(site.running) if role.name == "actor").kill()
        assert site.api.manager("POST", "/folder/create", body).status == 504
        other = {**body, "vfid": f"{SCOPE}/{os.urandom(16).hex()}"}
        assert site.api.manager("POST", "/folder/create", other).status == 503, "one command may wait"
        site.start("actor")
        until(partial(works, site, body), "it works again")
        time.sleep(2.5)  # two scrapes
    unanswered = [query.title for query in QUERIES if not prometheus.query(query.expression)]
    assert unanswered == []
    share = next(query for query in QUERIES if query.title == "share of successes")
    (answer,) = prometheus.query(share.expression)
    assert 0 < float(answer["value"][1]) < 1


def test_the_sample_configuration_is_one() -> None:
    promtool = shutil.which("promtool", path=os.defpath)
    assert promtool is not None, "prometheus is not installed: run `make test`"
    config = Path(__file__).parents[2] / "configs/prometheus.yml"
    done = subprocess.run([promtool, "check", "config", config], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
