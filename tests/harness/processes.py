"""Penstock as its users run it: real processes, a real Redis, HTTP over loopback."""

from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import redis
from harness.fields import BODY, TUS
from harness.forked import Forked
from harness.redis_server import RedisServer, debian_redis, free_port

from bus.codec import decode_envelope
from bus.streams import keys
from domain.envelope import Envelope

SECRET = "the manager's secret, as long as it should be"
TOKEN_SECRET = "the key that signs tokens, as long as it should be"
SCOPE = "user:11111111-1111-4111-8111-111111111111"
FOLDER = f"{SCOPE}/aabb0001-0000-4000-8000-000000000001"
#: Where FOLDER lies below the volume's root.
PLACE = "11111111111141118111111111111111/aa/bb/0001000040008000000000000001"
PENSTOCK = [sys.executable, "-m", "ops.cli"]


#: How much longer things may take on this machine than on one that is its own master.
PATIENCE = float(os.environ.get("PATIENCE", "1"))
#: Tries to start a role in the place of another.
_REVIVALS = 5


@contextmanager
def stopped(pid: int) -> Iterator[None]:
    """Have a process stand still during the block."""
    os.kill(pid, signal.SIGSTOP)
    try:
        until(lambda: Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0] == "T", "it stands still")
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def until(holds: Callable[[], Any], what: str, seconds: float = 30) -> Any:
    """Wait for something; returns what `holds` returned when it was true."""
    give_up = time.monotonic() + seconds * PATIENCE
    while not (found := holds()):
        assert time.monotonic() < give_up, f"not within {seconds:g} s: {what}"
        time.sleep(0.05)
    return found


@dataclass
class Answer:
    """What came back."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


def ask(port: int, method: str, target: str, body: Any = None, headers: Mapping[str, str] | None = None) -> Answer:
    """One request on a connection of its own."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60 * PATIENCE)
    try:
        connection.request(method, target, body, dict(headers or {}))
        answer = connection.getresponse()
        return Answer(answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read())
    finally:
        connection.close()


def answers(port: int, target: str) -> bool:
    """Whether somebody is there who has nothing against a request."""
    try:
        return ask(port, "GET", target).status == 200
    except OSError:
        return False


def is_ready(port: int) -> bool:
    """Whether a role says it is ready."""
    return answers(port, "/readyz")


@dataclass
class Api:
    """The two ports, as a manager and its clients use them."""

    client_port: int
    manager_port: int
    secret: str = SECRET
    volume: str = "disk"

    @property
    def client_url(self) -> str:
        return f"http://127.0.0.1:{self.client_port}"

    def manager(self, method: str, route: str, body: Mapping[str, Any] | None = None, key: str = "") -> Answer:
        """Ask as the manager does, with a key by which a repetition is recognised."""
        headers = {"X-BackendAI-Storage-Auth-Token": self.secret, "Content-Type": "application/json"}
        if key:
            headers["Idempotency-Key"] = key
        return ask(self.manager_port, method, route, None if body is None else json.dumps(body), headers)

    def make_folder(self, folder: str = FOLDER) -> None:
        answer = self.manager("POST", "/folder/create", {"volume": self.volume, "vfid": folder})
        assert answer.status == 204, answer.body

    def upload_token(self, relpath: str, size: int) -> str:
        body = {"volume": self.volume, "vfid": FOLDER, "relpath": relpath, "size": size}
        return str(self.manager("POST", "/folder/file/upload", body).json["token"])

    def download_url(self, relpath: str) -> str:
        body = {"volume": self.volume, "vfid": FOLDER, "relpath": relpath}
        token = self.manager("POST", "/folder/file/download", body).json["token"]
        return f"/download?token={token}"

    def offset(self, token: str) -> int:
        """How far an upload is."""
        answer = ask(self.client_port, "HEAD", f"/upload?token={token}", headers=TUS)
        assert answer.status == 200, answer.status
        return int(answer.headers["upload-offset"])

    def patch(self, token: str, offset: int, data: Any) -> Answer:
        """Send bytes of an upload."""
        headers = {**BODY, "Upload-Offset": str(offset)}
        return ask(self.client_port, "PATCH", f"/upload?token={token}", data, headers)

    def upload(self, relpath: str, data: bytes) -> None:
        """Upload a file in one request."""
        token = self.upload_token(relpath, len(data))
        if data:
            answer = self.patch(token, 0, data)
            assert answer.status == 204, answer.body


