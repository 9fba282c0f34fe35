"""The Redis of a fault run: one server with a clock of its own, or one with a replica."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import redis
from harness.cutter import Cutter, open_cutter
from harness.faketime import FakeClock
from harness.processes import until
from harness.redis_server import RedisServer


@dataclass
class Servers:
    """One server that counts, and perhaps one that follows it.

    Args:
        front: the way of those who judge the run; leads to the one that counts.
        clock: the clock of the first one, where it can have one.
    """

    first: RedisServer
    clock: FakeClock
    front: Cutter
    second: RedisServer | None = None

    @property
    def url(self) -> str:
        """Where the judges find the one that counts."""
        return f"redis://127.0.0.1:{self.front.port}/0"

    def follow(self) -> None:
        """Have the second one be a replica of the first, and wait until it has everything."""
        assert self.second is not None
        with redis.Redis(port=self.second.port) as client:
            client.replicaof("127.0.0.1", self.first.port)
            until(lambda: client.info("replication")["master_link_status"] == "up", "the replica has everything")

    def in_step(self) -> bool:
        """Whether the second one has everything the first one has."""
        assert self.second is not None
        with redis.Redis(port=self.first.port) as first, redis.Redis(port=self.second.port) as second:
            told = second.info("replication")["slave_repl_offset"]
            return bool(first.info("replication")["master_repl_offset"] == told)

    def split(self) -> tuple[int, int]:
        """Make the replica a primary as well; it will be the one that counts. Returns the ports of both."""
        assert self.second is not None
        with redis.Redis(port=self.second.port) as client:
            client.replicaof("NO", "ONE")
        return self.first.port, self.second.port

    def heal(self) -> None:
        """Throw away what only the first one knows."""
        assert self.second is not None
        self.first, self.second = self.second, self.first
        self.follow()


@contextmanager
def servers(binary: str, folder: Path, *, stepping: bool, pair: bool) -> Iterator[Servers]:
    """Servers that are started, and stopped in the end.

    Args:
        stepping: whether the first has a clock that can be set.
        pair: whether a second one follows the first.
    """
    clock = FakeClock(folder / "redis.clock")
    first = RedisServer(binary, _made(folder / "redis"), clock if stepping else None)
    second = RedisServer(binary, _made(folder / "replica")) if pair else None
    started = [server for server in (first, second) if server is not None]
    try:
        for server in started:
            server.start()
        with open_cutter(first.port) as front:
            found = Servers(first, clock, front, second)
            if pair:
                found.follow()
            yield found
    finally:
        for server in started:
            server.stop()


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder
