"""Who is there to own lanes: heartbeats in a sorted set, changes rung on the doorbell."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any

import anyio
from loguru import logger

from bus.codec import decode_document, encode_document
from bus.contract import Member
from bus.streams import keys
from bus.streams.wiring import Wiring
from domain.errors import BusBrokenError
from domain.ids import VolumeName


class StreamMembers:
    """Membership over Redis."""

    def __init__(self, wiring: Wiring) -> None:
        self._wiring = wiring
        self._ttl = wiring.settings.lease_seconds
        self._rung = anyio.Event()
        self._told: _Told | None = None
        wiring.bells.on(keys.DOORBELL, self._ring)

    @asynccontextmanager
    async def join(
        self, volumes: frozenset[VolumeName], knows: Mapping[str, int] | None = None
    ) -> AsyncIterator[None]:
        """Be a member until the context ends; the last step out tells the others at once."""
        self._told = _Told(volumes, dict(knows or {}))
        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._beat)
                yield
                tasks.cancel_scope.cancel()
        finally:
            self._told = None
            with anyio.move_on_after(self._ttl, shield=True):
                await self._leave()

    def outgrow(self, volumes: frozenset[VolumeName]) -> None:
        """Tell the others which volumes are better owned by somebody else; the next heartbeat does."""
        if self._told is not None:
            self._told = replace(self._told, outgrown=volumes)

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
            (self._wiring.node, int(self._ttl * 1000), keys.DOORBELL, self._told.encode() if self._told else b""),
        )
        pairs = zip(answer[::2], answer[1::2], strict=True)
        members = [_member(node.decode(), told) for node, told in pairs]
        return sorted(members, key=lambda member: member.node)

    async def wait_change(self, timeout_seconds: float) -> None:
        """Return when the doorbell rings or the time is over."""
        with anyio.move_on_after(timeout_seconds):
            await self._rung.wait()

    def _ring(self, data: bytes) -> None:
        self._rung.set()
        self._rung = anyio.Event()


@dataclass(frozen=True, slots=True)
class _Told:
    """What a member tells of itself."""

    volumes: frozenset[VolumeName]
    knows: dict[str, int]
    outgrown: frozenset[VolumeName] = frozenset()

    def encode(self) -> bytes:
        return encode_document(
            {"volumes": sorted(self.volumes), "knows": self.knows, "outgrown": sorted(self.outgrown)}
        )


def _member(node: str, told: bytes) -> Member:
    """A member as its record tells; one whose record was lost can own nothing until its next heartbeat."""
    document: dict[str, Any] = decode_document(told) if told else {}
    return Member(
        node,
        frozenset(map(VolumeName, document.get("volumes", ()))),
        document.get("knows", {}),
        frozenset(map(VolumeName, document.get("outgrown", ()))),
    )
