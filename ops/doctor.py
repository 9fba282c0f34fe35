"""`penstock doctor`: looks at everything Penstock stands on, says what is wrong and how to mend it."""

from __future__ import annotations

import errno
import os
import socket
import sys
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final

import anyio
from pydantic import SecretStr

from backends.mounted.helping.resolving import has_openat2
from backends.mounted.mountinfo import MountedAs, mounted_as
from backends.registry import drivers
from backends.settings import VolumeSettings
from bus.backendai.rights import NEEDED_RIGHTS, refused
from bus.settings import BusSettings
from bus.streams.connection import Connections
from domain.errors import PenstockError
from ops.jobs import jobs_url
from ops.settings import Settings, load_settings

_OLDEST_REDIS: Final = (6, 2)
_OLDEST_PYTHON: Final = (3, 11)
#: Part of a volume that should stay free.
_FREE_PART: Final = 0.05
_FICLONE: Final = 0x40049409


class Grade(StrEnum):
    """How a check went."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Finding:
    """One check: what was looked at, what was seen, and what to do."""

    grade: Grade
    what: str
    seen: str
    remedy: str = ""


def examine(config: Path | None) -> Iterator[Finding]:
    """Look at everything, in the order it depends on each other."""
    yield _python()
    try:
        settings = load_settings(config)
    except PenstockError as error:
        yield Finding(Grade.FAIL, "settings", error.message, "docs/configuration.md lists every key")
        return
    yield Finding(Grade.OK, "settings", str(config or "from the environment"))
    yield from _secrets(settings)
    yield from _redis("redis", settings.bus, durable=True)
    yield from _job_queue(settings)
    yield from _bridge(settings)
    for name, volume in settings.volumes.items():
        yield from _volume(name, volume)
    for directory in settings.gateway.unmanaged_paths:
        yield _outside(directory)
    yield from _ports(settings)


def _python() -> Finding:
    version = ".".join(map(str, sys.version_info[:3]))
    if sys.version_info < _OLDEST_PYTHON:
        return Finding(Grade.FAIL, "python", version, "Penstock needs Python 3.11 or later")
    return Finding(Grade.OK, "python", version)


def _secrets(settings: Settings) -> Iterator[Finding]:
    for name, secret in (
        ("gateway.manager_secret", settings.gateway.manager_secret),
        ("gateway.token_secret", settings.gateway.token_secret),
    ):
        length = len(secret.get_secret_value())
        if length < 32:
            yield Finding(Grade.WARN, name, f"{length} characters", "use at least 32 random characters")
        else:
            yield Finding(Grade.OK, name, f"{length} characters")


def _job_queue(settings: Settings) -> Iterator[Finding]:
    try:
        url = SecretStr(jobs_url(settings))
    except PenstockError as error:
        yield Finding(Grade.FAIL, "job queue", error.message, "set worker.url")
        return
    yield from _redis("job queue", settings.bus.model_copy(update={"url": url}), durable=False)


def _bridge(settings: Settings) -> Iterator[Finding]:
    """Whether the bridge could carry events to Backend.AI's manager, if it is to."""
    reached = settings.backendai.reached_by(settings.bus)
    if reached is None:
        return
    what, rights = "backendai.url", f"give its user {NEEDED_RIGHTS}"
    try:
        missing = anyio.run(refused, reached)
    except PenstockError as error:
        remedy = f"start Redis, or correct its URL, user and password, or {rights}"
        yield Finding(Grade.FAIL, what, error.message[:160], remedy)
        return
    if missing is None:
        seen = "it is there; before Redis 7 it does not say what a user may do"
        yield Finding(Grade.WARN, what, seen, f"if the bridge is refused something, {rights}")
    elif missing:
        yield Finding(Grade.FAIL, what, f"this user may not {', '.join(missing)}", rights)
    else:
        yield Finding(Grade.OK, what, "it is there, and lets the bridge do what it does")


def _redis(what: str, settings: BusSettings, *, durable: bool) -> Iterator[Finding]:
    try:
        info, sync = anyio.run(_told_by_redis, settings)
    except (PenstockError, ValueError) as error:
        remedy = "start Redis, or correct its URL, user and password"
        yield Finding(Grade.FAIL, what, str(error)[:160], remedy)
        return
    yield _redis_version(what, info)
    if durable:
        yield _append_only(info, sync)
        yield _eviction(info)


