"""Starts what is measured: Penstock's roles with a Redis, @tus/server, nginx."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from bench.wire import Connection

HERE = Path(__file__).parent
SECRET = "the manager's secret, as long as it should be"
SCOPE = "user:11111111-1111-4111-8111-111111111111"
FOLDER = f"{SCOPE}/aabb0001-0000-4000-8000-000000000001"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class Program:
    """A running server."""

    processes: list[subprocess.Popen[bytes]]

    def _family(self) -> list[psutil.Process]:
        found = [psutil.Process(process.pid) for process in self.processes]
        return found + [child for process in found for child in process.children(recursive=True)]

    def cpu_seconds(self) -> float:
        """Processor time used so far."""
        times = [process.cpu_times() for process in self._family()]
        return sum(time.user + time.system for time in times)

    def rss_bytes(self) -> int:
        return sum(process.memory_info().rss for process in self._family())


@contextmanager
def started(
    *command: str | Path, log: Path, ports: Sequence[int], env: dict[str, str] | None = None
) -> Iterator[Any]:
    """Run a program until the end of the block; its ports answer."""
    with log.open("ab") as out:
        process = subprocess.Popen(
            list(map(str, command)), stdout=out, stderr=out, env={**os.environ, **(env or {})}
        )
    try:
        for port in ports:
            _wait(port, process, log)
        yield process
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    give_up = time.monotonic() + 30
    while time.monotonic() < give_up and process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise RuntimeError(f"nothing listens on port {port}: {log.read_text()[-2000:]}")


@contextmanager
def redis_server(folder: Path) -> Iterator[str]:
    """A Redis with its append-only file on; gives its URL."""
    port = free_port()
    options = f"--port {port} --bind 127.0.0.1 --save '' --appendonly yes --appendfsync always".split()
    words = [word.strip("'") for word in options]
    with started("redis-server", *words, "--dir", folder, log=folder / "redis.log", ports=[port]):
        yield f"redis://127.0.0.1:{port}/0"


@dataclass
class Penstock:
    """A gateway and an actor."""

    gateway: Program
    client_port: int
    manager_port: int
    volume: Path
    redis_url: str

    @property
    def folder(self) -> Path:
        """FOLDER on disk."""
        return self.volume / "11111111111141118111111111111111/aa/bb/0001000040008000000000000001"

    def ask(self, connection: Connection, route: str, **body: Any) -> Any:
        """One request to the manager port."""
        text = json.dumps({"volume": "disk", "vfid": FOLDER, **body}).encode()
        headers = {"X-BackendAI-Storage-Auth-Token": SECRET, "Content-Type": "application/json"}
        status, _, data = connection.ask("POST", route, headers, text)
        if status >= 300:
            raise RuntimeError(f"{route}: {status} {data!r}")
        return json.loads(data) if data else None


@contextmanager
def penstock(parent: Path, *, digests: bool = False) -> Iterator[Penstock]:
    """Penstock with one volume and one folder; without digests it does what its peers do."""
    folder = parent / ("penstock-digests" if digests else "penstock")
    volume = folder / "volume"
    volume.mkdir(parents=True)
    client, manager = free_port(), free_port()
    internal = {role: free_port() for role in ("gateway", "actor")}
    config = folder / "penstock.toml"
    with ExitStack() as stack:
        url = stack.enter_context(redis_server(folder))
        config.write_text(
            f'[bus]\nurl = "{url}"\n[gateway]\nmanager_secret = "{SECRET}"\n'
            f'token_secret = "{SECRET}"\nupload_digests = {str(digests).lower()}\n'
            f"[gateway.client]\nport = {client}\n[gateway.manager]\nport = {manager}\n"
            f'[volumes.disk]\nbackend = "vfs"\npath = "{volume}"\n[log]\nlevel = "WARNING"\n'
        )
        roles = {}
        for role, ports in (("actor", [internal["actor"]]), ("gateway", [client, manager])):
            command = (sys.executable, "-m", "ops.cli", role, "--config", config)
            env = {f"PENSTOCK__INTERNAL__{role.upper()}__PORT": str(internal[role])}
            roles[role] = stack.enter_context(started(*command, log=folder / f"{role}.log", ports=ports, env=env))
        found = Penstock(Program([roles["gateway"]]), client, manager, volume, url)
        with Connection(manager) as connection:
            found.ask(connection, "/folder/create")
        yield found


@dataclass
class Peer:
    """Another server."""

    program: Program
    port: int
    folder: Path


@contextmanager
def tus_server(folder: Path) -> Iterator[Peer]:
    """@tus/server with its file store, from npm."""
    code, data, port = folder / "tus", folder / "tus-data", free_port()
    data.mkdir()
    shutil.copytree(HERE / "tus_node", code, ignore=shutil.ignore_patterns("node_modules"))
    subprocess.run(["npm", "ci", "--silent", "--no-audit", "--no-fund"], cwd=code, check=True)
    with started("node", code / "server.mjs", str(port), data, log=folder / "tus.log", ports=[port]) as process:
        yield Peer(Program([process]), port, data)


@contextmanager
def least_server(folder: Path, mode: str) -> Iterator[Peer]:
    """The least that takes an upload in Python: `least.py`, with one of its modes."""
    data, port = folder / f"least-{mode}", free_port()
    data.mkdir()
    command = (sys.executable, "-m", "bench.least", str(port), data, mode)
    with started(*command, log=folder / f"least-{mode}.log", ports=[port]) as process:
        yield Peer(Program([process]), port, data)


_FILE_RESPONSE = """
import sys
from aiohttp import web
app = web.Application()
async def get(request):
    return web.FileResponse(sys.argv[2] + "/" + request.match_info["name"])
