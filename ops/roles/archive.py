"""The archive: what the streams held, kept in files."""

from __future__ import annotations

import os
import socket
from pathlib import Path

from bus.streams import open_streams_bus
from ops.archive.archive import Archive, Archiver
from ops.generations import Turn
from ops.settings import Settings


async def run(settings: Settings, turn: Turn, *, directory: Path, once: bool) -> None:
    """Follow the streams into an archive until its turn ends."""
    node = f"{socket.gethostname()}.archive.{os.getpid()}"
    async with open_streams_bus(settings.bus, node) as bus:
        turn.serves()
        archiver = Archiver(bus, Archive(directory), list(settings.volumes))
        if once:
            turn.stop.set()
        await archiver.run(turn.stop)
