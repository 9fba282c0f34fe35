"""A gateway and an actor in this process, on a memory bus and a real directory, reached over real sockets."""

from __future__ import annotations

import hashlib
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import anyio
from harness.fields import BODY
from harness.redis_server import free_port
from pydantic import SecretStr

from actors.fleet import Fleet
from actors.jobs.clone import clone
from actors.jobs.contract import CloneJob, Job, PurgeJob, WorkJob
from actors.jobs.purge import purge
from actors.jobs.work import do_work
from actors.observer import SilentObserver as SilentActors
from actors.settings import ActorSettings
from backends.contract import Volume
from backends.mounted.outside import open_outside
from backends.observer import SilentObserver as SilentBackends
from backends.registry import Site, driver
from backends.settings import ThreadSettings
from bus.codec import decode_envelope
from bus.contract import Bus
from bus.memory import MemoryStore, open_memory_bus
from bus.settings import BusSettings
from domain.envelope import Envelope
from domain.errors import BackendUnavailableError
from domain.ids import VolumeName
from domain.spans import NoSpans, Spans
from gateway.app import client_app, manager_app, server_options
from gateway.connection import manager_connections
from gateway.express.handler import express
from gateway.gate import Gate, Storage, build_gate
from gateway.observer import Answered, SilentObserver
from gateway.settings import ClientListen, GatewaySettings, ManagerListen
from ops.health import Health
from ops.roles.ports import port

MANAGER_SECRET = "the manager's secret, as long as it should be"
TOKEN_SECRET = "the key that signs tokens, as long as it should be"
SCOPE = "user:11111111-1111-4111-8111-111111111111"
FOLDER = f"{SCOPE}/aabb0001-0000-4000-8000-000000000001"
OTHER = f"{SCOPE}/aabb0002-0000-4000-8000-000000000002"
#: Where FOLDER lies below the volume's root.
PLACE = "11111111111141118111111111111111/aa/bb/0001000040008000000000000001"
#: A rate: one request, and no other one for years.
ONCE = 1e-9

open_vfs = driver("vfs").open


@dataclass
class Answer:
    """What came back."""

    status: int
    headers: Any
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Direct:
    """Does jobs where they are started."""

    def __init__(self, bus: Bus, volume: Volume) -> None:
        self._bus = bus
        self._volume = volume

    async def start(self, job: Job) -> None:
        volumes = {self._volume.name: self._volume}
        match job:
            case PurgeJob():
                await purge(job, self._volume, self._bus)
            case CloneJob():
                await clone(job, volumes, self._bus)
            case WorkJob():
                with suppress(BackendUnavailableError):  # as a worker that comes back to it later
                    await do_work(job, volumes, self._bus)


class Watching(SilentObserver):
    """Remembers the answers."""

    def __init__(self) -> None:
        self.answers: list[Answered] = []

    def answered(self, answer: Answered) -> None:
        self.answers.append(answer)


@dataclass
class World:
    """Everything a test of the gateway needs."""

    path: Path
    store: MemoryStore
    bus: Bus
    gate: Gate
    session: aiohttp.ClientSession
    watching: Watching
    client_port: int
    manager_port: int
    volume: Volume
    #: Whether what is told of on the volume comes to the bus by itself.
    relays: bool = True
    extra: dict[str, Any] = field(default_factory=dict)

    @property
    def folder(self) -> Path:
        """FOLDER on disk."""
        return self.path / PLACE

    async def manager(self, method: str, route: str, body: Any = None, **more: Any) -> Answer:
        """Ask as the manager does: JSON in the body, whatever the method."""
        headers = {"X-BackendAI-Storage-Auth-Token": MANAGER_SECRET, **more.pop("headers", {})}
        if body is not None:
            more["data"] = body if isinstance(body, bytes) else json.dumps(body).encode()
            headers.setdefault("Content-Type", "application/json")
        return await self._ask(method, f"http://127.0.0.1:{self.manager_port}{route}", headers=headers, **more)

    async def client(self, method: str, route: str, **more: Any) -> Answer:
        """Ask as a client does."""
        return await self._ask(method, f"http://127.0.0.1:{self.client_port}{route}", **more)

    async def _ask(self, method: str, url: str, **more: Any) -> Answer:
        async with self.session.request(method, url, skip_auto_headers=["Content-Type"], **more) as answer:
            found = Answer(answer.status, answer.headers, await answer.read())
        if self.relays:
            # What was told of on the volume comes to the bus a moment later; tests look there at once.
            await self.take_over()
        return found

    async def take_over(self) -> None:
        """Have the bus know of all that was told of on volumes."""
        for volume in self.gate.volumes:
            await self.gate.relays.settle(volume)

    async def make_folder(self, folder: str = FOLDER) -> None:
        answer = await self.manager("POST", "/folder/create", {"volume": "disk", "vfid": folder})
        assert answer.status == 204, answer.body

    async def upload_token(self, relpath: str, size: int, folder: str = FOLDER) -> str:
        body = {"volume": "disk", "vfid": folder, "relpath": relpath, "size": size}
        answer = await self.manager("POST", "/folder/file/upload", body)
        assert answer.status == 200, answer.body
        return str(answer.json["token"])

    async def download_token(self, relpath: str, folder: str = FOLDER) -> str:
        body = {"volume": "disk", "vfid": folder, "relpath": relpath}
        return str((await self.manager("POST", "/folder/file/download", body)).json["token"])

    async def upload(self, relpath: str, data: bytes, folder: str = FOLDER) -> None:
        """Upload a file in one request."""
        token = await self.upload_token(relpath, len(data), folder)
        if data:
            answer = await self.patch(token, 0, data)
            assert answer.status == 204, answer.body

    async def patch(self, token: str, offset: int, data: Any, **more: Any) -> Answer:
        headers = {**BODY, "Upload-Offset": str(offset), **more.pop("headers", {})}
        query = "".join(f"&{name}={value}" for name, value in more.items())
        return await self.client("PATCH", f"/upload?token={token}{query}", headers=headers, data=data)

    async def download(self, relpath: str, headers: dict[str, str] | None = None, **query: str) -> Answer:
        token = await self.download_token(relpath)
        more = "".join(f"&{name}={value}" for name, value in query.items())
        return await self.client("GET", f"/download?token={token}{more}", headers=headers or {})

    async def settled(self, holds: Callable[[], Any]) -> None:
        """Wait until something is so."""
        with anyio.fail_after(20):
            while not holds():
                await anyio.sleep(0.02)

    async def stored(self, count: int) -> None:
        """Wait until so many bytes of an upload gather."""
        area = self.folder / ".upload"
        await self.settled(lambda: area.exists() and any(path.stat().st_size >= count for path in area.iterdir()))

    async def let_go(self, upload: str) -> None:
        """Have an upload, of which the URL or id is given, not be kept open any more after its last request."""
        await self.gate.uploads.opened.let_go(upload.rpartition("/")[2])

    def events(self, kind: str = "") -> list[Envelope]:
        """Events so far, all but those of owners, or of one type."""
        events = [decode_envelope(data) for data in self.store.broadcast]
        return [event for event in events if event.type == kind or (not kind and event.type[:7] != "volume.")]


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


