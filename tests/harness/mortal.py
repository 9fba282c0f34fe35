"""Parts of a process that dies at a certain call of any of them: from then on none of them does anything."""

from __future__ import annotations

import inspect
from dataclasses import dataclass, field
from typing import Any

from domain.errors import BackendUnavailableError


class DiedError(BackendUnavailableError):
    """Stands for kill -9: whoever asked gets no answer, or none that says more than that something is away."""

    def __init__(self) -> None:
        super().__init__("dead")


@dataclass
class Life:
    """How long a process lives.

    Args:
        ends_at: before which call of its parts it dies.
    """

    ends_at: int
    calls: int = 0
    #: Which of them there were.
    called: set[str] = field(default_factory=set)

    @property
    def is_over(self) -> bool:
        return self.calls >= self.ends_at

    def step(self, name: str) -> None:
        self.called.add(name)
        if not self.is_over:
            self.calls += 1
        if self.is_over:
            raise DiedError


class Mortal:
    """A part, and everything it hands out that can be called as well."""

    def __init__(self, inner: object, life: Life) -> None:
        self._inner = inner
        self._life = life

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._inner, name)
        if name == "close" or not inspect.iscoroutinefunction(found):
            return found  # what is open is closed by whatever death

        async def mortal(*args: object, **kwargs: object) -> object:
            self._life.step(name)
            result = await found(*args, **kwargs)
            is_part = inspect.iscoroutinefunction(getattr(result, "close", None))
            return Mortal(result, self._life) if is_part else result

        return mortal
