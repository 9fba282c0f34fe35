"""Reads a `storage-proxy.toml`, key by key."""

from __future__ import annotations

import os
import secrets
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, TypeVar

from domain.errors import InvalidRequestError
from ops.importing.found import Imported, Key
from ops.importing.left import reason_for
from ops.importing.secret_places import Place, place_of
from ops.importing.settling import settle
from ops.importing.values import (
    CALENDAR,
    address_of,
    entries_of,
    level_of,
    plain_text,
    processes_of,
    size_of,
    span_of,
    switch_of,
)
from ops.importing.volumes import shown, take_volume

T = TypeVar("T")

_PROCESSES: Final = ("gateway", "processes")
_MOST_PROCESSES: Final = 256
_EVERY_CORE: Final = "missing, which is a process for every core there: written for the cores of this machine"
_ENFORCED: Final = "there it was only told to clients; here a larger upload is refused"
_UNSAYABLE: Final = (
    "our settings cannot say what begins like a reference and has spaces around it, or more than ASCII"
)
#: Their key -> ours, and what becomes of the value.
_TAKEN: Final[Mapping[str, tuple[Key, Callable[[Any], object]]]] = {
    "storage-proxy.node-id": (("backendai", "source"), plain_text),
    "storage-proxy.num-proc": (_PROCESSES, processes_of),
    "storage-proxy.scandir-limit": (("gateway", "list_limit"), entries_of),
    "storage-proxy.max-upload-size": (("gateway", "max_upload_bytes"), size_of),
    "storage-proxy.session-expire": (("gateway", "token_seconds"), span_of),
    "logging.level": (("log", "level"), level_of),
}
_ADDRESSES: Final[Mapping[str, Key]] = {
    "api.client.service-addr": ("gateway", "client"),
    "api.manager.service-addr": ("gateway", "manager"),
    "api.manager.internal-addr": ("internal", "gateway"),
}
_SWITCH: Final = "ssl-enabled"
_CERTIFICATE: Final = "ssl-cert"
_FILES: Final = {_CERTIFICATE: "tls_certificate", "ssl-privkey": "tls_key"}
#: Their key -> key of `[gateway]`, the fewest characters it may have, and what follows if it gets a new value.
_SECRETS: Final[Mapping[str, tuple[str, int, str]]] = {
    "api.manager.secret": ("manager_secret", 1, "give it to the manager"),
    "storage-proxy.secret": ("token_secret", 32, "tokens in use end"),
}


def read_settings(sources: Sequence[Path]) -> Imported:
    """Read settings of a storage proxy, which may be spread over files; relative paths are beside their file.

    Raises:
        InvalidRequestError: a file is no TOML, has a value the storage proxy would not take either, or there is
            no volume that could be served.
    """
    found = Imported()
    for source in sources:
        # That is where the storage proxy goes before it looks at any path.
        _take_document(found, _document(source), source.parent.resolve())
    _complete(found)
    settle(found)
    return found


