"""A primary, a replica and three Sentinels, all real, on loopback."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

import redis
from harness.redis_server import RedisServer, debian_redis, free_port

SERVICE = "penstock"
_SENTINELS = 3


def sentinel_url(*ports: int) -> str:
    """The primary as Sentinels on these ports tell it."""
    hosts = ",".join(f"127.0.0.1:{port}" for port in ports)
    return f"redis+sentinel://{hosts}/{SERVICE}/0"


class Failover:
    """Two servers of which Sentinels make one the primary."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.servers = [self._server(name) for name in ("a", "b")]
        self.ports = [free_port() for _ in range(_SENTINELS)]
        self._processes: list[subprocess.Popen[bytes]] = []

    def _server(self, name: str) -> RedisServer:
        folder = self._folder / name
        folder.mkdir()
        return RedisServer(debian_redis(), folder)

    @property
    def url(self) -> str:
        return sentinel_url(*self.ports)

    def start(self) -> None:
        """Start everything and wait until the Sentinels know each other and the replica is in step."""
        primary, replica = self.servers
        primary.start()
        self._start_replica(replica, primary)
        for port in self.ports:
            self._start_sentinel(port, primary.port)
        self._until(lambda: self._sentinels_know(replicas=1), "the Sentinels to find each other")

    def _start_replica(self, replica: RedisServer, primary: RedisServer) -> None:
        """Start a server that is a replica from its first moment on.

        One told so later could meanwhile have been promoted by the Sentinels; then nobody would be the primary.
        """
        replica.start(primary)
        with redis.Redis(port=replica.port) as client:
            self._until(lambda: _in_step(client.info("replication")), "the replica to be in step")

    def start_stranger(self, primary: RedisServer) -> int:
        """Start a Sentinel that never hears of the others, and holds a server for the primary. Returns its port."""
        port = free_port()
        self._start_sentinel(port, primary.port)
        return port

    def _start_sentinel(self, port: int, primary: int) -> None:
        folder = self._folder / f"sentinel{port}"
        folder.mkdir()
        config = folder / "sentinel.conf"
        config.write_text(
            f"port {port}\nbind 127.0.0.1\ndir {folder}\n"
            f"sentinel monitor {SERVICE} 127.0.0.1 {primary} 2\n"
            # Not less: a server that gets no processor for a moment is not to be taken for dead.
            f"sentinel down-after-milliseconds {SERVICE} 1500\n"
            f"sentinel failover-timeout {SERVICE} 3000\n"
        )
        with (folder / "log").open("ab") as log:
            self._processes.append(
                subprocess.Popen([debian_redis(), str(config), "--sentinel"], stdout=log, stderr=log)
            )

    def _sentinels_know(self, *, replicas: int) -> bool:
        for port in self.ports:
            try:
                with redis.Redis(port=port, socket_timeout=1) as client:
                    told = client.sentinel_master(SERVICE)
            except redis.RedisError:
                return False
            if told["num-other-sentinels"] != _SENTINELS - 1 or told["num-slaves"] < replicas:
                return False
        return True

    def primary(self) -> RedisServer:
        """The server the Sentinels hold for the primary."""
        with redis.Redis(port=self.ports[0], socket_timeout=1) as client:
            _, port = client.sentinel_get_master_addr_by_name(SERVICE)
        return next(server for server in self.servers if server.port == port)

    def fail_over(self) -> None:
        """Kill the primary, and wait until the other one is; then bring the dead one back as its replica."""
        old = self.primary()
        old.kill()
        self._until(lambda: self.primary() is not old, "the other server to be promoted")
        # Sentinels would make a replica of it by themselves, but take their time.
        self._start_replica(old, self.primary())

    def stop(self) -> None:
        """End what was started."""
        for process in self._processes:
            process.kill()
            process.wait()
        for server in self.servers:
            server.stop()

    @staticmethod
    def _until(holds, what: str, seconds: float = 30) -> None:
        give_up = time.monotonic() + seconds
        while not holds():
            if time.monotonic() > give_up:
                raise RuntimeError(f"waited in vain for {what}")
            time.sleep(0.05)


def _in_step(replication: dict[str, object]) -> bool:
    """Whether a replica has caught up; one that was promoted meanwhile has nothing to catch up with."""
    return replication["role"] == "master" or replication["master_link_status"] == "up"
