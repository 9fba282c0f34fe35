"""The Lua scripts: called by their digests, sent whole where the server does not know them, as after a failover."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha1
from importlib import resources
from typing import Any, Final

from redis.exceptions import NoScriptError

from bus.settings import BusSettings
from bus.streams.link import Argument, Link
from domain.errors import BusBrokenError

_NAMES = (
    "enqueue",
    "acquire",
    "renew",
    "release",
    "commit",
    "restore",
    "suspect",
    "redrive",
    "emit",
    "outbox_take",
    "apply",
    "record_create",
    "record_replace",
    "record_remove",
    "apply_without",
    "lease_take",
    "lease_release",
    "members",
    "trim",
    "trim_broadcast",
    "look",
)


def _sources() -> dict[str, str]:
    folder = resources.files("bus.streams") / "lua"
    shared = (folder / "append.lua").read_text()
    return {name: shared + (folder / f"{name}.lua").read_text() for name in _NAMES}


_SOURCES: Final = _sources()


#: Redis names a script by the SHA-1 of its source; nothing is kept secret by it.
_DIGESTS: Final = {
    name: sha1(source.encode(), usedforsecurity=False).hexdigest() for name, source in _SOURCES.items()
}


class Scripts:
    """All scripts of the bus on one link."""

    def __init__(self, link: Link, durable: Link, settings: BusSettings) -> None:
        self._link = link
        self._durable = durable
        self._wait = ("WAIT", settings.replicas_to_wait, int(settings.replica_wait_seconds * 1000))
        self._replicas = settings.replicas_to_wait

    async def call(
        self, name: str, keys: Sequence[str], args: Sequence[Argument], again: Sequence[Argument] | None = None
    ) -> Any:
        """Run one script.

        Args:
            again: arguments to use instead, once it is not known whether the script ran; None: the same, because
                running it twice does what running it once does.

        Raises:
            BusBrokenError: Redis is away or refuses.
            FencedError: the script found another owner.
        """
        try:
            return await self._execute(("EVALSHA", _DIGESTS[name], len(keys), *keys), args, again)
        except NoScriptError:
            return await self._execute(("EVAL", _SOURCES[name], len(keys), *keys), args, again)

    async def _execute(
        self, call: Sequence[Argument], args: Sequence[Argument], again: Sequence[Argument] | None
    ) -> Any:
        return await self._link.execute(*call, *args, again=None if again is None else (*call, *again))

    async def call_durably(self, name: str, keys: Sequence[str], args: Sequence[Argument]) -> Any:
        """Run one script and wait until as many replicas as are configured have what it wrote.

        The script must write something whenever it runs: `WAIT` counts what its own connection wrote.

        Raises:
            BusBrokenError: as `call`; or fewer replicas have it, so a failover may lose it. It may be repeated.
            FencedError: as `call`.
        """
        if not self._replicas:
            return await self.call(name, keys, args)
        try:
            answer, copies = await self._durable.execute_all(
                [("EVALSHA", _DIGESTS[name], len(keys), *keys, *args), self._wait]
            )
        except NoScriptError:
            answer, copies = await self._durable.execute_all(
                [("EVAL", _SOURCES[name], len(keys), *keys, *args), self._wait]
            )
        if copies < self._replicas:
            raise BusBrokenError(f"only {copies} of {self._replicas} replicas have it yet")
        return answer
