"""Uploads that grow in a machine that loses its power: every byte one is said to have is the one that was sent.

`storing.py PLACE MODE`: looks at the uploads of its lives before, and begins another one. With the mode `check` it
ends when it has looked.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from pathlib import Path
from uuid import uuid4

import anyio
from power.saying import say, told_outside

from backends.contract import FileAccess, Operation
from backends.mounted import appending
from backends.observer import SilentObserver
from backends.registry import Site
from backends.settings import ThreadSettings
from backends.vfs import open_volume
from domain.ids import QuotaScopeId, VFolderId, VolumeName
from domain.paths import RelativePath

SCOPE = QuotaScopeId.parse("user:11111111-1111-4111-8111-111111111111")
PIECE = b"as it was sent, " * (32 << 10)
#: Pause between two pieces, in seconds: so long that some bytes are on their way to the disk at any time.
PAUSE = 0.05
#: Bytes after which an upload is synced here: some that were synced, and some that were not, in each life.
SYNC_BYTES = 48 << 20
READ_BYTES = 4 << 20


async def check(files: FileAccess) -> None:
    """Look at all uploads."""
    found = []
    for staged in await files.stagings():
        staging = await files.open_staging(staged.session)
        handle = await files.read_staging(staged.session)
        assert handle.stat.size_bytes == staging.offset
        for start in range(0, staging.offset, READ_BYTES):
            data = await handle.read(start, READ_BYTES)
            assert data == PIECE * (len(data) // len(PIECE)), f"not as sent: {start} to {start + len(data)}"
        found.append(staging.offset)
        await handle.close()
        await staging.close()
    say("checked", len(found), sum(found), *found)


async def live(files: FileAccess, place: Path) -> None:
    """Store a growing upload, for ever, while something else is synced all the time."""
    session = uuid4().hex
    await files.create_staging(session, destination=RelativePath.parse("a"), length=None)
    staging = await files.open_staging(session)
    threading.Thread(target=keep_syncing, args=(place,), daemon=True).start()
    say("lives")
    while True:
        await staging.append([PIECE])
        await anyio.sleep(PAUSE)


def keep_syncing(place: Path) -> None:
    """What Redis does with its log: it brings the file system's journal to the disk again and again."""
    with (place / "log").open("ab", buffering=0) as log:
        while True:
            log.write(b"a command\n")
            os.fsync(log.fileno())
            time.sleep(0.01)


async def main(place: Path, mode: str) -> None:
    appending._SYNC_BYTES = SYNC_BYTES
    path = place / "volume"
    is_new = not path.exists()
    path.mkdir(exist_ok=True)
    site = Site(VolumeName("disk"), {"path": str(path)}, ThreadSettings(), SilentObserver())
    async with open_volume(site) as volume:
        epoch = await volume.epoch() + 1
        await volume.take_over(epoch)
        folder = VFolderId(SCOPE, SCOPE.uuid)
        if is_new:
            await volume.create_scope(Operation(uuid4(), epoch), SCOPE, None)
            await volume.create_folder(Operation(uuid4(), epoch), folder, 0o755)
        files = volume.files(folder)
        await check(files)
        if mode != "check":
            await live(files, place)


if __name__ == "__main__":
    with told_outside():
        anyio.run(main, Path(sys.argv[1]), sys.argv[2])
