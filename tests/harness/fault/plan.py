"""What a fault run is made of; read by the processes it starts."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self

from pydantic import SecretStr

from actors.settings import ActorSettings
from bus.settings import BusSettings

LEASE_SECONDS = 0.5


@dataclass(frozen=True)
class Plan:
    """One run."""

    url: str
    folder: str
    volumes: tuple[str, ...]
    #: Protections switched off, for negative controls: `probe`, `journal`, `completing`, `waiting`.
    without: tuple[str, ...] = ()
    #: Part of the system calls on a volume that fail while there is trouble.
    failing: float = 0.01

    @classmethod
    def load(cls, path: Path) -> Self:
        found = json.loads(path.read_text())
        return cls(**{**found, "volumes": tuple(found["volumes"]), "without": tuple(found["without"])})

    def save(self) -> Path:
        path = Path(self.folder) / "plan.json"
        path.write_text(json.dumps(asdict(self)))
        return path

    def root(self, volume: str) -> Path:
        """A volume's directory."""
        return Path(self.folder) / "volumes" / volume

    @property
    def death(self) -> Path:
        """Holds the name of the step at which the next actor that comes there dies."""
        return Path(self.folder) / "death"

    @property
    def trouble(self) -> Path:
        """While this file is there, volumes fail now and then."""
        return Path(self.folder) / "trouble"

    def bus_settings(self) -> BusSettings:
        """Short leases; nothing is kept that nobody needs."""
        settings = BusSettings(
            url=SecretStr(self.url),
            lease_seconds=LEASE_SECONDS,
            command_timeout_seconds=1.0,
            connect_timeout_seconds=1.0,
            queue_limit=400,
        )
        return settings.model_copy(update={"command_keep_seconds": 0.0, "event_keep_seconds": 0.0})

    def actor_settings(self) -> ActorSettings:
        """Quick tries, quick trimming."""
        return ActorSettings(
            scan_seconds=0,
            full_scan_seconds=0,
            attempts=5,
            backoff_seconds=0.02,
            handler_seconds=0.5,
            crash_limit=4,
            drain_seconds=1.0,
            trim_interval_seconds=0.3,
        )
