"""Loads the Lua scripts; each is registered once for a client and called by its digest.

redis-py sends the source again when the server answers NOSCRIPT, as it does after a failover.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib import resources
from typing import Any, Final

from redis.asyncio import Redis
from redis.commands.core import AsyncScript

from bus.streams.connection import translated

Argument = str | bytes | int | float

_NAMES = (
    "enqueue",
    "acquire",
    "renew",
    "release",
    "commit",
    "emit",
    "apply",
    "record_create",
    "record_replace",
    "record_remove",
    "lease_take",
    "lease_release",
    "members",
    "trim",
    "trim_broadcast",
)


def _sources() -> dict[str, str]:
    folder = resources.files("bus.streams") / "lua"
    shared = (folder / "append.lua").read_text()
    return {name: shared + (folder / f"{name}.lua").read_text() for name in _NAMES}


_SOURCES: Final = _sources()


class Scripts:
    """All scripts of the bus on one client."""

    def __init__(self, client: Redis) -> None:
        self._scripts: dict[str, AsyncScript] = {
            name: client.register_script(source) for name, source in _SOURCES.items()
        }

    async def call(self, name: str, keys: Sequence[str], args: Sequence[Argument]) -> Any:
        """Run one script.

        Raises:
            BusBrokenError: Redis is away or refuses.
            FencedError: the script found another owner.
        """
        with translated():
            return await self._scripts[name](keys=list(keys), args=list(args))
