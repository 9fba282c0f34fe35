"""Uploads by clients others wrote, each cut in the middle and resumed."""

from __future__ import annotations

import hashlib
import random
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from harness.cutter import open_cutter
from harness.processes import Site

CLIENTS = Path(__file__).parent / "clients"
SIZE = 64 << 20
CUT = 37_123_457

pytestmark = pytest.mark.timeout(120)


@pytest.fixture(scope="module")
def node_client(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """tus-js-client from npm, in the versions of the lock file."""
    folder = tmp_path_factory.mktemp("node")
    for name in ("package.json", "package-lock.json", "upload.mjs"):
        shutil.copy(CLIENTS / name, folder)
    subprocess.run(["npm", "ci", "--silent", "--no-audit", "--no-fund"], cwd=folder, check=True, timeout=100)
    return folder / "upload.mjs"


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("source") / "source.bin"
    path.write_bytes(random.Random(4).randbytes(SIZE))
    return path


def check_upload(site: Site, source: Path, name: str) -> None:
    assert digest(site.folder / name) == digest(source)
    (told,) = site.events("file.uploaded")
    assert told.body["path"] == name


def digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def run(*command: str | Path, ok: bool = True) -> None:
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=100, check=False)
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
