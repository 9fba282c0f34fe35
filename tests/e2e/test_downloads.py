"""Downloads by programs everybody has, cut in the middle and resumed."""

from __future__ import annotations

import hashlib
import random
import subprocess
from pathlib import Path

import pytest
from harness.cutter import open_cutter
from harness.processes import Site

SIZE = 64 << 20
CUT = 29_876_543

pytestmark = pytest.mark.timeout(120)


@pytest.fixture
def data(site: Site) -> bytes:
    data = random.Random(5).randbytes(SIZE)
    site.folder.joinpath("big.bin").write_bytes(data)
    return data


def run(*command: str | Path, ok: bool = True) -> str:
    """Run a program that succeeds, or fails if it should; returns what it said."""
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=100, check=False)
    said = done.stdout + done.stderr
    assert (done.returncode == 0) is ok, said
    return said


def check(path: Path, data: bytes) -> None:
    assert hashlib.sha256(path.read_bytes()).digest() == hashlib.sha256(data).digest()


def test_curl(site: Site, data: bytes, tmp_path: Path) -> None:
    target = tmp_path / "curl.bin"
    with open_cutter(site.api.client_port) as cutter:
        url = f"http://127.0.0.1:{cutter.port}{site.api.download_url('big.bin')}"
        cutter.cut_after(CUT)
        run("curl", "-sS", "-o", target, url, ok=False)
        assert 0 < target.stat().st_size < SIZE
        run("curl", "-sS", "-C", "-", "-o", target, url)
        assert cutter.cuts == 1
    check(target, data)


def test_wget(site: Site, data: bytes, tmp_path: Path) -> None:
    target = tmp_path / "wget.bin"
    with open_cutter(site.api.client_port) as cutter:
        url = f"http://127.0.0.1:{cutter.port}{site.api.download_url('big.bin')}"
        cutter.cut_after(CUT)
        told = run("wget", "-nv", "-S", "-t", "1", "-O", target, url, ok=False)
        assert 0 < target.stat().st_size < SIZE, f"{told}\n{site.log('gateway')}"
        run("wget", "-q", "-c", "-O", target, url)
        assert cutter.cuts == 1
    check(target, data)


def test_aria2_with_four_connections(site: Site, data: bytes, tmp_path: Path) -> None:
    with open_cutter(site.api.client_port) as cutter:
        url = f"http://127.0.0.1:{cutter.port}{site.api.download_url('big.bin')}"
        cutter.cut_after(CUT)
        run("aria2c", "-q", "-x4", "-s4", "-k1M", "--retry-wait=1", "-d", tmp_path, "-o", "aria.bin", url)
        assert cutter.cuts == 1
    check(tmp_path / "aria.bin", data)