@dataclass
class Role:
    """One started process."""

    name: str
    process: Forked
    internal_port: int

    @property
    def pid(self) -> int:
        return self.process.pid

    def kill(self) -> None:
        """Kill -9, its children as well."""
        for process in self.family():
            with suppress(psutil.NoSuchProcess):
                process.kill()
        self.process.wait()

    def stop(self, patience: float = 30) -> int:
        """Stop as an operator does; returns the exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(patience)

    def rss_bytes(self) -> int:
        """Memory of the process and its children."""
        return sum(process.memory_info().rss for process in self.family())

    def family(self) -> list[psutil.Process]:
        """It and its children; none if it is gone."""
        try:
            first = psutil.Process(self.pid)
            return [first, *first.children(recursive=True)]
        except psutil.NoSuchProcess:
            return []


@dataclass
class Site:
    """Roles started apart against one Redis, with one settings file."""

    path: Path
    server: RedisServer
    settings: dict[str, Any]
    api: Api
    running: list[Role] = field(default_factory=list)

    @property
    def config(self) -> Path:
        return self.path / "penstock.toml"

    @property
    def volume(self) -> Path:
        """Directory of the first volume."""
        return self.path / "volumes" / self.api.volume

    @property
    def folder(self) -> Path:
        """FOLDER on disk."""
        return self.volume / PLACE

    def write_settings(self, **settings: Any) -> None:
        """Write the settings file, with more or other settings than it has; keys are `section__key`."""
        for name, value in settings.items():
            section, _, key = name.rpartition("__")
            self.settings.setdefault(section.replace("__", "."), {})[key] = value
        self.config.write_text("\n".join(_table(name, table) for name, table in self.settings.items()))

    def start(self, role: str, **settings: Any) -> Role:
        """Start one process of a role, with settings of its own (`section__key`), and wait until it is ready."""
        port = free_port()
        own = {f"PENSTOCK__{name.upper()}": str(value) for name, value in settings.items()}
        environment = {**os.environ, f"PENSTOCK__INTERNAL__{role.upper()}__PORT": str(port), **own}
        words = [role, "--config", str(self.config)]
        process = Forked("ops.cli", words, environment, self.path / f"{role}.log")
        started = Role(role, process, port)
        self.running.append(started)
        until(lambda: is_ready(port) or process.poll() is not None, f"{role} is ready")
        assert process.poll() is None, self.log(role)
        return started

    def revive(self, role: str) -> Role:
        """Start one in the place of another, as a supervisor does: again where it ends before it is ready."""
        for _ in range(_REVIVALS):
            with suppress(AssertionError):
                return self.start(role)
            failed = self.running.pop()
            assert failed.process.poll() is not None, f"{role} does not get ready: {self.log(role)}"
        raise AssertionError(self.log(role))

    def alive(self, role: str) -> Role:
        """The one of a role that was started last and is there."""
        return next(one for one in reversed(self.running) if one.name == role and one.process.poll() is None)

    def fallen(self) -> list[str]:
        """Those that ended though nobody killed them."""
        codes = [(role, role.process.poll()) for role in self.running]
        return [
            f"a {role.name} ended by itself with {code}: {self.log(role.name)[-2000:]}"
            for role, code in codes
            if code not in (None, -signal.SIGKILL)
        ]

    def log(self, role: str) -> str:
        return (self.path / f"{role}.log").read_text()

    def penstock(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run a command of the operator's."""
        with tempfile.TemporaryDirectory() as place:
            out, err = Path(place, "out"), Path(place, "err")
            process = Forked("ops.cli", [*words, "--config", str(self.config)], os.environ, err, out)
            try:
                code = process.wait(60)
            finally:
                process.kill()
            return subprocess.CompletedProcess(words, code, out.read_text(), err.read_text())

    def events(self, kind: str = "") -> list[Envelope]:
        """Events on the bus, all but those of owners, or of one type."""
        with redis.Redis.from_url(self.server.url) as client:
            found = [decode_envelope(fields[b"m"]) for _, fields in client.xrange(keys.BROADCAST)]
        return [event for event in found if event.type == kind or (not kind and event.type[:7] != "volume.")]


@contextmanager
def open_site(path: Path, *, volumes: tuple[str, ...] = ("disk",), **settings: Any) -> Iterator[Site]:
    """Settings and a Redis; no role is started yet. Keys of `settings` are `section__key`."""
    server = RedisServer(debian_redis(), path)
    api = Api(free_port(), free_port(), volume=volumes[0])
    sections: dict[str, dict[str, Any]] = {
        "bus": {"url": server.url, "lease_seconds": 1.0, "upload_lease_seconds": 1.0},
        "gateway": {"manager_secret": SECRET, "token_secret": TOKEN_SECRET, "stop_seconds": 5.0},
        "actors": {"scan_seconds": 0, "full_scan_seconds": 0},
        "gateway.client": {"port": api.client_port},
        "gateway.manager": {"port": api.manager_port},
    }
    for name in volumes:
        (path / "volumes" / name).mkdir(parents=True, exist_ok=True)
        sections[f"volumes.{name}"] = {"backend": "vfs", "path": str(path / "volumes" / name)}
    site = Site(path, server, sections, api)
    site.write_settings(**settings)
    server.start()
    try:
        yield site
    finally:
        for role in reversed(site.running):
            if role.process.poll() is None:
                role.kill()
        server.stop()


def _table(name: str, values: Mapping[str, Any]) -> str:
    return "\n".join([f"[{name}]", *(f"{key} = {json.dumps(value)}" for key, value in values.items())])
