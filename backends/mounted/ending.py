"""How a change of names ends: durable, and told of where the volume has an outbox."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from backends.contract import Tell
from backends.mounted.outbox_parts import OutboxParts

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Ending(Generic[T]):
    """The end of one change. Blocking."""

    parts: OutboxParts | None = None
    tell: Tell[T] | None = None

    def of(self, result: T, sync: Callable[[], None]) -> T:
        """End it, and return what came of it.

        Args:
            sync: makes it durable where no entry of the outbox does.
        """
        if self.parts is not None and self.tell is not None:
            words = self.tell.words(result)
            self.tell.is_told = bool(words) and self.parts.put(words)
            if self.tell.is_told:
                return result
        sync()
        return result