async def _told_by_redis(settings: BusSettings) -> tuple[Mapping[str, str], str]:
    """What a server says of itself, and when it syncs its append-only file; empty if this user may not ask that."""
    async with Connections(settings).blocking(settings.connect_timeout_seconds) as redis:
        lines = (await redis.ask("INFO")).decode("utf-8", "replace").splitlines()
        info = dict(line.split(":", 1) for line in lines if ":" in line)
        try:
            _, sync = await redis.ask("CONFIG", "GET", "appendfsync")
        except (PenstockError, ValueError):
            return info, ""
    return info, sync.decode()


def _redis_version(what: str, info: Mapping[str, str]) -> Finding:
    spoken = info.get("redis_version", "")
    told = f"{info.get('server_name', 'redis')} {info.get('valkey_version', spoken)}".strip()
    numbers = spoken.split(".")[:2]
    if not all(part.isdecimal() for part in numbers):
        seen = f"{told}: it does not tell which version of Redis it speaks"
        return Finding(Grade.WARN, what, seen, "see that it speaks Redis 6.2 or later")
    version = tuple(map(int, numbers))
    if version < _OLDEST_REDIS:
        return Finding(Grade.FAIL, what, told, "use Redis 6.2 or later, or Valkey")
    return Finding(Grade.OK, what, told)


def _append_only(info: Mapping[str, str], sync: str) -> Finding:
    what = "redis append-only file"
    if info.get("aof_enabled") != "1":
        remedy = "set `appendonly yes`: without it accepted commands are lost when Redis dies"
        return Finding(Grade.FAIL, what, "off", remedy)
    if sync in {"", "always"}:
        return Finding(Grade.OK, what, f"on, synced {sync or 'as set: this user may not ask how'}")
    remedy = "set `appendfsync always`: else what was accepted in the last two seconds may be lost when Redis dies"
    return Finding(Grade.WARN, what, f"on, appendfsync {sync}", remedy)


def _eviction(info: Mapping[str, str]) -> Finding:
    policy = info.get("maxmemory_policy", "noeviction")
    if policy == "noeviction":
        return Finding(Grade.OK, "redis eviction", policy)
    remedy = "set `maxmemory-policy noeviction`: any other one deletes streams"
    return Finding(Grade.FAIL, "redis eviction", policy, remedy)


def _volume(name: str, volume: VolumeSettings) -> Iterator[Finding]:
    what = f"volume {name}"
    if volume.backend not in drivers():
        known = ", ".join(drivers())
        yield Finding(Grade.FAIL, what, f"backend {volume.backend} is not installed", f"there are: {known}")
        return
    path = volume.options.get("path")
    if path is None:
        yield Finding(Grade.OK, what, f"backend {volume.backend}; nothing to look at from here")
        return
    directory = Path(str(path))
    if not directory.is_dir():
        yield Finding(Grade.FAIL, what, f"{directory} is no directory", f"mkdir -p {directory}, or mount it")
        return
    yield _writable(what, directory)
    yield _free(what, directory)
    yield from _mounted(what, mounted_as(str(directory)))
    yield from _features(what, directory)


def _writable(what: str, directory: Path) -> Finding:
    probe = directory / f".penstock-doctor-{os.getpid()}"
    try:
        probe.write_bytes(b"x")
        probe.unlink()
    except OSError as error:
        remedy = f"let user {os.getuid()} write in {directory}"
        return Finding(Grade.FAIL, what, f"cannot be written: {error.strerror}", remedy)
    return Finding(Grade.OK, what, f"{directory} can be written")


def _free(what: str, directory: Path) -> Finding:
    known = os.statvfs(directory)
    free, total = known.f_bavail * known.f_frsize, known.f_blocks * known.f_frsize
    told = f"{free / 2**30:.1f} of {total / 2**30:.1f} GiB free"
    if free < total * _FREE_PART:
        return Finding(Grade.WARN, what, told, "make room, or uploads will be refused")
    return Finding(Grade.OK, what, told)


