"""What actors tell whoever counts."""

from __future__ import annotations

from typing import Protocol

from bus.contract import LaneStatus
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

    def queue(self, status: LaneStatus) -> None:
        """How the queue of an owned volume stands now."""

    def floor(self, holder: str) -> None:
        """Who holds events back longer than they would be kept; empty: nobody."""

    def restored(self, volume: VolumeName, outcomes: int) -> None:
        """Outcomes the bus had lost were put back from the volume's journal."""

    def journal_missed(self, volume: VolumeName, outcomes: int) -> None:
        """Outcomes could not be written to the volume's journal."""


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

    def queue(self, status: LaneStatus) -> None:
        """Pass over."""

    def floor(self, holder: str) -> None:
        """Pass over."""

    def restored(self, volume: VolumeName, outcomes: int) -> None:
        """Pass over."""

    def journal_missed(self, volume: VolumeName, outcomes: int) -> None:
        """Pass over."""