app.router.add_get("/{name}", get)
import uvloop
uvloop.install()
web.run_app(app, host="127.0.0.1", port=int(sys.argv[1]), access_log=None, print=None)
"""


@contextmanager
def file_response(folder: Path, root: Path) -> Iterator[Peer]:
    """The stock way to serve files with aiohttp."""
    port, script = free_port(), folder / "file_response.py"
    script.write_text(_FILE_RESPONSE)
    command = (sys.executable, script, str(port), root)
    with started(*command, log=folder / "file_response.log", ports=[port]) as process:
        yield Peer(Program([process]), port, root)


_BARE_FILES = """
import json, os, sys
from datetime import UTC, datetime
from aiohttp import web
root = sys.argv[2]

def synced(path):
    fd = os.open(path, os.O_RDONLY)
    os.fsync(fd)
    os.close(fd)

async def mkdir(request):
    body = await request.json()
    os.mkdir(f"{root}/{body['name']}")
    synced(root)
    return web.json_response({})

async def rename(request):
    body = await request.json()
    os.rename(f"{root}/{body['name']}", f"{root}/{body['new_name']}")
    synced(root)
    return web.json_response({})

def told(entry):
    known = entry.stat(follow_symlinks=False)
    return {
        "name": entry.name,
        "type": "DIRECTORY" if entry.is_dir(follow_symlinks=False) else "FILE",
        "stat": {
            "mode": known.st_mode,
            "size": known.st_size,
            "created": datetime.fromtimestamp(known.st_ctime, UTC).isoformat(),
            "modified": datetime.fromtimestamp(known.st_mtime, UTC).isoformat(),
        },
        "symlink_target": "",
    }

async def list_(request):
    body = await request.json()
    with os.scandir(f"{root}/{body['name']}") as found:
        return web.json_response({"items": [told(entry) for entry in found]})

app = web.Application()
app.add_routes([web.post("/mkdir", mkdir), web.post("/rename", rename), web.post("/list", list_)])
import uvloop
uvloop.install()
web.run_app(app, host="127.0.0.1", port=int(sys.argv[1]), access_log=None, print=None)
"""


@contextmanager
def bare_files(folder: Path, root: Path) -> Iterator[Peer]:
    """Handlers that do nothing but the system calls, on the loop."""
    port, script = free_port(), folder / "bare_files.py"
    script.write_text(_BARE_FILES)
    with started(sys.executable, script, str(port), root, log=folder / "bare.log", ports=[port]) as process:
        yield Peer(Program([process]), port, root)


_NGINX = """
daemon off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/nginx-error.log;
events {{ worker_connections 256; }}
http {{
  access_log off;
  sendfile on;
  tcp_nopush on;
  default_type application/octet-stream;
  client_body_temp_path {folder}/nginx-body;
  proxy_temp_path {folder}/nginx-proxy;
  fastcgi_temp_path {folder}/nginx-fastcgi;
  uwsgi_temp_path {folder}/nginx-uwsgi;
  scgi_temp_path {folder}/nginx-scgi;
  keepalive_requests 100000;
  server {{ listen 127.0.0.1:{port}; root {root}; }}
}}
"""


@contextmanager
def nginx(folder: Path, root: Path) -> Iterator[Peer]:
    """nginx with sendfile, serving a directory."""
    port, config = free_port(), folder / "nginx.conf"
    config.write_text(_NGINX.format(folder=folder, port=port, root=root))
    # Its worker gives up root; the temporary directory must let it in.
    for path in (folder, root, *root.parents):
        if folder in path.parents or path == folder:
            path.chmod(0o755)
    with started("nginx", "-c", config, "-p", folder, log=folder / "nginx.log", ports=[port]) as process:
        yield Peer(Program([process]), port, root)
