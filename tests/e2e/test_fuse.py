"""A volume on a real FUSE mount, which can hang."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path

import pytest
from harness.cutter import open_cutter
from harness.folders import OTHER, over
from harness.processes import FOLDER, PLACE, Site, ask, is_ready, open_site, stopped, until

TESTS = Path(__file__).parents[1]
#: How long a call on the volume may take, in seconds.
TIMEOUT = 1.5

pytestmark = pytest.mark.timeout(120)


@pytest.fixture
def mount(tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """The process behind the mount at `volumes/disk`."""
    source, place = tmp_path / "behind", tmp_path / "volumes" / "disk"
    source.mkdir()
    place.mkdir(parents=True)
    environment = {**os.environ, "PYTHONPATH": str(TESTS)}
    command = [sys.executable, "-m", "harness.loopback", str(source), str(place)]
    process = subprocess.Popen(command, env=environment)
    try:
        until(lambda: place.is_mount() or process.poll() is not None, "it is mounted")
        assert process.poll() is None
        yield process
    finally:
        process.send_signal(signal.SIGCONT)
        subprocess.run(["umount", "--lazy", place], check=True)
        process.wait(10)


@pytest.fixture
def site(tmp_path: Path, mount: subprocess.Popen[bytes]) -> Iterator[Site]:
    assert mount.poll() is None
    limits = {"volumes__disk__io__timeout_seconds": TIMEOUT}
    with open_site(tmp_path, volumes=("disk", "other"), actors__purge_interval_seconds=0.5, **limits) as found:
        for role in ("actor", "worker", "gateway"):
            found.start(role)
        found.api.make_folder()
        yield found


def test_files_and_folders_live_on_it(site: Site) -> None:
    api, data = site.api, os.urandom(3_000_001)
    token = api.upload_token("deep/er/file", len(data))
    with open_cutter(api.client_port) as cutter:
        cutter.cut_after(1_000_000)
        with pytest.raises(OSError):
            ask(
                cutter.port,
                "PATCH",
                f"/upload?token={token}",
                data,
                {
                    "Tus-Resumable": "1.0.0",
                    "Upload-Offset": "0",
                    "Content-Type": "application/offset+octet-stream",
                },
            )
    at = api.offset(token)
    assert 0 < at < len(data)
    assert api.patch(token, at, data[at:]).status == 204
    assert (site.path / "behind" / PLACE / "deep/er/file").read_bytes() == data
    got = ask(api.client_port, "GET", api.download_url("deep/er/file"), headers={"Range": "bytes=1000-2000000"})
    assert (got.status, hashlib.sha256(got.body).digest()) == (206, hashlib.sha256(data[1000:2000001]).digest())
    body = {"volume": "disk", "vfid": FOLDER, "relpath": "deep/er/file", "new_name": "other", "is_dir": False}
    assert api.manager("POST", "/folder/file/rename", body).status == 204
    listed = api.manager("POST", "/folder/file/list", {"volume": "disk", "vfid": FOLDER, "relpath": "deep/er"})
    assert [item["name"] for item in listed.json["items"]] == ["other"]
    mounted = api.manager("GET", "/folder/mount", {"volume": "disk", "vfid": FOLDER, "details": True})
    assert mounted.json["type"] == "fuse", mounted.json
    cloned = api.manager(
        "POST", "/folder/clone", {"src_volume": "disk", "src_vfid": FOLDER, "dst_volume": "disk", "dst_vfid": OTHER}
    )
    assert over(site, cloned.json["bgtask_id"])["state"] == "done"
    assert api.manager("POST", "/folder/create", {"volume": "disk", "vfid": FOLDER}).status == 409
    for folder in (FOLDER, OTHER):
        assert api.manager("POST", "/folder/delete", {"volume": "disk", "vfid": folder}).status == 202
    until(lambda: len(site.events("vfolder.purged")) == 2, "both are purged, though deleted at the same time")
    assert not (site.path / "behind" / PLACE).exists()


def test_a_mount_that_hangs_is_told_and_holds_up_nobody_else(site: Site, mount: subprocess.Popen[bytes]) -> None:
    api = site.api
    api.upload("file", b"x" * 1000)
    url = api.download_url("file")
    gateway = next(role for role in site.running if role.name == "gateway")
    assert api.manager("POST", "/folder/create", {"volume": "other", "vfid": OTHER}).status == 204
    with stopped(mount.pid):
        started = time.monotonic()
        refused = ask(api.client_port, "GET", url)
        assert refused.status in (503, 504), refused
        assert refused.headers["content-type"].startswith("application/problem+json")
        assert time.monotonic() - started < TIMEOUT + 2
        # More of them than the volume has threads; the other volume is served all the while.
        command = ["curl", "--silent", "--output", os.devnull, f"{api.client_url}{url}"]
        asking = [subprocess.Popen(command) for _ in range(40)]
        slowest = 0.0
        for number in range(20):
            began = time.monotonic()
            body = {"volume": "other", "vfid": OTHER, "relpath": f"d{number}"}
            assert api.manager("POST", "/folder/file/mkdir", body).status in (200, 204)
            slowest = max(slowest, time.monotonic() - began)
        assert slowest < TIMEOUT
        assert not is_ready(gateway.internal_port), "who looks after it is told"
    for process in asking:
        process.wait(30)
    until(lambda: ask(api.client_port, "GET", url).body == b"x" * 1000, "it is served again")
    until(lambda: is_ready(gateway.internal_port), "all is well")
    made = {"volume": "disk", "vfid": f"{FOLDER[:-1]}9"}
    until(lambda: api.manager("POST", "/folder/create", made).status == 204, "actors as well")


def test_an_upload_that_is_kept_open_on_a_mount_that_hangs_or_is_gone_ends_no_gateway(
    site: Site, mount: subprocess.Popen[bytes]
) -> None:
    api = site.api
    assert api.manager("POST", "/folder/create", {"volume": "other", "vfid": OTHER}).status == 204
    token = api.upload_token("file", 300_000)
    for number in range(2):
        assert api.patch(token, number * 1000, b"x" * 1000).status == 204
        if number:
            mount.kill()
        with stopped(mount.pid) if not number else nullcontext():
            time.sleep(2 + TIMEOUT + 2)  # it is closed meanwhile, or is not
            body = {"volume": "other", "vfid": OTHER, "relpath": f"d{number}"}
            assert api.manager("POST", "/folder/file/mkdir", body).status == 200
            assert api.manager("GET", "/folder/usage", {"volume": "disk", "vfid": FOLDER}).status == 503
            assert not site.fallen()