#: Nothing is done by the clock, unless a test is about that.
_ACTORS: dict[str, Any] = {"backoff_seconds": 0.01, "scan_seconds": 0, "full_scan_seconds": 0}


@asynccontextmanager
async def open_world(
    path: Path,
    spans: Spans | None = None,
    *,
    actors: dict[str, Any] | None = None,
    store: MemoryStore | None = None,
    relays: bool = True,
    **gateway: Any,
) -> AsyncIterator[World]:
    """A gateway that serves the volume `disk` at `path`, with a Redis that is new or was there before.

    Args:
        relays: whether it takes over into the bus what is told of on the volume, unless it has to.
    """
    store = MemoryStore() if store is None else store
    bus_settings = BusSettings(lease_seconds=0.4, upload_lease_seconds=0.4)
    client_port, manager_port = free_port(), free_port()
    settings = GatewaySettings(
        client=ClientListen(port=client_port),
        manager=ManagerListen(port=manager_port),
        manager_secret=SecretStr(MANAGER_SECRET),
        token_secret=SecretStr(TOKEN_SECRET),
        stop_seconds=1,
        **gateway,
    )
    site = Site(VolumeName("disk"), {"path": str(path)}, ThreadSettings(), SilentBackends())
    stop = anyio.Event()
    watching = Watching()
    async with (
        open_vfs(site) as volume,
        open_outside(settings.unmanaged_paths, SilentBackends()) as outside,
        open_memory_bus(store, bus_settings, "gateway") as bus,
        open_memory_bus(store, bus_settings, "actor") as actor_bus,
        aiohttp.ClientSession(auto_decompress=False) as session,
        anyio.create_task_group() as tasks,
    ):
        fleet = Fleet(
            actor_bus,
            bus_settings,
            {volume.name: volume},
            Direct(actor_bus, volume),
            ActorSettings(**{**_ACTORS, **(actors or {})}),
            SilentActors(),
            spans=spans or NoSpans(),
        )
        tasks.start_soon(fleet.run, stop)
        volumes = {volume.name: volume}
        health = Health(bus, volumes, "1.2.3")
        gate = build_gate(bus, Storage(volumes, outside), settings, 0.4, watching, "1.2.3", health.document, spans)
        if relays:
            tasks.start_soon(gate.relays.run)
        tasks.start_soon(gate.quotas.limits.follow)
        tasks.start_soon(gate.counts.run)
        tasks.start_soon(gate.uploads.opened.run)
        options = {**server_options(), "shutdown_timeout": 1.0}
        async with (
            port(client_app(gate), settings.client, options, express(gate, options), settings.idle_seconds),
            port(
                manager_app(gate),
                settings.manager,
                options,
                manager_connections("1.2.3", options),
                settings.idle_seconds,
            ),
        ):
            yield World(path, store, bus, gate, session, watching, client_port, manager_port, volume, relays)
        stop.set()
        tasks.cancel_scope.cancel()