def _mounted(what: str, known: MountedAs) -> Iterator[Finding]:
    options = dict(option.partition("=")[::2] for option in known.options.split(","))
    if known.kind == "nfs" and options.keys() & {"soft", "softerr"}:
        yield Finding(Grade.WARN, what, "mounted soft: a slow server loses writes", "mount it hard")
    version = options.get("vers", "")
    if known.kind == "nfs" and version.partition(".")[::2] < ("4", "1"):
        told = f"NFS {version or 'of an unknown version'}: what was done may seem to fail when an answer is lost"
        yield Finding(Grade.WARN, what, told, "mount it with vers=4.1 or later")
    if not known.has_journal:
        told = "ext4 without a journal: a power failure may take what was told of"
        yield Finding(Grade.WARN, what, told, "tune2fs -O has_journal, on the unmounted device")
    shared = "written through, for other hosts may have it" if known.is_shared else "of this host alone"
    yield Finding(Grade.OK, what, f"{known.file_system or 'an unknown file system'}, {shared}")


def _features(what: str, directory: Path) -> Iterator[Finding]:
    if has_openat2():
        yield Finding(Grade.OK, what, "paths are resolved by the kernel (openat2)")
    else:
        remedy = "a kernel of 5.6 or later, or a sandbox that permits openat2, is faster"
        yield Finding(Grade.WARN, what, "no openat2; paths are resolved name by name", remedy)
    probe = directory / f".penstock-doctor-{os.getpid()}"
    copy = directory / f"{probe.name}-copy"
    try:
        probe.write_bytes(b"x" * 4096)
        yield _attributes(what, probe)
        yield _reflink(what, probe, copy)
    except OSError as error:
        yield Finding(Grade.WARN, what, f"features unknown: {error.strerror}")
    finally:
        for path in (probe, copy):
            with suppress(OSError):
                path.unlink()


def _attributes(what: str, probe: Path) -> Finding:
    try:
        os.setxattr(probe, "user.penstock.doctor", b"x")
    except OSError:
        return Finding(Grade.WARN, what, "no extended attributes", "works, with one more file for each new folder")
    return Finding(Grade.OK, what, "extended attributes")


def _reflink(what: str, probe: Path, copy: Path) -> Finding:
    import fcntl

    with probe.open("rb") as source, copy.open("wb") as target:
        try:
            fcntl.ioctl(target.fileno(), _FICLONE, source.fileno())
        except OSError as error:
            if error.errno not in (errno.EOPNOTSUPP, errno.EINVAL, errno.ENOTTY, errno.EXDEV, errno.ENOSYS):
                raise
            return Finding(Grade.OK, what, "no reflinks; copies take room and time")
    return Finding(Grade.OK, what, "reflinks; copies are instant")


def _outside(directory: Path) -> Finding:
    """Whether a directory outside of all volumes can be read; clients hear no more than that it has no files."""
    what = f"unmanaged path {directory}"
    try:
        with os.scandir(directory):
            return Finding(Grade.OK, what, "can be read")
    except OSError as error:
        remedy = f"mount it, let user {os.getuid()} read it, or take it out of gateway.unmanaged_paths"
        return Finding(Grade.WARN, what, f"cannot be read: {error.strerror}", remedy)


def _ports(settings: Settings) -> Iterator[Finding]:
    for name, listen in (
        ("gateway.client", settings.gateway.client),
        ("gateway.manager", settings.gateway.manager),
        ("internal.gateway", settings.internal.gateway),
    ):
        yield _port(name, listen.host, listen.port)


def _port(name: str, host: str, port: int) -> Finding:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                return Finding(
                    Grade.WARN, name, f"port {port} is in use", "well, if Penstock runs; else choose another"
                )
            return Finding(Grade.FAIL, name, f"{host}:{port}: {error.strerror}", "choose another address or port")
    return Finding(Grade.OK, name, f"port {port} is free")


def worst(findings: list[Finding]) -> Grade:
    """The grade of all together."""
    grades = {finding.grade for finding in findings}
    return next((grade for grade in (Grade.FAIL, Grade.WARN) if grade in grades), Grade.OK)
