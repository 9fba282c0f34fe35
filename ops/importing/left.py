"""Settings of theirs that have no counterpart here, and what to do instead."""

from __future__ import annotations

from typing import Final

_ANNOUNCED: Final = (
    "Penstock announces itself nowhere: the manager has its addresses in its own settings of volumes"
)
_CONSOLE: Final = "there is no console inside of a process; /metrics and /health of `internal` tell how it is"
_WATCHER: Final = "there is no watcher; backendai.mount_program names what mounts"
_SOCKETS: Final = "processes reach each other over Redis, and need no files for it"
_LOGGED: Final = "logs go to standard error (log.format says how); what reads it there takes them further"
_ONE_LEVEL: Final = "one level holds for everything (log.level)"
_DEBUGGED: Final = 'there is no such mode; log.level = "DEBUG" tells more'
_ETCD: Final = "Penstock does not read Backend.AI's etcd: write where Redis is into bus.url (and backendai.url)"
_SCOPES: Final = "a folder's quota scope is always made with it"
_MEASURED: Final = (
    "this is about a volume's performance metrics, which are collected in advance there; "
    "the driver vfs measures none, and GET /volume/performance-metric says so"
)
_ARTIFACTS: Final = "artifact registries, and what is kept for them, are not served"
_SPANS: Final = "spans are sent if OTEL_EXPORTER_OTLP_ENDPOINT is set (OTLP over HTTP, usually port 4318)"

#: By key, for it and all below it; of several that fit the longest counts.
_REASONS: Final = {
    "etcd": _ETCD,
    "redis": "write where Redis is into bus.url, with a database of its own",
    "storage-proxy.ipc-base-path": _SOCKETS,
    "storage-proxy.pid-file": "no such file is written; what starts a process, such as systemd, knows its id",
    "storage-proxy.event-loop": "uvloop is used if it is installed",
    "storage-proxy.user": "run the processes as this user, for instance by systemd's User=",
    "storage-proxy.group": "run the processes with this group, for instance by systemd's Group=",
    "storage-proxy.aiomonitor-port": _CONSOLE,
    "storage-proxy.aiomonitor-termui-port": _CONSOLE,
    "storage-proxy.aiomonitor-webui-port": _CONSOLE,
    "storage-proxy.watcher-insock-path-prefix": _WATCHER,
    "storage-proxy.watcher-outsock-path-prefix": _WATCHER,
    "storage-proxy.use-watcher": _WATCHER,
    "storage-proxy.use-experimental-redis-event-dispatcher": "events always go over Redis Streams",
    "storage-proxy.allow-auto-quota-scope-creation": _SCOPES,
    "storage-proxy.auto-quota-scope-creation": _SCOPES,
    "storage-proxy.volume-stats": _MEASURED,
    "api.manager.announce-addr": _ANNOUNCED,
    "api.manager.announce-internal-addr": _ANNOUNCED,
    "service-discovery": _ANNOUNCED,
    "debug": _DEBUGGED,
    "logging": _LOGGED,
    "logging.pkg-ns": _ONE_LEVEL,
    "logging.loggers": _ONE_LEVEL,
    "storages": _ARTIFACTS,
    "registries": _ARTIFACTS,
    "artifact-storages": _ARTIFACTS,
    "artifact-registries": _ARTIFACTS,
    "reservoir-client": _ARTIFACTS,
    "otel": _SPANS,
    "otel.log-level": "logs are not sent that way",
    "otel.max-queue-size": "set OTEL_BSP_MAX_QUEUE_SIZE",
    "otel.max-export-batch-size": "set OTEL_BSP_MAX_EXPORT_BATCH_SIZE",
    "pyroscope": "nothing is profiled",
}

UNKNOWN: Final = "this is no setting of the storage proxy that is known here"


def reason_for(key: str) -> str:
    """Why a key is not taken over."""
    parts = key.split(".")
    starts = (".".join(parts[:count]) for count in range(len(parts), 0, -1))
    return next((_REASONS[start] for start in starts if start in _REASONS), UNKNOWN)
