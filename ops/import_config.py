"""Reads the settings of Backend.AI's storage proxy (`storage-proxy.toml`, 26.3) and says them in ours.

What is taken over, and into which key, is told; so is everything that is not, with what to do about it. Secrets go
to a file of their own.
"""

from __future__ import annotations

import re
import secrets
import tomllib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from domain.errors import InvalidRequestError
from domain.ids import VolumeName

#: Drivers whose storage is mounted, so that the driver of plain directories can serve it.
_MOUNTED: Final = frozenset(
    {"xfs", "purestorage", "netapp", "weka", "gpfs", "cephfs", "vast", "exascaler", "dellemc-onefs", "hammerspace"}
)
_SIZE: Final = re.compile(r"(\d+(?:\.\d+)?)\s*([kmgtpe]?)i?b?", re.IGNORECASE)
_UNITS: Final = " kmgtpe"
_SPAN: Final = re.compile(r"(\d+(?:\.\d+)?)\s*(us|ms|s|m|h|d|w|)", re.IGNORECASE)
_SECONDS: Final = {"us": 1e-6, "ms": 1e-3, "": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}
_MIN_TOKEN_SECRET: Final = 32
_LEVELS: Final = {"NOTSET": "DEBUG", "CRITICAL": "ERROR", "WARN": "WARNING"}
#: A name that needs no quotes in TOML.
_BARE: Final = re.compile(r"[A-Za-z0-9_-]+")
#: What has no counterpart, by the beginning of its key, and what to do instead.
_LEFT: Final = {
    "etcd": "Penstock does not read Backend.AI's etcd: write where Redis is into bus.url (and backendai.url)",
    "redis": "write where Redis is into bus.url, with a database of its own",
    "logging": "logs go to standard error, as JSON",
    "debug": 'log.level = "DEBUG" tells more',
    "storage-proxy.user": "run the processes as this user, for instance by systemd's User=",
    "storage-proxy.group": "run the processes with this group, for instance by systemd's Group=",
    "storage-proxy.event-loop": "uvloop is used if it is installed",
    "storage-proxy.allow-auto-quota-scope-creation": "a folder's quota scope is always made with it",
    "storage-proxy.use-watcher": "backendai.mount_program names what mounts",
    "storage-proxy.volume-stats": "usage is counted when it is asked for",
    "api.manager.announce-addr": "Penstock announces itself nowhere",
    "api.manager.announce-internal-addr": "Penstock announces itself nowhere",
    "artifact": "artifact registries are not served",
    "presigned": "object storage is not served",
    "reservoir": "artifact registries are not served",
    "service-discovery": "Penstock announces itself nowhere",
    "otel": "set OTEL_EXPORTER_OTLP_ENDPOINT",
    "pyroscope": "nothing is profiled",
}


@dataclass(slots=True)
class Imported:
    """Settings in our words."""

    #: By table, such as `gateway.client`.
    tables: dict[str, dict[str, Any]] = field(default_factory=dict)
    #: Names and values for the file of secrets.
    secrets: dict[str, str] = field(default_factory=dict)
    #: Their key -> our key.
    taken: dict[str, str] = field(default_factory=dict)
    #: Their key -> why it is not taken, or not as it is.
    notes: dict[str, str] = field(default_factory=dict)

    def put(self, theirs: str, ours: str, value: object) -> None:
        """Take a setting over."""
        table, _, key = ours.rpartition(".")
        self.tables.setdefault(table, {})[key] = value
        self.taken[theirs] = ours


def import_settings(text: str) -> Imported:
    """Translate a `storage-proxy.toml`.

    Raises:
        InvalidRequestError: it is no TOML, or a value is not what it has to be.
    """
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise InvalidRequestError(f"not TOML: {error}") from error
    found = Imported()
    volumes = document.pop("volume", {})
    for key, value in _leaves(document):
        _import(found, key, value)
    for name, options in volumes.items() if isinstance(volumes, dict) else ():
        _import_volume(found, VolumeName.parse(name), options)
    _complete(found)
    return found


def write(found: Imported, settings: Path) -> Path:
    """Write the settings, and beside them the file of secrets, which only its owner can read; returns the latter.

    Raises:
        InvalidRequestError: one of the files is there.
    """
    beside = settings.with_suffix(".secrets")
    for path in (settings, beside):
        if path.exists():
            raise InvalidRequestError(f"{path} is there already")
    beside.touch(mode=0o600)
    beside.write_text("".join(f"{name}={value}\n" for name, value in found.secrets.items()))
    for name, key in (("MANAGER_SECRET", "manager_secret"), ("TOKEN_SECRET", "token_secret")):
        found.tables.setdefault("gateway", {})[key] = f"file:{beside.name}#{name}"
    settings.write_text(_toml(found.tables))
    return beside


def _leaves(table: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, Any]]:
    """Every setting by its dotted key, with the names of 26.3's own files (dashes)."""
    for name, value in table.items():
        key = f"{path}{name.replace('_', '-')}"
        if isinstance(value, dict) and not {"host", "port"} <= value.keys():
            yield from _leaves(value, f"{key}.")
        else:
            yield key, value


