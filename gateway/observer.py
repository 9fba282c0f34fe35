"""What the gateway tells whoever counts."""

from __future__ import annotations

from typing import NamedTuple, Protocol


class Answered(NamedTuple):
    """One request and its answer. `domain`, `operation` and `detail` are empty unless it failed."""

    method: str
    endpoint: str
    status: int
    seconds: float
    domain: str = ""
    operation: str = ""
    detail: str = ""


class GatewayObserver(Protocol):
    """Notified by the gateway; must return at once."""

    def answered(self, answer: Answered) -> None:
        """A request was answered."""

    def received(self, volume: str, count: int) -> None:
        """Bytes of an upload were stored."""

    def sent(self, volume: str, count: int) -> None:
        """Bytes of a download were sent."""

    def uploaded(self, volume: str) -> None:
        """An upload is whole at its destination."""

    def transferring(self, kind: str, change: int) -> None:
        """A transfer (`upload` or `download`) began (+1) or ended (-1)."""


class SilentObserver:
    """Counts nothing."""

    def answered(self, answer: Answered) -> None:
        """Pass over."""

    def received(self, volume: str, count: int) -> None:
        """Pass over."""

    def sent(self, volume: str, count: int) -> None:
        """Pass over."""

    def uploaded(self, volume: str) -> None:
        """Pass over."""

    def transferring(self, kind: str, change: int) -> None:
        """Pass over."""
