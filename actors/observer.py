"""What actors tell whoever counts."""

from __future__ import annotations

from typing import Protocol

from domain.ids import VolumeName


class ActorObserver(Protocol):
    """Notified by actors; must return at once."""

    def handled(self, volume: VolumeName, command: str, seconds: float, code: str) -> None:
        """A command ended after this long; `code` is empty if it took effect."""

    def retried(self, volume: VolumeName, command: str) -> None:
        """A try failed for the moment and will be repeated."""

    def held(self, volume: VolumeName, command: str) -> None:
        """A command of an unknown type or version waits for a member that knows it."""

    def owns(self, volume: VolumeName, *, owned: bool) -> None:
        """This process took or gave back a volume."""


class SilentObserver:
    """Counts nothing."""

    def handled(self, volume: VolumeName, command: str, seconds: float, code: str) -> None:
        """Pass over."""

    def retried(self, volume: VolumeName, command: str) -> None:
        """Pass over."""

    def held(self, volume: VolumeName, command: str) -> None:
        """Pass over."""

    def owns(self, volume: VolumeName, *, owned: bool) -> None:
        """Pass over."""