def _import(found: Imported, key: str, value: Any) -> None:
    if key in _TAKEN:
        ours, convert = _TAKEN[key]
        try:
            converted = convert(value)
        except (ValueError, TypeError, KeyError) as error:
            raise InvalidRequestError(f"{key}: {error}") from error
        for name, item in converted.items() if isinstance(converted, dict) else [("", converted)]:
            found.put(key, f"{ours}{name}", item)
    elif key in ("api.manager.secret", "storage-proxy.secret"):
        _import_secret(found, key, str(value))
    elif key.endswith((".ssl-enabled", ".ssl-cert", ".ssl-privkey")):
        _import_tls(found, key, value)
    else:
        reason = next((why for start, why in _LEFT.items() if key == start or key.startswith(f"{start}")), None)
        found.notes[key] = reason or "there is nothing like it"


def _import_secret(found: Imported, key: str, value: str) -> None:
    if key == "api.manager.secret":
        found.secrets["MANAGER_SECRET"] = value
        found.taken[key] = "gateway.manager_secret"
    elif len(value) < _MIN_TOKEN_SECRET:
        found.notes[key] = f"shorter than {_MIN_TOKEN_SECRET} characters: a new one was made, tokens in use end"
    else:
        found.secrets["TOKEN_SECRET"] = value
        found.taken[key] = "gateway.token_secret"


def _import_tls(found: Imported, key: str, value: Any) -> None:
    """Certificates count only where TLS is switched on, which may stand behind them."""
    base, _, name = key.rpartition(".")
    table = found.tables.setdefault(f"gateway.{base.removeprefix('api.')}", {})
    if name == "ssl-enabled":
        found.taken[key] = f"gateway.{base.removeprefix('api.')}.tls_certificate"
        table["_tls"] = bool(value)
    elif value:
        ours = "tls_certificate" if name == "ssl-cert" else "tls_key"
        found.put(key, f"gateway.{base.removeprefix('api.')}.{ours}", str(value))


def _import_volume(found: Imported, name: VolumeName, options: Mapping[str, Any]) -> None:
    theirs, ours = f"volume.{name}", f"volumes.{name if _BARE.fullmatch(name) else _value(name)}"
    driver = str(options.get("backend", ""))
    if driver == "vfs" or driver in _MOUNTED:
        found.put(f"{theirs}.backend", f"{ours}.backend", "vfs")
    else:
        found.notes[f"{theirs}.backend"] = f"there is no driver {driver!r}; the volume has to be written by hand"
    if driver in _MOUNTED:
        found.notes[f"{theirs}.backend"] = f"{driver} is served as a mounted file system: quotas are counted here"
    if "path" in options:
        found.put(f"{theirs}.path", f"{ours}.path", str(options["path"]))
    if str(options.get("fsprefix", ".")) not in ("", "."):
        found.notes[f"{theirs}.fsprefix"] = "agents and Penstock have to see the volume at the same path"
    for option in options.get("options") or ():
        found.notes[f"{theirs}.options.{option}"] = f"an option of the driver {driver}"


def _complete(found: Imported) -> None:
    """Add what Penstock needs, and take out what was only noted."""
    for table in found.tables.values():
        if not table.pop("_tls", True):
            table.pop("tls_certificate", None)
            table.pop("tls_key", None)
    for name in ("MANAGER_SECRET", "TOKEN_SECRET"):
        found.secrets.setdefault(name, secrets.token_urlsafe(48))


def _toml(tables: Mapping[str, Mapping[str, Any]]) -> str:
    blocks = []
    for name, values in tables.items():
        if values:
            lines = [f"{key} = {_value(value)}" for key, value in values.items()]
            blocks.append("\n".join([f"[{name}]", *lines]))
    return "\n\n".join(blocks) + "\n"


def _value(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return str(value)
    text = str(value).replace("\\", "\\\\").replace('"', '\\"')
    return '"' + "".join(letter if letter >= " " else f"\\u{ord(letter):04x}" for letter in text) + '"'


def _size(value: object) -> int:
    """A size as they write it: `100g` is 100 GiB."""
    match = _SIZE.fullmatch(str(value).strip())
    if match is None:
        raise ValueError(f"not a size: {value!r}")
    return int(float(match[1]) * 1024 ** _UNITS.index(match[2].lower() or " "))


def _span(value: object) -> float:
    """A duration as they write it: `1d`, `24h`, or seconds."""
    match = _SPAN.fullmatch(str(value).strip())
    if match is None:
        raise ValueError(f"not a duration: {value!r}")
    return float(match[1]) * _SECONDS[match[2].lower()]


def _address(value: object) -> dict[str, object]:
    """An address: a table of host and port, or `host:port`."""
    if isinstance(value, dict):
        return {"host": str(value["host"]), "port": int(value["port"])}
    host, _, port = str(value).rpartition(":")
    return {"host": host.strip("[]"), "port": int(port)}


def _entries(value: object) -> int:
    """How many entries a listing shows; theirs counts 0 as all."""
    return int(str(value)) or 10_000_000


def _level(value: object) -> str:
    level = str(value).upper()
    return _LEVELS.get(level, level)


#: Their key -> the beginning of ours, and what becomes of the value.
_TAKEN: Final[Mapping[str, tuple[str, Callable[[Any], Any]]]] = {
    "storage-proxy.node-id": ("backendai.source", str),
    "storage-proxy.num-proc": ("gateway.processes", lambda value: min(int(value), 256)),
    "storage-proxy.scandir-limit": ("gateway.list_limit", _entries),
    "storage-proxy.max-upload-size": ("gateway.max_upload_bytes", _size),
    "storage-proxy.session-expire": ("gateway.token_seconds", _span),
    "api.client.service-addr": ("gateway.client.", _address),
    "api.manager.service-addr": ("gateway.manager.", _address),
    "api.manager.internal-addr": ("internal.gateway.", _address),
    "logging.level": ("log.level", _level),
}
