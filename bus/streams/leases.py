"""Sole use of things by name, with a way to ask the holder to let go."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Final
from uuid import uuid4

import anyio
from loguru import logger

from bus.streams import keys
from bus.streams.lease import Trust
from bus.streams.wiring import Wiring
from domain.errors import BusBrokenError, ConflictError

#: First byte of a doorbell message that asks for a lease.
_ASK_BELL: Final = b"a"
#: How often a waiter looks whether the lease is free, in seconds.
_LOOK_SECONDS: Final = 0.02
#: For how long it is known at least who was the last to take a lease, in seconds. A holder that could not renew it
#: for less, because Redis was away or it stood still itself, keeps it if nobody else has had it.
_KNOWN_SECONDS: Final = 60.0
#: How long who has a lease may be unknown to its holder, in seconds, before what it does with it is broken off.
_UNKNOWN_SECONDS: Final = 30.0


class StreamLeases:
    """Leases in Redis strings.

    A holder is `<node>/<random>@<milliseconds>`, so it is known where to ring, and how long a lease of it lasts.
    """

    def __init__(self, wiring: Wiring) -> None:
        self._wiring = wiring
        self._ttl = wiring.settings.upload_lease_seconds
        self._lasts_ms = int(self._ttl * 1000)
        self._known_ms = int(max(_KNOWN_SECONDS, 4 * self._ttl) * 1000)
        self._held: dict[str, StreamLease] = {}
        wiring.bells.on(keys.node_channel(wiring.node), self._rung)

    async def run(self) -> None:
        """Renew all held leases for ever."""
        while True:
            await anyio.sleep(self._ttl / 4)
            async with anyio.create_task_group() as tasks:
                for lease in list(self._held.values()):
                    tasks.start_soon(self._renew, lease)

    @asynccontextmanager
    async def hold(self, name: str, *, wait_seconds: float) -> AsyncIterator[StreamLease]:
        """Hold a lease; tells the present holder that somebody waits, and waits for it to let go or to die."""
        holder = f"{self._wiring.node}/{uuid4().hex}@{self._lasts_ms}"
        asked = await self._take(name, holder, wait_seconds)
        lease = StreamLease(name, holder, Trust(self._ttl, asked, name))
        self._held[holder] = lease
        try:
            yield lease
        finally:
            del self._held[holder]
            with anyio.move_on_after(self._ttl, shield=True):
                await self._release(lease)

    async def held(self, names: Sequence[str]) -> Sequence[bool]:
        """Whether anybody holds each of these leases."""
        if not names:
            return []
        found = await self._wiring.link.execute("MGET", *map(keys.lease, names))
        return [holder is not None for holder in found]

    async def _take(self, name: str, holder: str, wait_seconds: float) -> float:
        """Take the lease; returns the monotonic time from which it may be trusted."""
        give_up = time.monotonic() + wait_seconds
        rung = b""
        while True:
            asked = time.monotonic()
            present = await self._try(name, holder)
            if not present:
                return asked
            if asked >= give_up:
                raise ConflictError(f"{name} is in use", lease=name)
            if present != rung:
                rung = present
                await self._ring(name, present)
            await anyio.sleep(_LOOK_SECONDS)

    async def _try(self, name: str, holder: str, *, again: bool = False) -> bytes:
        """Take a lease, or take it `again`; tells who has it, or may have had it meanwhile. Empty: it is ours."""
        present: bytes = await self._wiring.scripts.call(
            "lease_take",
            (keys.lease(name), keys.lease_taken(name)),
            (holder, self._lasts_ms, self._known_ms, "1" if again else ""),
        )
        return present

    async def _ring(self, name: str, present: bytes) -> None:
        node = present.decode().rpartition("/")[0]
        message = _ASK_BELL + present + b" " + name.encode()
        await self._wiring.link.execute("PUBLISH", keys.node_channel(node), message)

    def _rung(self, data: bytes) -> None:
        if data.startswith(_ASK_BELL):
            holder = data[1:].partition(b" ")[0].decode()
            lease = self._held.get(holder)
            if lease is not None:
                lease.asked.set()

    async def _renew(self, lease: StreamLease) -> None:
        if lease.trust.is_lost:
            return
        asked = time.monotonic()
        try:
            present = await self._try(lease.name, lease.holder, again=True)
        except BusBrokenError as error:
            self._wiring.observer.broken("lease")
            logger.debug("renewing {}: {}", lease.name, error)
            return
        if present:
            lease.trust.lose()
        else:
            lease.trust.renew(asked)

    async def _release(self, lease: StreamLease) -> None:
        try:
            await self._wiring.scripts.call("lease_release", (keys.lease(lease.name),), (lease.holder,))
        except BusBrokenError as error:
            logger.debug("releasing {}: {}", lease.name, error)


class StreamLease:
    """A held lease."""

    def __init__(self, name: str, holder: str, trust: Trust) -> None:
        self.name = name
        self.holder = holder
        self.trust = trust
        self.asked = anyio.Event()

    async def confirm(self) -> None:
        """Return while the lease is surely ours; wait for some time while that is unknown."""
        await self.trust.confirm(_UNKNOWN_SECONDS)

    async def wait_asked(self) -> None:
        """Return when somebody else waits for the lease."""
        await self.asked.wait()

    async def wait_lost(self) -> None:
        """Return when somebody else has the lease."""
        await self.trust.wait_lost()
