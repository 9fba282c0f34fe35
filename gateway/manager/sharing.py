"""One answer for all who asked before it was looked for."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

import anyio

from domain.errors import PenstockError

T = TypeVar("T")


@dataclass(slots=True)
class _Search(Generic[T]):
    """Somebody looks for an answer, or is about to."""

    over: anyio.Event = field(default_factory=anyio.Event)
    #: What was found; empty: nothing, because whoever looked left.
    found: list[T] = field(default_factory=list)
    error: PenstockError | None = None


class Shared(Generic[T]):
    """Answers that are dear, and the same for everybody who asks at the same time.

    For each question there is one search at a time, and one more that waits for its end: whoever comes meanwhile
    gets the answer of that one. So nobody is told what was found before they asked.
    """

    def __init__(self) -> None:
        self._running: dict[Hashable, _Search[T]] = {}
        self._waiting: dict[Hashable, _Search[T]] = {}

    async def get(self, question: Hashable, find: Callable[[], Awaitable[T]]) -> T:
        """An answer that was looked for after this call.

        Raises:
            PenstockError: what the search ended with.
        """
        while (search := self._waiting.get(question)) is not None:
            await search.over.wait()
            if search.error is not None:
                raise search.error
            if search.found:
                return search.found[0]
        return await self._search(question, find)

    async def _search(self, question: Hashable, find: Callable[[], Awaitable[T]]) -> T:
        search = self._waiting[question] = _Search()
        try:
            if (before := self._running.get(question)) is not None:
                await before.over.wait()
            self._running[question] = self._waiting.pop(question)
            search.found.append(await find())
            return search.found[0]
        except PenstockError as error:
            search.error = error
            raise
        finally:
            for searches in (self._waiting, self._running):
                if searches.get(question) is search:
                    del searches[question]
            search.over.set()
