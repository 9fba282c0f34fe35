"""Making dead letters."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from uuid import UUID

import anyio
from pydantic import SecretStr

from bus.settings import BusSettings
from bus.streams import open_streams_bus
from domain.commands import CreateVFolder
from domain.envelope import wrap_command
from domain.ids import VFolderId, VolumeName

NONSENSE: Mapping[str, object] = {"folder": "nonsense"}


def publish_nonsense(url: str, folder: str, body: Mapping[str, object] = NONSENSE) -> UUID:
    """Publish a command about a folder whose body makes no sense; returns its id when it was set aside."""

    async def publish() -> UUID:
        async with open_streams_bus(BusSettings(url=SecretStr(url)), "test") as bus:
            command = CreateVFolder(folder=VFolderId.parse(folder))
            good = wrap_command(command, id=bus.clock.new_id(), volume=VolumeName("disk"), time=bus.clock.now())
            bad = replace(good, body=body)
            await bus.commands.request(bad, timeout_seconds=20)
            return bad.id

    return anyio.run(publish)
