"""Which command an `Idempotency-Key` stands for (IETF draft-ietf-httpapi-idempotency-key-header).

The first request with a key has a command id made and remembered; later ones use the same id, so the bus gives the
same answer, whichever gateway is asked and however often gateways were restarted between.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from hashlib import sha256
from uuid import UUID

from bus.contract import Bus
from domain.errors import ReusedKeyError
from domain.ids import VolumeName
from domain.messages import Command


class Repetitions:
    """Command ids by key."""

    def __init__(self, bus: Bus, remember_seconds: float) -> None:
        self._bus = bus
        self._remember = remember_seconds

    async def is_known(self, key: str, actor: str) -> bool:
        """Whether a command was begun with this key."""
        return await self._bus.records.load(_record(key, actor)) is not None

    async def once(self, key: str, actor: str, act: Callable[[], Awaitable[str]]) -> str:
        """What came of something for the first request with this key, before or besides its command."""
        name = f"{_record(key, actor)}:once"
        known = await self._bus.records.load(name)
        if known is None:
            result = await act()
            if await self._bus.records.create(name, {"result": result}, keep_seconds=self._remember, due=None):
                return result
            known = await self._bus.records.load(name)  # somebody was quicker
        return str(known.document["result"]) if known is not None else result

    async def command_id(self, key: str, actor: str, volume: VolumeName, command: Command) -> UUID:
        """The id for a command with this key.

        Raises:
            ReusedKeyError: the key was used for another command.
        """
        name = _record(key, actor)
        body = json.dumps([volume, command.type, command.body()], sort_keys=True)
        document = {"id": self._bus.clock.new_id().hex, "of": sha256(body.encode()).hexdigest()}
        made = await self._bus.records.create(name, document, keep_seconds=self._remember, due=None)
        if made:
            return UUID(document["id"])
        known = await self._bus.records.load(name)
        if known is None:  # it expired between the two
            return UUID(document["id"])
        if known.document["of"] != document["of"]:
            raise ReusedKeyError("was used for another request", field="Idempotency-Key")
        return UUID(str(known.document["id"]))

    async def begin_anew(self, key: str, actor: str, refused: UUID) -> None:
        """Have a key stand for another command: the one it stood for was refused before anybody began it."""
        name = _record(key, actor)
        known = await self._bus.records.load(name)
        if known is None or known.document["id"] != refused.hex:
            return  # somebody else has done so
        document = {**known.document, "id": self._bus.clock.new_id().hex}
        await self._bus.records.replace(
            name, document, revision=known.revision, keep_seconds=self._remember, due=None
        )


def _record(key: str, actor: str) -> str:
    return f"idempotency:{sha256(f'{actor}/{key}'.encode()).hexdigest()}"
