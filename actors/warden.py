"""Watches how much of their limits scopes and folders use, and tells when a threshold is passed.

What they use is what the catalogue says: uploads change it at once, scans correct it. A soft limit that was passed
for too long holds from then on, until less is used again; since when it is passed is kept in the catalogue.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Self

import anyio
from loguru import logger

from actors.counting import scope_usage
from actors.settings import ActorSettings
from backends.contract import Volume
from bus.accounts import Account, is_enforced
from bus.contract import Bus
from bus.index_pages import index_pages
from bus.usage import Settle
from domain.catalogue import folder_quotas_index, scopes_index
from domain.envelope import Origin, wrap_event
from domain.errors import PenstockError
from domain.events import QuotaAlert
from domain.ids import QuotaScopeId, VFolderId
from domain.usage import Quota


@dataclass(frozen=True, slots=True)
class _Level:
    """How an account stands, as it was told last or is now."""

    percent: int = 0
    soft_since: float | None = None
    enforced: bool = False

    @classmethod
    def parse(cls, fields: Mapping[str, str]) -> Self:
        """Read what was told last."""
        since = fields.get("soft_since")
        return cls(int(fields.get("alert", 0)), float(since) if since else None, is_enforced(fields))


class Warden:
    """Watches the accounts of one volume."""

    def __init__(self, volume: Volume, bus: Bus, settings: ActorSettings, settle: Settle) -> None:
        self._volume = volume
        self._bus = bus
        self._settings = settings
        # Counted here is only what nobody has counted yet.
        self._usage = scope_usage(volume, bus, float("inf"), settle)

    async def run(self) -> None:
        """Look for ever."""
        while True:
            await anyio.sleep(self._settings.alert_interval_seconds)
            try:
                async for accounts in self._accounts():
                    records = await self._bus.catalogue.fields([account.record for account in accounts])
                    for account, fields in zip(accounts, records, strict=True):
                        await self._look(account, fields or {})
            except PenstockError as error:
                logger.warning("looking after the limits of {}: {}", self._volume.name, error)

    async def _accounts(self) -> AsyncIterator[list[Account]]:
        """Every scope and folder that has, or may have, limits, page by page."""
        name = self._volume.name
        async for page in index_pages(self._bus.catalogue, scopes_index(name)):
            yield [Account(name, QuotaScopeId.parse(member)) for member in page]
        async for page in index_pages(self._bus.catalogue, folder_quotas_index(name)):
            yield [Account(name, VFolderId.parse(member)) for member in page]

    async def _look(self, account: Account, fields: Mapping[str, str]) -> None:
        quota = Quota(limit_bytes=_number(fields, "limit_bytes"), soft_bytes=_number(fields, "soft_bytes"))
        told = _Level.parse(fields)
        if quota == Quota() and told == _Level():
            return
        used = await account.used_bytes(self._usage)
        level = self._level(quota, used, told)
        if level != told:
            await self._tell(account, quota, used, level, told)

    def _level(self, quota: Quota, used: int, told: _Level) -> _Level:
        percent = self._percent(quota.soft_bytes if quota.limit_bytes is None else quota.limit_bytes, used)
        if quota.soft_bytes is None or used <= quota.soft_bytes:
            return _Level(percent)
        now = self._bus.clock.now()
        since = now if told.soft_since is None else told.soft_since
        return _Level(percent, since, now - since >= self._settings.soft_quota_seconds)

    def _percent(self, limit: int | None, used: int) -> int:
        """The highest threshold that is reached."""
        if limit is None:
            return 0
        return max(
            (percent for percent in self._settings.alert_percents if used * 100 >= percent * limit), default=0
        )

    async def _tell(self, account: Account, quota: Quota, used: int, level: _Level, told: _Level) -> None:
        owner = account.owner
        event = QuotaAlert(
            volume=account.volume,
            scope=owner if isinstance(owner, QuotaScopeId) else None,
            folder=owner if isinstance(owner, VFolderId) else None,
            percent=level.percent,
            before=told.percent,
            used_bytes=used,
            limit_bytes=quota.limit_bytes,
            soft_bytes=quota.soft_bytes,
            soft_since=level.soft_since,
            enforced=level.enforced,
        )
        clock = self._bus.clock
        origin = Origin(actor=self._bus.node)
        await self._bus.events.publish(wrap_event(event, id=clock.new_id(), time=clock.now(), origin=origin))


def _number(fields: Mapping[str, str], name: str) -> int | None:
    return int(fields[name]) if fields.get(name) else None
