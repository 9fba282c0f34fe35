"""Everything the routes of a gateway share."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import anyio
from aiohttp import web
from pydantic import BaseModel

from backends.contract import FileAccess, Tell, Volume
from backends.outside import NOWHERE, Outside
from backends.powers import outboxes
from bus.accounts import Account
from bus.contract import Bus
from bus.relay import Relays
from domain.ids import QuotaScopeId, VFolderId, VolumeName
from domain.messages import Command, Event
from domain.spans import NoSpans, Spans
from gateway.archive.entries import EntriesHeld
from gateway.archive.faults import Faults
from gateway.archive.layout import Checksums
from gateway.commands import Commander
from gateway.counts import Counts
from gateway.keys import Keyring
from gateway.middlewares import asker_of, origin_of
from gateway.observer import GatewayObserver
from gateway.parameters import read_body
from gateway.peers import Peers
from gateway.quotas import Quotas, build_quotas
from gateway.repetitions import Repetitions
from gateway.settings import GatewaySettings
from gateway.stock import Stock
from gateway.telling import Teller
from gateway.tokens import Tokens
from gateway.transfer.offload import Offload
from gateway.transfer.pace import Paces
from gateway.transfer.send import Sender
from gateway.uploads.places import volume_of
from gateway.uploads.uploads import Uploads

M = TypeVar("M", bound=BaseModel)
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Storage:
    """What files lie on."""

    volumes: Mapping[VolumeName, Volume]
    #: What lies outside of all volumes and may be read.
    outside: Outside


@dataclass(frozen=True, slots=True)
class Gate:
    """The gateway's parts, wired."""

    bus: Bus
    volumes: Mapping[VolumeName, Volume]
    outside: Outside
    settings: GatewaySettings
    observer: GatewayObserver
    commander: Commander
    tokens: Tokens
    quotas: Quotas
    counts: Counts
    relays: Relays
    teller: Teller
    uploads: Uploads
    sender: Sender
    #: What is in memory of archives.
    archived: EntriesHeld
    #: CRC-32 of files by volume: what tells files apart does so within one volume only.
    checksums: Mapping[VolumeName, Checksums]
    #: Files at which archives broke off, likewise.
    faults: Mapping[VolumeName, Faults]
    offload: Offload
    paces: Paces
    #: What is counted of those who come to the clients' port.
    client_peers: Peers
    version: str
    #: How what this process depends on is, as a document.
    health: Callable[[], Awaitable[dict[str, Any]]]
    #: Set when the gateway stops; answers that would never end by themselves end then.
    stopping: anyio.Event
    spans: Spans

    def volume(self, name: str) -> Volume:
        """Find a volume. Raises NotFoundError (subject volume)."""
        return volume_of(self.volumes, name)

    def files(self, volume: str, folder: VFolderId) -> FileAccess:
        """Names and bytes of a folder. Raises NotFoundError (subject volume)."""
        return self.volume(volume).files(folder)

    def stock(self, volume: str, folder: VFolderId) -> Stock:
        """A folder to be sent from. Raises NotFoundError (subject volume)."""
        found = self.volume(volume)
        return Stock(found.files(folder), found.name)

    @asynccontextmanager
    async def stock_outside(self, path: str) -> AsyncIterator[Stock]:
        """A directory outside of all volumes to be sent from, as long as the block lasts. Raises as `Outside`."""
        async with self.outside.opened(path) as files:
            yield Stock(files, NOWHERE)

    async def body(self, request: web.Request, model: type[M]) -> M:
        """Parameters from a JSON body."""
        return await read_body(request, model, self.settings.max_body_bytes)

    async def limit(
        self, request: web.Request, volume: Volume, owner: QuotaScopeId | VFolderId, command: Command
    ) -> web.Response:
        """Have the limits of a scope or a folder changed; they hold here from then on."""
        with self.quotas.limits.changing(Account(volume.name, owner)):
            await self.commander.ask(volume.name, command, asker_of(request))
        return web.Response(status=204)

    async def tell(self, request: web.Request, event: Event) -> None:
        """Publish an event of something this request has done."""
        await self.teller.tell(event, origin_of(request))

    async def change(
        self,
        request: web.Request,
        volume: str,
        change: Callable[[Tell[T]], Awaitable[T]],
        event_of: Callable[[T], Event | None],
    ) -> T:
        """Do a change inside a folder and tell of it, as `Teller.change`."""
        return await self.teller.change(self.volume(volume).name, origin_of(request), change, event_of)


def _keyring(settings: GatewaySettings) -> Keyring:
    return Keyring(
        settings.token_secret,
        settings.token_secrets_old,
        audience=settings.token_audience,
        skew_seconds=settings.token_skew_seconds,
    )


def build_gate(
    bus: Bus,
    storage: Storage,
    settings: GatewaySettings,
    upload_lease_seconds: float,
    observer: GatewayObserver,
    version: str,
    health: Callable[[], Awaitable[dict[str, Any]]],
    spans: Spans | None = None,
) -> Gate:
    """Wire a gateway's parts."""
    volumes = storage.volumes
    relays = Relays(bus.outboxes, outboxes(volumes))
    quotas = build_quotas(bus, volumes, relays, settings)
    return Gate(
        bus=bus,
        volumes=volumes,
        outside=storage.outside,
        settings=settings,
        observer=observer,
        commander=Commander(bus, settings.command_seconds, Repetitions(bus, settings.idempotency_seconds)),
        tokens=Tokens(_keyring(settings), settings.token_seconds, settings.token_skew_seconds),
        quotas=quotas,
        counts=Counts(bus, volumes, settings.usage_wait_seconds),
        relays=relays,
        teller=Teller(bus, relays),
        uploads=Uploads(bus, volumes, quotas, relays, settings, upload_lease_seconds, observer),
        sender=Sender(settings.read_bytes, settings.idle_seconds, observer),
        archived=EntriesHeld(settings.archives_limit),
        checksums={name: Checksums() for name in (NOWHERE, *volumes)},
        faults={name: Faults() for name in (NOWHERE, *volumes)},
        offload=Offload(settings.offload, settings.offload_prefix),
        paces=Paces(),
        client_peers=Peers(settings.peer_requests, settings.peer_rate),
        version=version,
        health=health,
        stopping=anyio.Event(),
        spans=spans or NoSpans(),
    )
