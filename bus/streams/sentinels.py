"""Sentinels, and which server they hold for the primary.

They are asked all at once, because any of them may be dead, cut off from the others, or behind. What more than half
of them tell is taken as soon as it is there; where they do not agree, whoever saw the latest failover is right (its
*config epoch*; https://redis.io/docs/latest/operate/oss_and_stack/management/sentinel/, "Configuration
epochs").
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import anyio
from redis import DriverInfo
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError, RedisError  # noqa: A004  redis-py's own

Address = tuple[str, int]

#: How long the others are waited for once one has answered, in seconds.
_GRACE_SECONDS: Final = 0.5


class _Told(NamedTuple):
    """What one Sentinel knows; sorts by how late it is."""

    epoch: int
    primary: Address


@dataclass(frozen=True, slots=True)
class Sentinels:
    """A primary as Sentinels tell it."""

    addresses: tuple[Address, ...]
    service: str
    #: Options of connections to the servers.
    server: Mapping[str, Any]
    #: Options of connections to the Sentinels.
    own: Mapping[str, Any]
    #: TLS options of both; empty: no TLS.
    tls: Mapping[str, Any]

    async def primary(self, driver: DriverInfo, patience_seconds: float) -> Address:
        """Where the primary is; each Sentinel is asked on a connection of its own, which is closed at once.

        Args:
            driver: what connections tell of their client library.
            patience_seconds: longest wait for the first that answers.

        Raises:
            redis.exceptions.ConnectionError: no Sentinel answers, or none knows a primary.
        """
        told: list[_Told] = []
        options = {
            "socket_timeout": patience_seconds,
            "socket_connect_timeout": patience_seconds,
            "driver_info": driver,
            "retry": Retry(NoBackoff(), 0),
        }

        async def ask(address: Address) -> None:
            with suppress(RedisError, OSError, TimeoutError):
                told.append(await self._told_by(address, options))
                waiting.deadline = min(waiting.deadline, anyio.current_time() + _GRACE_SECONDS)
                if self._agreed(told):
                    waiting.cancel()

        with anyio.move_on_after(patience_seconds) as waiting:
            async with anyio.create_task_group() as tasks:
                for address in self.addresses:
                    tasks.start_soon(ask, address)
        if not told:
            raise ConnectionError(f"no Sentinel knows a primary of {self.service!r}")
        return self._agreed(told) or max(told).primary

    def _agreed(self, told: list[_Told]) -> Address | None:
        """What more than half of all Sentinels tell."""
        ((primary, votes),) = Counter(each.primary for each in told).most_common(1)
        return primary if 2 * votes > len(self.addresses) else None

    async def _told_by(self, address: Address, options: Mapping[str, Any]) -> _Told:
        host, port = address
        client: Redis = Redis(host=host, port=port, ssl=bool(self.tls), **options, **self.own, **self.tls)
        try:
            known: Any = await client.sentinel_master(self.service)  # type: ignore[no-untyped-call]
            # Told apart: while a failover is on its way, this is the new one already.
            found: Any = await client.sentinel_get_master_addr_by_name(self.service)  # type: ignore[no-untyped-call]
        finally:
            with anyio.CancelScope(shield=True):
                await client.aclose()
        if not found:
            raise ConnectionError("a Sentinel knows no primary")
        name, number = found
        return _Told(known["config-epoch"], (name.decode() if isinstance(name, bytes) else str(name), int(number)))
