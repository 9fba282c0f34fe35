"""Selections of files that are too long for a token: their names are kept where every gateway finds them."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from typing import Final

from bus.contract import Bus
from domain.errors import GoneError, TooLargeError
from gateway.tokens import ArchiveClaims, Tokens

#: Longest token that names its files itself, in bytes: servers in front take request lines of 8 KiB.
_INLINE_BYTES: Final = 4096
#: How much longer names are kept than their token holds, in seconds: clocks may be off by so much.
_LONGER_SECONDS: Final = 600.0


class Selections:
    """Makes tokens of selections, and finds what they name."""

    def __init__(self, bus: Bus, tokens: Tokens) -> None:
        self._records = bus.records
        self._clock = bus.clock
        self._tokens = tokens

    async def sign(self, claims: ArchiveClaims) -> str:
        """Make the token of a selection, a short one in any case. Raises as `Tokens.sign`."""
        try:
            token = self._tokens.sign(claims)
        except TooLargeError:
            return await self._kept(claims)
        return token if len(token) <= _INLINE_BYTES else await self._kept(claims)

    async def _kept(self, claims: ArchiveClaims) -> str:
        selection = secrets.token_hex(16)
        seconds = max(claims.exp - self._clock.now(), 0) + _LONGER_SECONDS
        await self._records.create(_name(selection), {"files": list(claims.files)}, keep_seconds=seconds, due=None)
        return self._tokens.sign(claims.model_copy(update={"files": (), "selection": selection}))

    async def names(self, claims: ArchiveClaims) -> Sequence[str]:
        """What a selection names. Raises GoneError: that is not kept any more."""
        if claims.selection is None:
            return claims.files
        record = await self._records.load(_name(claims.selection))
        found = None if record is None else record.document["files"]
        if not isinstance(found, list | tuple):
            raise GoneError("the selection is not kept any more")
        return [str(name) for name in found]


def _name(selection: str) -> str:
    return f"selection:{selection}"
