"""What the bus tells whoever counts: names are events of interest, not metrics."""

from __future__ import annotations

from typing import Protocol

from domain.ids import VolumeName


class BusObserver(Protocol):
    """Notified by the bus; must return at once."""

    def accepted(self, volume: VolumeName, *, duplicate: bool) -> None:
        """A command was accepted, or recognised as a repetition."""

    def refused(self, volume: VolumeName) -> None:
        """A command was refused because the lane's queue is full."""

    def committed(self, volume: VolumeName, commands: int, seconds: float) -> None:
        """Outcomes were committed in one step that took this long."""

    def acquired(self, volume: VolumeName, *, clean: bool) -> None:
        """A lane was taken; clean if its last owner had given it back."""

    def fenced(self, volume: VolumeName) -> None:
        """A lane went to another owner while we held it."""

    def taken_over(self, volume: VolumeName, events: int, seconds: float) -> None:
        """Events were taken over from a volume's outbox, the oldest of them this long after it was written."""

    def broken(self, part: str) -> None:
        """A part of the bus lost its connection and tries again."""

    def trimmed(self, stream: str, entries: int) -> None:
        """Old entries were removed from `commands`, `events`, `dead_letters` or the `broadcast`."""

    def reader_expired(self, reader: str) -> None:
        """A registered reader was gone for so long that events are not kept for it any more."""


class SilentObserver:
    """Counts nothing."""

    def accepted(self, volume: VolumeName, *, duplicate: bool) -> None:
        """Pass over."""

    def refused(self, volume: VolumeName) -> None:
        """Pass over."""

    def committed(self, volume: VolumeName, commands: int, seconds: float) -> None:
        """Pass over."""

    def acquired(self, volume: VolumeName, *, clean: bool) -> None:
        """Pass over."""

    def fenced(self, volume: VolumeName) -> None:
        """Pass over."""

    def taken_over(self, volume: VolumeName, events: int, seconds: float) -> None:
        """Pass over."""

    def broken(self, part: str) -> None:
        """Pass over."""

    def trimmed(self, stream: str, entries: int) -> None:
        """Pass over."""

    def reader_expired(self, reader: str) -> None:
        """Pass over."""
