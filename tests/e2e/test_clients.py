"""Uploads by clients others wrote, each cut in the middle and resumed."""

from __future__ import annotations

import hashlib
import json
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from harness.cutter import open_cutter
from harness.peak import Peak
from harness.processes import FOLDER, Site

CLIENTS = Path(__file__).parent / "clients"
#: Length of the file; longer by hand, `MIB=5120 pytest tests/e2e/test_clients.py`.
MIB = int(os.environ.get("MIB", "64"))
SIZE = MIB << 20
CUT = SIZE * 5 // 9 + 3
#: How much memory a gateway may take beyond what it takes idle, in bytes.
MEMORY = 100 << 20
#: How long a client may take, in seconds.
PATIENCE = 100 + MIB // 10

pytestmark = pytest.mark.timeout(20 + 2 * PATIENCE)


@pytest.fixture(scope="module")
def node_client(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """tus-js-client and Uppy from npm, in the versions of the lock file."""
    folder = tmp_path_factory.mktemp("node")
    for name in ("package.json", "package-lock.json", "upload.mjs", "uppy.mjs"):
        shutil.copy(CLIENTS / name, folder)
    subprocess.run(["npm", "ci", "--silent", "--no-audit", "--no-fund"], cwd=folder, check=True, timeout=100)
    return folder / "upload.mjs"


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("source") / "source.bin"
    chance = random.Random(4)
    with path.open("wb") as file:
        for _ in range(MIB):
            file.write(chance.randbytes(1 << 20))
    return path


@pytest.fixture(autouse=True)
def frugal(site: Site) -> Iterator[None]:
    """What every client's transfer may cost the gateway."""
    with Peak(site) as peak:
        yield
    assert peak.bytes < peak.idle + MEMORY


def check_upload(site: Site, source: Path, name: str) -> None:
    assert digest(site.folder / name) == digest(source)
    (told,) = site.events("file.uploaded")
    assert told.body["path"] == name


def collection_token(site: Site) -> str:
    body = {"volume": "disk", "vfid": FOLDER, "owner": "somebody"}
    return site.api.manager("POST", "/folder/file/upload-below", body).json["token"]


def digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def run(*command: str | Path, ok: bool = True) -> None:
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert (done.returncode == 0) is ok, done.stdout + done.stderr


def test_tuspy(site: Site, source: Path) -> None:
    token = site.api.upload_token("tuspy.bin", SIZE)
    with open_cutter(site.api.client_port) as cutter:
        cutter.cut_after(CUT)
        run(sys.executable, CLIENTS / "tuspy_upload.py", f"http://127.0.0.1:{cutter.port}/files", token, source)
        assert cutter.cuts == 1
    check_upload(site, source, "tuspy.bin")


def test_tus_js_client(site: Site, source: Path, node_client: Path) -> None:
    token = site.api.upload_token("node.bin", SIZE)
    with open_cutter(site.api.client_port) as cutter:
        cutter.cut_after(CUT)
        run("node", node_client, f"http://127.0.0.1:{cutter.port}/files", token, source)
        assert cutter.cuts == 1
    check_upload(site, source, "node.bin")


@pytest.mark.parametrize(
    "option", [{"parallelUploads": 4}, {"uploadLengthDeferred": True, "chunkSize": 10_000_000}]
)
def test_tus_js_client_names_its_file(site: Site, source: Path, node_client: Path, option: dict) -> None:
    options = json.dumps({**option, "uploadSize": None})
    run("node", node_client, f"{site.api.client_url}/files", collection_token(site), source, options)
    check_upload(site, source, "from-node.bin")


def test_uppy(site: Site, node_client: Path) -> None:
    run("node", node_client.with_name("uppy.mjs"), f"{site.api.client_url}/files", collection_token(site), "30")
    for number in range(30):
        assert (site.folder / f"file {number}.bin").read_bytes() == bytes([number]) * (100_000 + number)
    assert len(site.events("file.uploaded")) == 30


@pytest.mark.parametrize("parallel", ["1", "4"])
def test_resumable_upload(site: Site, source: Path, parallel: str) -> None:
    client = CLIENTS / "resumable_upload_client.py"
    run(sys.executable, client, f"{site.api.client_url}/files", collection_token(site), source, parallel)
    check_upload(site, source, f"resumable-{parallel}.bin")


def test_aiotusclient(site: Site, source: Path) -> None:
    token = site.api.upload_token("aio.bin", SIZE)
    with open_cutter(site.api.client_port) as cutter:
        command = (
            sys.executable,
            CLIENTS / "aiotus_upload.py",
            f"http://127.0.0.1:{cutter.port}/upload?token={token}",
        )
        cutter.cut_after(CUT)
        run(*command, source, ok=False)
        assert cutter.cuts == 1
        assert 0 < site.api.offset(token) < SIZE
        run(*command, source)
    check_upload(site, source, "aio.bin")
