"""What commands bring to scopes, from when each was found to fit until the catalogue knows that it is there.

Commands of different folders run beside each other; without this, two could take the same room.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from uuid import UUID
from weakref import WeakValueDictionary

import anyio

from domain.errors import QuotaExceededError
from domain.ids import QuotaScopeId

#: Tells why something does not fit beside so many bytes the catalogue may not know of yet; None: it does.
Exceeds = Callable[[int], Awaitable[QuotaExceededError | None]]


class Admitted:
    """Bytes by commands, for one owner of a volume."""

    def __init__(self) -> None:
        self._bytes: dict[UUID, tuple[QuotaScopeId, int]] = {}
        self._turns: WeakValueDictionary[QuotaScopeId, anyio.Lock] = WeakValueDictionary()

    async def admit(self, command: UUID, scope: QuotaScopeId, size_bytes: int, exceeds: Exceeds) -> None:
        """Count a command's bytes from now on, if they fit. Raises QuotaExceededError."""
        turn = self._turns.setdefault(scope, anyio.Lock())
        async with turn:
            while True:
                others = self._others(command, scope)
                error = await exceeds(others)
                if error is None:
                    break
                if others == self._others(command, scope):
                    raise error
                # Some have come into the catalogue meanwhile, and may have been counted twice.
            self._bytes[command] = scope, size_bytes

    def _others(self, command: UUID, scope: QuotaScopeId) -> int:
        return sum(size for other, (at, size) in self._bytes.items() if other != command and at == scope)

    def forget(self, commands: Iterable[UUID]) -> None:
        """Count commands no more: the catalogue knows what became of them."""
        for command in commands:
            self._bytes.pop(command, None)
