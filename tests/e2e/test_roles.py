"""Roles started apart, as on a cluster: settings, health, metrics, doctor, workers, graceful stop."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import subprocess
import threading
from pathlib import Path

import pytest
from harness.processes import FOLDER, PENSTOCK, Site, ask, open_site, until

from domain.ids import VFolderId

pytestmark = pytest.mark.timeout(120)


@pytest.fixture
def two(tmp_path: Path):
    """An actor, and a gateway of two processes."""
    with open_site(tmp_path, gateway__processes=2) as site:
        site.start("actor")
        site.start("gateway")
        yield site


def test_several_processes_answer_as_one(two: Site) -> None:
    gateway = two.running[-1]
    for _ in range(40):
        assert two.api.manager("GET", "/volumes").status == 200
    text = ask(gateway.internal_port, "GET", "/metrics").body.decode()
    lines = [line for line in text.splitlines() if 'endpoint="/volumes"' in line]
    counts = [line.split()[-1] for line in lines if line.startswith("backendai_api_request_count_total{")]
    assert sum(map(float, counts)) == 40
    assert any(
        line.startswith("backendai_api_request_duration_sec_bucket{") and 'le="0.1"' in line for line in lines
    )
    for path in ("/livez", "/readyz", "/health"):
        assert ask(gateway.internal_port, "GET", path).status == 200
    assert gateway.stop() == 0


def test_ready_turns_to_no_without_redis(two: Site) -> None:
    gateway = two.running[-1]
    two.server.kill()
    until(lambda: ask(gateway.internal_port, "GET", "/readyz").status == 503, "not ready")
    assert ask(gateway.internal_port, "GET", "/livez").status == 200
    two.server.start()
    until(lambda: ask(gateway.internal_port, "GET", "/readyz").status == 200, "ready again")


def test_the_doctor_is_content(site: Site) -> None:
    done = site.penstock("doctor", "--json")
    findings = json.loads(done.stdout)
    assert done.returncode == 0, findings
    assert {finding["grade"] for finding in findings} <= {"ok", "warn"}


def test_the_doctor_names_what_is_wrong(site: Site) -> None:
    site.volume.rename(site.path / "elsewhere")
    done = site.penstock("doctor")
    assert done.returncode == 1
    assert re.search(r"fail\s+volume disk", done.stdout), done.stdout
    site.server.stop()
    done = site.penstock("doctor")
    assert done.returncode == 1
    assert re.search(r"fail\s+redis", done.stdout), done.stdout


def test_a_worker_empties_the_trash(site: Site) -> None:
    for number in range(50):
        site.api.upload(f"d{number % 5}/f{number}", b"x" * 1000)
    site.start("worker")
    answer = site.api.manager("POST", "/folder/delete", {"volume": "disk", "vfid": FOLDER})
    assert answer.status == 202
    (purged,) = until(lambda: site.events("vfolder.purged"), "the folder is purged")
    assert purged.body["entries"] == 55
    assert not site.folder.exists()
    assert not list((site.volume / ".penstock" / "trash").iterdir())


def test_a_graceful_stop_lets_a_download_end(site: Site) -> None:
    size = 64 << 20
    with (site.folder / "big").open("wb") as file:
        os.truncate(file.fileno(), size)
    connection = http.client.HTTPConnection("127.0.0.1", site.api.client_port, timeout=30)
    connection.request("GET", site.api.download_url("big"))
    answer = connection.getresponse()
    got = len(answer.read(1 << 20))
    gateway, codes = site.running[-1], []
    stopping = threading.Thread(target=lambda: codes.append(gateway.stop()))
    stopping.start()
    until(lambda: refuses(site.api.client_port), "new connections are refused")
    while piece := answer.read(1 << 20):
        got += len(piece)
    connection.close()
    stopping.join(30)
    assert got == size
    assert codes == [0]


def test_a_graceful_stop_keeps_the_bytes_of_an_upload(site: Site) -> None:
    data = os.urandom(8 << 20)
    token = site.api.upload_token("slow.bin", len(data))
    connection = http.client.HTTPConnection("127.0.0.1", site.api.client_port, timeout=30)
    connection.putrequest("PATCH", f"/upload?token={token}")
    for name, value in (("Upload-Offset", 0), ("Tus-Resumable", "1.0.0"), ("Content-Length", len(data))):
        connection.putheader(name, str(value))
    connection.putheader("Content-Type", "application/offset+octet-stream")
    connection.endheaders()
    connection.send(data[: 3 << 20])
    until(lambda: staged(site) == 3 << 20, "three MiB are stored")
    gateway = site.running[-1]
    gateway.process.send_signal(signal.SIGTERM)
    until(lambda: ask(gateway.internal_port, "GET", "/readyz").status == 503, "no more requests are to come")
    assert ask(gateway.internal_port, "GET", "/livez").status == 200, "the upload is still given time"
    assert gateway.process.wait(40) == 0
    connection.close()
    site.start("gateway")
    assert site.api.offset(token) == 3 << 20
    assert site.api.patch(token, 3 << 20, data[3 << 20 :]).status == 204
    assert (site.folder / "slow.bin").read_bytes() == data


def staged(site: Site) -> int:
    return sum(path.stat().st_size for path in (site.folder / ".upload").iterdir())


def refuses(port: int) -> bool:
    try:
        ask(port, "GET", "/")
    except OSError:
        return True
    return False


def test_rebuild_finds_what_the_catalogue_does_not_know(site: Site) -> None:
    stranger = site.volume / "22222222222242228222222222222222/cc/dd/0001000040008000000000000009"
    stranger.mkdir(parents=True)
    done = site.penstock("rebuild", "--count")
    assert done.returncode == 0, done.stderr
    listed = json.loads(site.penstock("folders", "ls", "--json").stdout)
    assert {VFolderId.parse(folder["vfid"]) for folder in listed} == {
        VFolderId.parse(FOLDER),
        VFolderId.parse("user:22222222-2222-4222-8222-222222222222/ccdd0001000040008000000000000009"),
    }


def test_the_queues_can_be_looked_at(site: Site) -> None:
    (lane,) = json.loads(site.penstock("streams", "ls", "--json").stdout)
    assert (lane["volume"], lane["epoch"], lane["waiting"], lane["oldest_seconds"]) == ("disk", 1, 0, None)
    assert ".actor." in lane["owner"]
    site.running[0].kill()
    body = {"volume": "disk", "vfid": FOLDER}
    assert site.api.manager("POST", "/folder/delete", body).status == 202
    (lane,) = json.loads(site.penstock("streams", "ls", "--json").stdout)
    assert lane["waiting"] == 1
    assert lane["oldest_seconds"] >= 0
    assert json.loads(site.penstock("streams", "readers", "--json").stdout) == []


def test_the_command_line_says_what_is_wrong_in_one_line(tmp_path: Path) -> None:
    done = subprocess.run(
        [*PENSTOCK, "gateway", "--config", str(tmp_path / "nope.toml")],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.startswith("Error: there is no settings file")
    assert len(done.stderr.splitlines()) == 1