def _document(source: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(source.read_bytes().decode())
    except OSError as error:
        raise InvalidRequestError(f"{source} cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise InvalidRequestError(f"{source} is not TOML: {error}") from error


def _take_document(found: Imported, document: dict[str, Any], base: Path) -> None:
    volumes = document.pop("volume", {})
    leaves = dict(_leaves(document))
    for place in ("client", "manager"):
        _take_tls(found, leaves, place, base)
    for key, value in leaves.items():
        _take(found, key, value)
    if not isinstance(volumes, dict):
        found.note("volume", "must be a table of volumes")
        return
    for name, options in volumes.items():
        take_volume(found, name, options, base)


def _leaves(table: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, Any]]:
    """Every setting by its dotted key, with dashes as in 26.3's own files."""
    for name, value in table.items():
        key = f"{path}{shown(name.replace('_', '-'))}"
        if isinstance(value, dict) and key not in _ADDRESSES and value.keys() != {"host", "port"}:
            yield from _leaves(value, f"{key}.")
        else:
            yield key, value


def _take(found: Imported, key: str, value: Any) -> None:
    if key in _TAKEN:
        ours, convert = _TAKEN[key]
        found.put(key, ours, _converted(key, value, convert))
        _tell_difference(found, key, value)
    elif key in _ADDRESSES:
        host, port = _converted(key, value, address_of)
        found.put(key, (*_ADDRESSES[key], "host"), host)
        found.put(key, (*_ADDRESSES[key], "port"), port)
    elif key in _SECRETS:
        _take_secret(found, key, _converted(key, value, plain_text))
    else:
        found.note(key, reason_for(key))


def _converted(key: str, value: Any, convert: Callable[[Any], T]) -> T:
    try:
        return convert(value)
    except (ValueError, TypeError) as error:
        raise InvalidRequestError(f"nothing was written: {key}: {error}") from error


def _tell_difference(found: Imported, key: str, value: Any) -> None:
    if key == "storage-proxy.max-upload-size":
        found.note(key, _ENFORCED)
    elif key == "storage-proxy.session-expire" and str(value)[-2:] in CALENDAR:
        found.note(key, "by the calendar there; here a month has 30 days, and a year 365")
    elif key == "storage-proxy.num-proc" and processes_of(value) > _MOST_PROCESSES:
        found.put(key, _PROCESSES, _MOST_PROCESSES)
        found.note(key, f"{_MOST_PROCESSES} is the most")


def _take_secret(found: Imported, key: str, value: str) -> None:
    ours, least, consequence = _SECRETS[key]
    if len(value) < least:
        found.note(key, f"shorter than {least} characters: a new one was made; {consequence}")
    elif place_of(value) is None:
        found.note(key, f"{_UNSAYABLE}: a new one was made; {consequence}")
    else:
        found.secrets[ours] = value
        found.came_from(key, ("gateway", ours))
        if place_of(value) is Place.SETTINGS:
            found.note(
                key, "no line of the file of secrets can hold it: the settings do, which are for their owner only"
            )


def _take_tls(found: Imported, leaves: dict[str, Any], place: str, base: Path) -> None:
    """Certificates count only where TLS is switched on."""
    theirs = f"api.{place}"
    given = {name: leaves.pop(f"{theirs}.{name}", None) for name in (_SWITCH, *_FILES)}
    on = given[_SWITCH] is None or _converted(f"{theirs}.{_SWITCH}", given[_SWITCH], switch_of)
    for name, ours in _FILES.items():
        if given[name] is None:
            continue
        path = _converted(f"{theirs}.{name}", given[name], plain_text)
        if on and path and given[_CERTIFICATE]:
            found.put(f"{theirs}.{name}", ("gateway", place, ours), str(base / path))
        else:
            found.note(f"{theirs}.{name}", "there is no certificate with it" if on else "TLS is switched off there")
    if given[_SWITCH] is not None:
        found.came_from(f"{theirs}.{_SWITCH}", ("gateway", place, _FILES[_CERTIFICATE]))
        if on and not given[_CERTIFICATE]:
            found.note(f"{theirs}.{_SWITCH}", "on, but without a certificate: as it is, the port speaks plain HTTP")


def _complete(found: Imported) -> None:
    """Say what is not said there, where it is another thing here; make what secrets are missing."""
    for theirs, value, why in (
        ("storage-proxy.num-proc", min(os.cpu_count() or 1, _MOST_PROCESSES), _EVERY_CORE),
        ("storage-proxy.scandir-limit", 1000, "missing, which is 1000 there, and so here"),
        ("storage-proxy.max-upload-size", 100 << 30, f"missing, which is 100 GiB; {_ENFORCED}"),
    ):
        ours, _ = _TAKEN[theirs]
        if ours not in found.values:
            found.put(theirs, ours, value)
            found.note(theirs, why)
    for theirs, (name, _, consequence) in _SECRETS.items():
        if name not in found.secrets:
            found.secrets[name] = secrets.token_urlsafe(48)
            if theirs not in found.notes:
                found.note(theirs, f"missing: a new one was made; {consequence}")
