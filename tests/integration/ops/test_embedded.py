"""What `penstock serve` starts besides the roles, after its machine has lost its power."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import redis
from harness.processes import until

from ops.durable import drop_zeros
from ops.embedded import Home, mend_log, server_binary, server_config


@contextmanager
def running(home: Home, url: str) -> Iterator[redis.Redis]:
    """The embedded server, killed in the end."""
    server = subprocess.Popen([server_binary(), str(server_config(home, url))])
    try:
        with redis.Redis.from_url(url) as client:

            def answers() -> bool:
                try:
                    return bool(client.ping())
                except redis.RedisError:
                    return server.poll() is not None

            until(answers, "it answers, or has ended")
            yield client
    finally:
        server.kill()
        server.wait()


@pytest.mark.parametrize("torn", [b"", b"*3\r\n$3\r\nSET\r\n$1\r\nb\r\n$4\r\n"])
def test_the_server_starts_after_a_power_failure(tmp_path: Path, torn: bytes) -> None:
    home = Home(tmp_path)
    url = home.prepare(None)["PENSTOCK__BUS__URL"]
    with running(home, url) as client:
        client.set("a", "told")
    (log,) = home.redis.glob("appendonlydir/*.incr.aof")
    with log.open("ab") as file:
        file.write(torn + bytes(5000))
    with running(home, url) as client, pytest.raises(redis.ConnectionError):
        client.get("a")
    mend_log(home)
    for value in (b"told", b"again"):
        with running(home, url) as client:
            assert client.get("a") == value
            assert client.get("b") is None
            client.set("a", "again")


NAMES = (
    "GATEWAY__MANAGER_SECRET",
    "GATEWAY__TOKEN_SECRET",
    "BUS__URL",
    "VOLUMES__LOCAL__BACKEND",
    "VOLUMES__LOCAL__PATH",
)


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """An environment that sets nothing of what is generated."""
    for name in NAMES:
        monkeypatch.delenv(f"PENSTOCK__{name}", raising=False)
    return monkeypatch


def sourced(home: Home) -> dict[str, str]:
    """What a shell has that has read the file."""
    text = f"env -i sh -c 'set -a; . {home.secrets_file}; env'"
    found = subprocess.run(["sh", "-c", text], capture_output=True, text=True, check=True).stdout
    return {
        name: value for name, _, value in (line.partition("=") for line in found.splitlines()) if "PENSTOCK" in name
    }


@pytest.mark.usefixtures("bare")
def test_what_the_settings_say_is_not_in_the_file_that_goes_before_them(tmp_path: Path) -> None:
    home, config = Home(tmp_path / "data"), tmp_path / "penstock.toml"
    home.path.mkdir()
    first = home.prepare(None)
    assert sourced(home) == first
    assert home.has_manager_secret
    config.write_text('[gateway]\nmanager_secret = "mine"\n[volumes.mine]\nbackend = "vfs"\npath = "/srv"\n')
    told = {name: first[name] for name in ("PENSTOCK__GATEWAY__TOKEN_SECRET", "PENSTOCK__BUS__URL")}
    assert home.prepare(config) == told
    assert sourced(home) == told
    assert not home.has_manager_secret
    assert home.prepare(None) == first
    assert sourced(home) == first


def test_a_shell_that_has_read_the_file_can_start_it_again(tmp_path: Path, bare: pytest.MonkeyPatch) -> None:
    home = Home(tmp_path)
    first = home.prepare(None)
    for name, value in first.items():
        bare.setenv(name, value)
    assert home.prepare(None) == first
    bare.setenv("PENSTOCK__BUS__URL", "redis://elsewhere:1/0")
    assert home.prepare(None) == {name: value for name, value in first.items() if name != "PENSTOCK__BUS__URL"}


@pytest.mark.usefixtures("bare")
def test_a_data_directory_may_be_moved(tmp_path: Path) -> None:
    before, after = Home(tmp_path / "before"), Home(tmp_path / "it's after")
    before.path.mkdir()
    first = before.prepare(None)
    before.path.rename(after.path)
    assert after.prepare(None) == {**first, "PENSTOCK__VOLUMES__LOCAL__PATH": str(after.volume)}


@pytest.mark.parametrize("data", [b"", b"x", b"a\0b", os.urandom(1 << 20) + b"x"])
@pytest.mark.parametrize("zeros", [0, 1, 100, (1 << 20) + 1])
def test_only_zeros_at_the_end_are_dropped(tmp_path: Path, data: bytes, zeros: int) -> None:
    path = tmp_path / "log"
    path.write_bytes(data + bytes(zeros))
    assert drop_zeros(path) == zeros
    assert path.read_bytes() == data
