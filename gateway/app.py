"""Builds the two ports' applications."""

from __future__ import annotations

from typing import Any, Final

from aiohttp import web
from aiohttp.typedefs import Middleware

from gateway.client import downloads, resumable, token_uploads, tus_answers, tus_collection
from gateway.client.overriding import overriding
from gateway.client.status import StatusRoutes as ClientStatusRoutes
from gateway.cors import Cors
from gateway.gate import Gate
from gateway.manager.clones import CloneRoutes
from gateway.manager.contents import ContentRoutes
from gateway.manager.events import EventRoutes
from gateway.manager.files import FileRoutes
from gateway.manager.folders import FolderRoutes
from gateway.manager.following import Following
from gateway.manager.keyed import KeyedRoutes
from gateway.manager.quota_scopes import QuotaScopeRoutes
from gateway.manager.status import StatusRoutes
from gateway.manager.tasks import TaskRoutes
from gateway.manager.transfers import TransferRoutes
from gateway.manager.trash import TrashRoutes
from gateway.manager.unmanaged import answering_unmanaged
from gateway.manager.vestiges import VestigeRoutes
from gateway.manager.volumes import VolumeRoutes
from gateway.middlewares import around, require_secret, signed
from gateway.openapi.operations import CLIENT, MANAGER
from gateway.openapi.routes import OpenApiRoutes
from gateway.peers import Peers, limit_peers
from gateway.settings import GatewaySettings
from gateway.statuses import explaining

#: What the manager's port tells everybody: that it is there, and what it can be asked.
_OPEN: Final = StatusRoutes.PATHS | OpenApiRoutes.PATHS
#: Where clients, and who watches over us, ask whether anybody is there.
_CLIENT_OPEN: Final = frozenset({"/"})
#: Longest request line and header field taken, in bytes: tokens stand in the query.
_FIELD_BYTES: Final = 64 * 1024
#: How long an idle connection is kept, in seconds.
_KEEPALIVE_SECONDS: Final = 75.0
#: Bytes of a body the HTTP library holds before it holds its sender back, twice; each connection may.
_READ_BYTES: Final = 32 << 10


def manager_app(gate: Gate) -> web.Application:
    """The manager's port."""
    settings = gate.settings
    peers = Peers(settings.manager_peer_requests, settings.manager_peer_rate)
    app = web.Application(
        middlewares=[
            around("manager", gate.observer, gate.spans),
            *_limits(peers, settings, _OPEN),
            require_secret(settings.manager_secrets, _OPEN),
            explaining(gate.bus.catalogue),
            answering_unmanaged(gate),
        ]
    )
    app.on_response_prepare.append(signed(gate.version))
    following = Following(gate)
    for part in (
        StatusRoutes(gate),
        VolumeRoutes(gate),
        QuotaScopeRoutes(gate),
        FolderRoutes(gate),
        FileRoutes(gate),
        TransferRoutes(gate),
        ContentRoutes(gate),
        EventRoutes(gate, following),
        CloneRoutes(gate),
        TaskRoutes(gate, following),
        TrashRoutes(gate),
        KeyedRoutes(gate),
        VestigeRoutes(gate),
        OpenApiRoutes("manager", MANAGER, gate.version),
    ):
        app.router.add_routes(part.routes())
    return app


def client_app(gate: Gate) -> web.Application:
    """The clients' port."""
    cors = Cors(gate.settings.allow_origins)
    app = web.Application(
        middlewares=[
            around("client", gate.observer, gate.spans),
            *_limits(gate.client_peers, gate.settings, _CLIENT_OPEN),
            explaining(gate.bus.catalogue),
            overriding,
        ]
    )
    app.on_response_prepare.extend((signed(gate.version), cors.sign, tus_answers.sign))
    for part in (
        ClientStatusRoutes(gate, cors),
        downloads.DownloadRoutes(gate, cors),
        token_uploads.TokenUploadRoutes(gate, cors),
        tus_collection.CollectionRoutes(gate, cors),
        resumable.ResumableRoutes(gate),
        OpenApiRoutes("client", CLIENT, gate.version),
    ):
        app.router.add_routes(part.routes())
    return app


def _limits(peers: Peers, settings: GatewaySettings, open_paths: frozenset[str]) -> list[Middleware]:
    return [limit_peers(peers, settings.trusted_proxies, open_paths)] if peers.are_limited else []


def server_options() -> dict[str, Any]:
    """How aiohttp has to be run for these applications.

    Bodies are left as they were sent: inflating a `Content-Encoding` would store other bytes than the client
    counted.
    """
    return {
        "access_log": None,
        "auto_decompress": False,
        "handler_cancellation": False,
        "keepalive_timeout": _KEEPALIVE_SECONDS,
        "max_line_size": _FIELD_BYTES,
        "max_field_size": _FIELD_BYTES,
        "read_bufsize": _READ_BYTES,
    }
