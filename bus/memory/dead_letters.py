"""Dead letters in memory."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

import anyio

from bus.codec import encode_envelope
from bus.contract import DeadLetter
from bus.memory.store import MemoryStore
from bus.redrive import tried_again
from domain.envelope import Envelope
from domain.ids import VolumeName


class MemoryDeadLetters:
    """Looking after what was set aside."""

    def __init__(self, store: MemoryStore) -> None:
        self._store = store

    async def page(self, volume: VolumeName, *, after: str = "", limit: int) -> Sequence[DeadLetter]:
        """Dead letters of a volume, oldest first."""
        await anyio.lowlevel.checkpoint()
        letters = self._store.lanes[volume].dead
        names = [letter.letter for letter in letters]
        return letters[names.index(after) + 1 if after in names else 0 :][:limit]

    async def redrive(self, letter: DeadLetter) -> bool:
        """Have it tried again under its own id."""
        return await self._free(letter, letter.id, tried_again(letter))

    async def skip(self, letter: DeadLetter) -> bool:
        """Drop it."""
        return await self._free(letter, letter.id, b"")

    async def replace(self, letter: DeadLetter, command: Envelope) -> bool:
        """Have another command tried in its place."""
        return await self._free(letter, command.id, encode_envelope(command))

    async def _free(self, letter: DeadLetter, id_: UUID, payload: bytes) -> bool:
        await anyio.lowlevel.checkpoint()
        state = self._store.lanes[letter.volume]
        present = [found for found in state.dead if found.letter == letter.letter]
        if not present:
            return False
        state.dead.remove(present[0])
        if payload:
            state.replies.pop(id_, None)
            state.append(id_, payload)
        key = letter.envelope.key if letter.envelope else ""
        if state.quarantine.get(key) == letter.letter:
            del state.quarantine[key]
            for command in [command for command in state.parked if command.key == key]:
                state.parked.remove(command)
                state.append(command.id, command.data)
        self._store.ring()
        return True
