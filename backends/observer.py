"""What volumes tell whoever counts."""

from __future__ import annotations

from typing import Protocol

from domain.ids import VolumeName


class BackendObserver(Protocol):
    """Notified by volumes, from any thread; must return at once."""

    def called(self, volume: VolumeName, operation: str, seconds: float, *, failed: bool) -> None:
        """A blocking call on the storage ended after this long, its wait for a thread included."""


class SilentObserver:
    """Counts nothing."""

    def called(self, volume: VolumeName, operation: str, seconds: float, *, failed: bool) -> None:
        """Pass over."""
