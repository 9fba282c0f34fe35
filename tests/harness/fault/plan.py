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
#: Commands that may wait on one lane.
QUEUE_LIMIT = 400


@dataclass(frozen=True)
class Plan:
    """One run."""

    url: str
    folder: str
    volumes: tuple[str, ...]
    #: Protections switched off, for negative controls: `probe`, `journal`, `completing`, `waiting`, `fence`,
    #: `marks`, `watchdog`, `clocks`.
    without: tuple[str, ...] = ()
    #: Part of the system calls on a volume that fail while there is trouble.
    failing: float = 0.01
    #: Types of commands after whose failure for good the later ones of their key wait.
    quarantine: tuple[str, ...] = ()
    #: How long events are kept for nobody, in seconds. Where the store forgets who is registered, a reader that is
    #: not kept anything for would hear of much only when it is restored once more, long after its turn.
    event_keep_seconds: float = 0.0
    #: Commands that may wait on one volume.
    queue_limit: int = QUEUE_LIMIT

    @classmethod
    def load(cls, path: Path) -> Self:
        found = json.loads(path.read_text())
        return cls(**{name: tuple(value) if isinstance(value, list) else value for name, value in found.items()})

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

    @property
    def hung(self) -> Path:
        """Holds the name of the actor whom no volume answers."""
        return Path(self.folder) / "hung"

    def offset(self, node: str) -> Path:
        """How far the wall clock of an actor is from the true time, in seconds; none there: not at all."""
        return Path(self.folder) / f"{node}.offset"

    @property
    def slow(self) -> Path:
        """While this file is there, volumes take their time: it holds how much a call at most, in seconds."""
        return Path(self.folder) / "slow"

    @property
    def cured(self) -> Path:
        """Holds the limits nothing is wrong with any more, or `*`."""
        return Path(self.folder) / "cured"

    def bus_settings(self, port: int | None = None) -> BusSettings:
        """Short leases; nothing is kept that nobody needs.

        Args:
            port: where somebody finds Redis who does not go where the judges go.
        """
        settings = BusSettings(
            url=SecretStr(f"redis://127.0.0.1:{port}/0" if port else self.url),
            lease_seconds=LEASE_SECONDS,
            command_timeout_seconds=1.0,
            connect_timeout_seconds=1.0,
            queue_limit=self.queue_limit,
        )
        kept = {"command_keep_seconds": 0.0, "event_keep_seconds": self.event_keep_seconds}
        return settings.model_copy(update=kept)

    def patient_settings(self) -> BusSettings:
        """Of whoever judges, or acts once: a machine that stands still for a moment is nobody's fault."""
        return self.bus_settings().model_copy(
            update={"command_timeout_seconds": 15.0, "connect_timeout_seconds": 15.0}
        )

    def actor_settings(self) -> ActorSettings:
        """Quick tries, quick trimming."""
        return ActorSettings(
            scan_seconds=0,
            full_scan_seconds=0,
            attempts=5,
            backoff_seconds=0.02,
            handler_seconds=1e6 if "watchdog" in self.without else 0.5,
            crash_limit=1_000_000 if "marks" in self.without else 4,
            drain_seconds=1.0,
            trim_interval_seconds=0.3,
            quarantine=self.quarantine,
        )
