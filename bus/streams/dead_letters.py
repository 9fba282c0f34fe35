"""Dead letters in a stream of their own, and their way back into the queue."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from bus.codec import decode_envelope, encode_envelope
from bus.contract import DeadLetter
from bus.redrive import tried_again
from bus.streams import keys
from bus.streams.link import paired
from bus.streams.reader import parse_entry
from bus.streams.wiring import Wiring
from domain.envelope import Envelope
from domain.errors import MalformedEventError
from domain.ids import VolumeName


class StreamDeadLetters:
    """Looking after what was set aside."""

    def __init__(self, wiring: Wiring) -> None:
        self._link = wiring.link
        self._scripts = wiring.scripts
        self._remember = int(wiring.settings.remember_seconds)

    async def page(self, volume: VolumeName, *, after: str = "", limit: int) -> Sequence[DeadLetter]:
        """Dead letters of a volume, oldest first."""
        start = f"({after}" if after else "-"
        found = await self._link.execute("XRANGE", keys.dead_letters(volume), start, "+", "COUNT", limit)
        return [_letter(volume, entry.decode(), paired(fields)) for entry, fields in found]

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
        volume = letter.volume
        freed, _ = await self._scripts.call(
            "redrive",
            (
                keys.dead_letters(volume),
                keys.commands(volume),
                keys.lane(volume),
                keys.inbox(volume, id_),
                keys.reply(volume, id_),
                keys.quarantine(volume),
                keys.parked(volume),
            ),
            (letter.letter, id_.bytes, payload, letter.envelope.key if letter.envelope else "", self._remember),
        )
        return bool(freed)


def _letter(volume: VolumeName, entry: str, fields: dict[bytes, Any]) -> DeadLetter:
    original = fields.get(b"m", b"")
    try:
        envelope: Envelope | None = decode_envelope(original)
    except MalformedEventError:
        envelope = None
    return DeadLetter(
        volume=volume,
        letter=entry,
        id=UUID(bytes=fields[b"i"]),
        reason=fields.get(b"why", b"").decode(errors="replace"),
        attempts=int(fields.get(b"try", 0)),
        epoch=int(fields.get(b"e", 0)),
        time=parse_entry(entry)[0] / 1000,
        original=original,
        envelope=envelope,
    )
