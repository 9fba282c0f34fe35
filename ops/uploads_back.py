"""Unfinished uploads of which Redis has lost the record, made known again from what lies beside their bytes."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from typing import Any, Final

from actors.strays import uploads_without_record
from backends.contract import Volume
from backends.powers import StagedUpload
from bus.contract import Bus
from bus.relay import Relays
from domain.errors import NotFoundError, QuotaExceededError
from domain.ids import VFolderId, VolumeName
from gateway.observer import SilentObserver
from gateway.quotas import build_quotas
from gateway.settings import GatewaySettings
from gateway.uploads.uploads import Uploads

#: An upload is no difference while somebody may be writing its record; nobody does for so long, in seconds.
_YOUNG_SECONDS: Final = 10.0

Row = dict[str, Any]


class UploadsBack:
    """One pass over volumes."""

    def __init__(
        self,
        bus: Bus,
        volumes: Mapping[VolumeName, Volume],
        relays: Relays,
        settings: GatewaySettings,
        lease_seconds: float,
        *,
        dry_run: bool,
    ) -> None:
        quotas = build_quotas(bus, volumes, relays, settings)
        self._bus = bus
        uploads = Uploads(bus, volumes, quotas, relays, settings, lease_seconds, SilentObserver())
        self._lost = uploads.lost
        self._dry_run = dry_run

    async def differences(self, volume: Volume) -> AsyncIterator[Row]:
        """Uploads on a volume without a record, which get one."""
        async for folder in volume.folders():
            before = self._bus.clock.now() - _YOUNG_SECONDS
            for staged in await uploads_without_record(volume.files(folder), self._bus.records, before):
                with suppress(NotFoundError):  # its client has come back meanwhile, and dropped or finished it
                    yield await self._row(VolumeName(volume.name), folder, staged)

    async def _row(self, volume: VolumeName, folder: VFolderId, staged: StagedUpload) -> Row:
        row = {"volume": str(volume), "subject": str(folder)}
        what = f"unfinished upload {staged.session} is on the volume, but has no record"
        try:
            noted = await self._lost.noted(volume, folder, staged.session)
            if noted is not None and not self._dry_run:
                await self._lost.revive(noted)
        except QuotaExceededError as error:
            return {**row, "difference": f"{what}: {error.message}", "action": "none"}
        if noted is None:
            return {**row, "difference": f"{what}, nor a note of what it was", "action": "none"}
        return {**row, "difference": what, "action": "added"}
