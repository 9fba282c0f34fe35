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


@pytest.mark.parametrize("data", [b"", b"x", b"a\0b", os.urandom(1 << 20) + b"x"])
@pytest.mark.parametrize("zeros", [0, 1, 100, (1 << 20) + 1])
def test_only_zeros_at_the_end_are_dropped(tmp_path: Path, data: bytes, zeros: int) -> None:
    path = tmp_path / "log"
    path.write_bytes(data + bytes(zeros))
    assert drop_zeros(path) == zeros
    assert path.read_bytes() == data
