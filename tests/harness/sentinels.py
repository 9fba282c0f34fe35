"""A primary, a replica and three Sentinels, all real, on loopback."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

import redis
from harness.redis_server import RedisServer, debian_redis, free_port

SERVICE = "penstock"
_SENTINELS = 3


class Failover:
    """Two servers of which Sentinels make one the primary."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.servers = [self._server(name) for name in ("a", "b")]
        self._ports = [free_port() for _ in range(_SENTINELS)]
        self._processes: list[subprocess.Popen[bytes]] = []

    def _server(self, name: str) -> RedisServer:
        folder = self._folder / name
        folder.mkdir()
        return RedisServer(debian_redis(), folder)

    @property
    def url(self) -> str:
        hosts = ",".join(f"127.0.0.1:{port}" for port in self._ports)
        return f"redis+sentinel://{hosts}/{SERVICE}/0"

    def start(self) -> None:
        """Start everything and wait until the Sentinels know each other and the replica is in step."""
        primary, replica = self.servers
        primary.start()
        replica.start()
        self.follow(replica, primary)
        for number, port in enumerate(self._ports):
            self._start_sentinel(number, port, primary.port)
        self._until(lambda: self._sentinels_know(replicas=1), "the Sentinels to find each other")

    def follow(self, replica: RedisServer, primary: RedisServer) -> None:
        """Have one server replicate the other."""
        with redis.Redis(port=replica.port) as client:
            client.replicaof("127.0.0.1", primary.port)
            self._until(
                lambda: client.info("replication").get("master_link_status") == "up", "the replica to be in step"
            )

    def _start_sentinel(self, number: int, port: int, primary: int) -> None:
        folder = self._folder / f"sentinel{number}"
        folder.mkdir()
        config = folder / "sentinel.conf"
        config.write_text(
            f"port {port}\nbind 127.0.0.1\ndir {folder}\n"
            f"sentinel monitor {SERVICE} 127.0.0.1 {primary} 2\n"
            f"sentinel down-after-milliseconds {SERVICE} 500\n"
            f"sentinel failover-timeout {SERVICE} 3000\n"
        )
        with (folder / "log").open("ab") as log:
            self._processes.append(
                subprocess.Popen([debian_redis(), str(config), "--sentinel"], stdout=log, stderr=log)
            )

    def _sentinels_know(self, *, replicas: int) -> bool:
        for port in self._ports:
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
        with redis.Redis(port=self._ports[0], socket_timeout=1) as client:
            _, port = client.sentinel_get_master_addr_by_name(SERVICE)
        return next(server for server in self.servers if server.port == port)

    def fail_over(self) -> None:
        """Kill the primary, and wait until the other one is; then bring the dead one back as its replica."""
        old = self.primary()
        old.kill()
        self._until(lambda: self.primary() is not old, "the other server to be promoted")
        old.start()
        # Sentinels would do this by themselves, but take their time.
        self.follow(old, self.primary())

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
