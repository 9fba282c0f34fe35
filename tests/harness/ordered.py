"""Volumes on a file system that keeps the order of changes, so that they have an outbox, wherever tests run."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import uuid4

import pytest

from backends.contract import Operation
from backends.mounted import beneath
from backends.mounted.mountinfo import MountedAs
from backends.observer import SilentObserver
from backends.registry import Site
from backends.settings import ThreadSettings
from backends.vfs import open_volume
from backends.vfs.volume import VfsVolume
from domain.ids import QuotaScopeId, VFolderId, VolumeName

SCOPE = QuotaScopeId.parse("user:11111111-1111-4111-8111-111111111111")
FOLDER = VFolderId(SCOPE, uuid4())


def keep_order(patch: pytest.MonkeyPatch) -> None:
    """Have whatever the tests run on taken for such a file system."""
    patch.setattr(beneath, "mounted_as", lambda path: MountedAs("/", "direct", "", "", "ext4"))


@asynccontextmanager
async def open_ordered(path: Path) -> AsyncIterator[VfsVolume]:
    """A volume that has SCOPE and FOLDER; after `keep_order`."""
    site = Site(VolumeName("disk"), {"path": str(path)}, ThreadSettings(), SilentObserver())
    async with open_volume(site) as opened:
        await opened.take_over(1)
        await opened.create_scope(Operation(uuid4(), 1), SCOPE, None)
        await opened.create_folder(Operation(uuid4(), 1), FOLDER, 0o755)
        yield opened
