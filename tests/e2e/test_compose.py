"""docker-compose.yml and Dockerfile: parsed, and the very commands they name run as processes.

No container engine is involved: this shows that the commands, settings and variables fit together, not that an
image builds.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from harness.redis_server import debian_redis, free_port

ROOT = Path(__file__).parents[2]
ROLES = ("gateway", "actor", "worker")
SECRET = "0123456789abcdef0123456789abcdef"


@pytest.fixture(scope="module")
def services() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
    return found


def test_every_role_and_server_is_there(services: dict[str, Any]) -> None:
    assert set(services) == {*ROLES, "redis", "etcd", "prometheus"}
    for service in services.values():
        assert service.get("image") or service.get("build")
        assert isinstance(service.get("command"), list)


def test_the_image_has_what_the_services_use(services: dict[str, Any]) -> None:
    lines = (ROOT / "Dockerfile").read_text().splitlines()
    copied = [line.split()[1:-1] for line in lines if line.startswith("COPY") and "--from" not in line]
    for source in (name for names in copied for name in names):
        assert (ROOT / source).exists() or not (ROOT / "domain").exists(), source
    assert 'ENTRYPOINT ["penstock"]' in lines
    exposed = next(line for line in lines if line.startswith("EXPOSE")).split()[1:]
    for mapping in services["gateway"]["ports"]:
        assert mapping.rpartition(":")[2] in exposed


def test_prometheus_scrapes_every_role(services: dict[str, Any]) -> None:
    mounted = services["prometheus"]["volumes"][0].split(":")
    config = yaml.safe_load((ROOT / mounted[0]).read_text())
    assert f"--config.file={mounted[1]}" in services["prometheus"]["command"]
    targets = {
        job["dns_sd_configs"][0]["names"][0]: job["dns_sd_configs"][0]["port"] for job in config["scrape_configs"]
    }
    assert targets == {"gateway": 16023, "actor": 16024, "worker": 16025}


@pytest.fixture
def redis_of_compose(services: dict[str, Any], tmp_path: Path) -> Iterator[str]:
    """The server with the words of its service, on a port of its own."""
    program, *words = services["redis"]["command"]
    port = free_port()
    assert program == "redis-server"
    process = subprocess.Popen(
        [debian_redis(), *words, "--port", str(port), "--bind", "127.0.0.1", "--dir", str(tmp_path)],
        stdout=subprocess.DEVNULL,
    )
    yield f"redis://127.0.0.1:{port}/0"
    process.terminate()
    process.wait(10)


def environment(service: dict[str, Any]) -> dict[str, str]:
    """A service's variables, with what `docker compose` would put in from its own."""
    given = {"PENSTOCK_MANAGER_SECRET": SECRET, "PENSTOCK_TOKEN_SECRET": SECRET}
    return {
        name: re.sub(r"\$\{(\w+)[^}]*\}", lambda found: given[found[1]], value)
        for name, value in service["environment"].items()
    }


@pytest.mark.timeout(90)
def test_the_commands_run(services: dict[str, Any], redis_of_compose: str, tmp_path: Path) -> None:
    folders = tmp_path / "folders"
    folders.mkdir()
    ports = {role: free_port() for role in ROLES}
    here = {
        "PENSTOCK_CONFIG": str(ROOT / "configs/cluster.toml"),
        "PENSTOCK_REDIS_URL": redis_of_compose,
        "PENSTOCK__VOLUMES__DATA__PATH": str(folders),
        "PENSTOCK__GATEWAY__CLIENT__PORT": str(free_port()),
        "PENSTOCK__GATEWAY__MANAGER__PORT": str(free_port()),
        **{f"PENSTOCK__INTERNAL__{role.upper()}__PORT": str(port) for role, port in ports.items()},
    }
    running: dict[str, subprocess.Popen[bytes]] = {}
    try:
        for role in ROLES:
            command = [sys.executable, "-m", "ops.cli", *services[role]["command"]]
            variables = {**os.environ, **environment(services[role]), **here}
            running[role] = subprocess.Popen(command, env=variables, stdout=subprocess.DEVNULL)
        for role in ROLES:
            until(lambda role=role: answers(f"http://127.0.0.1:{ports[role]}/readyz"), f"{role} is ready")
        probe = services["gateway"]["healthcheck"]["test"]
        assert probe[:3] == ["CMD", "python", "-c"]
        code = probe[3].replace(":16023", f":{ports['gateway']}")
        subprocess.run([sys.executable, "-c", code], check=True, timeout=10)
    finally:
        for process in running.values():
            process.terminate()
        codes = {role: process.wait(30) for role, process in running.items()}
    assert codes == dict.fromkeys(ROLES, 0)


def answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def until(holds: Callable[[], bool], what: str, seconds: float = 40) -> None:
    give_up = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < give_up, f"not within {seconds:g} s: {what}"
        time.sleep(0.1)
