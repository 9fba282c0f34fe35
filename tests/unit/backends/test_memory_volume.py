"""The memory volume passes the backends' suite, as a file system and as an object store."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from backends.conformance import BackendConformance
from backends.conformance.words import FOLDER, SCOPE, SESSION, op, path
from backends.contract import Volume
from backends.memory import MemoryVolume
from domain.errors import QuotaExceededError
from domain.ids import VolumeName


@pytest.mark.anyio
class TestTreeVolume(BackendConformance):
    @asynccontextmanager
    async def open_volume(self) -> AsyncIterator[Volume]:
        yield MemoryVolume(VolumeName("tree"))


@pytest.mark.anyio
class TestObjectVolume(BackendConformance):
    @asynccontextmanager
    async def open_volume(self) -> AsyncIterator[Volume]:
        yield MemoryVolume(VolumeName("objects"), "objects", part_bytes=4)


@pytest.mark.anyio
@pytest.mark.parametrize("kind", ["tree", "objects"])
async def test_a_full_volume_keeps_what_fitted(kind: str) -> None:
    volume = MemoryVolume(VolumeName("small"), kind, total_bytes=5, part_bytes=2)
    await volume.create_scope(op(), SCOPE, None)
    await volume.create_folder(op(), FOLDER, 0o755)
    files = volume.files(FOLDER)
    await files.create_staging(SESSION, destination=path("a"), length=8)
    staging = await files.open_staging(SESSION)
    with pytest.raises(QuotaExceededError):
        await staging.append([b"12345678"])
    assert staging.offset == 5
    await files.discard_staging(SESSION)
    assert (await volume.capacity()).used_bytes == 0
