"""Who is there to own lanes: heartbeats in a sorted set, changes rung on the doorbell."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import anyio
from loguru import logger

from bus.contract import Member
from bus.streams import keys
from bus.streams.wiring import Wiring
from domain.errors import BusBrokenError
from domain.ids import VolumeName

#: Separates volume names in a member's record; no volume name has it.
_SEPARATOR = ","


class StreamMembers:
    """Membership over Redis."""

    def __init__(self, wiring: Wiring) -> None:
        self._wiring = wiring
        self._ttl = wiring.settings.lease_seconds
        self._rung = anyio.Event()
        self._mine = ""
        wiring.bells.on(keys.DOORBELL, self._ring)

    @asynccontextmanager
    async def join(self, volumes: frozenset[VolumeName]) -> AsyncIterator[None]:
        """Be a member until the context ends; the last step out tells the others at once."""
        self._mine = _SEPARATOR.join(sorted(volumes)) or _SEPARATOR
        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._beat)
                yield
                tasks.cancel_scope.cancel()
        finally:
            self._mine = ""
            with anyio.move_on_after(self._ttl, shield=True):
                await self._leave()

    async def _beat(self) -> None:
        while True:
            try:
                await self.view()
            except BusBrokenError as error:
                self._wiring.observer.broken("members")
                logger.debug("heartbeat: {}", error)
            await anyio.sleep(self._ttl / 4)

    async def _leave(self) -> None:
        try:
            await self._wiring.link.execute_all(
                [
                    ("ZREM", keys.MEMBERS, self._wiring.node),
                    ("DEL", keys.node(self._wiring.node)),
                    ("PUBLISH", keys.DOORBELL, "member"),
                ]
            )
        except BusBrokenError as error:
            logger.debug("leaving: {}", error)

    async def view(self) -> Sequence[Member]:
        """The members seen alive lately; tells the others that this one is."""
        answer = await self._wiring.scripts.call(
            "members",
            (keys.MEMBERS, keys.node(self._wiring.node)),
            (self._wiring.node, int(self._ttl * 1000), keys.DOORBELL, self._mine),
        )
        pairs = zip(answer[::2], answer[1::2], strict=True)
        members = [Member(node.decode(), _volumes(volumes.decode())) for node, volumes in pairs]
        return sorted(members, key=lambda member: member.node)

    async def wait_change(self, timeout_seconds: float) -> None:
        """Return when the doorbell rings or the time is over."""
        with anyio.move_on_after(timeout_seconds):
            await self._rung.wait()

    def _ring(self, data: bytes) -> None:
        self._rung.set()
        self._rung = anyio.Event()


def _volumes(text: str) -> frozenset[VolumeName]:
    return frozenset(VolumeName(name) for name in text.split(_SEPARATOR) if name)
