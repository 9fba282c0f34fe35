"""Folders: made, deleted, purged, found and counted; and the volume they are on."""

from __future__ import annotations

import anyio
import pytest

from backends.conformance.opening import OpensVolume
from backends.conformance.words import FOLDER, OTHER, SCOPE, SESSION, names, op, path, put
from backends.contract import Purge
from domain.errors import ConflictError, NotFoundError, Subject
from domain.paths import ROOT
from domain.usage import HealthStatus


class Folders(OpensVolume):
    """Folders: made, deleted, purged, found and counted; and the volume they are on."""

    async def test_a_folder_is_made_once(self) -> None:
        async with self.open_volume() as volume:
            await volume.create_scope(op(), SCOPE, None)
            first = op()
            await volume.create_folder(first, FOLDER, 0o755)
            await put(volume.files(FOLDER), "kept")
            await volume.create_folder(first, FOLDER, 0o755)
            with pytest.raises(ConflictError) as caught:
                await volume.create_folder(op(), FOLDER, 0o755)
            assert caught.value.facts["reason"] == "exists"
            assert await names(volume.files(FOLDER)) == {"kept"}

    async def test_folders_side_by_side_do_not_meet(self) -> None:
        async with self.with_folder() as (volume, files):
            await volume.create_folder(op(), OTHER, 0o755)
            await put(files, "a")
            assert await names(volume.files(OTHER)) == set()

    async def test_a_deleted_folder_is_in_the_trash_until_it_is_purged(self) -> None:
        async with self.with_folder() as (volume, files):
            await put(files, "a/b", b"123")
            deletion = op()
            await volume.delete_folder(deletion, FOLDER)
            await volume.delete_folder(deletion, FOLDER)
            with pytest.raises(NotFoundError):
                await files.stat(ROOT)
            assert [(entry.id, entry.folder) for entry in await volume.trash()] == [(deletion.id, FOLDER)]
            removed = 0
            with anyio.fail_after(10):
                while not (purge := await volume.purge(deletion.id)).finished:
                    removed += purge.removed
            assert removed + purge.removed > 0
            assert await volume.purge(deletion.id) == Purge(0, finished=True)
            for _ in range(2):
                await volume.drop_trash(deletion.id)
            assert await volume.purge(deletion.id) == Purge(0, finished=True, gone=True)
            assert await volume.trash() == []

    async def test_a_purged_deletion_is_still_known_until_it_is_dropped(self) -> None:
        async with self.with_folder() as (volume, _):
            deletion = op()
            await volume.delete_folder(deletion, FOLDER)
            while not (await volume.purge(deletion.id)).finished:
                pass
            await volume.delete_folder(deletion, FOLDER)

    async def test_deleting_what_is_not_there_is_told(self) -> None:
        async with self.with_folder() as (volume, _):
            with pytest.raises(NotFoundError) as caught:
                await volume.delete_folder(op(), OTHER)
            assert caught.value.subject is Subject.VFOLDER
            assert await volume.trash() == []

    async def test_a_folder_can_be_made_again_while_the_old_one_is_purged(self) -> None:
        async with self.with_folder() as (volume, files):
            await put(files, "old")
            await volume.delete_folder(op(), FOLDER)
            await volume.create_folder(op(), FOLDER, 0o755)
            assert await names(files) == set()

    async def test_folders_are_found_by_looking(self) -> None:
        async with self.with_folder() as (volume, _):
            await volume.create_folder(op(), OTHER, 0o755)
            assert {folder async for folder in volume.folders()} == {FOLDER, OTHER}

    async def test_usage_counts_files_and_leaves_out_unfinished_uploads(self) -> None:
        async with self.with_folder() as (volume, files):
            await put(files, "a", b"12345")
            await put(files, "d/b", b"123")
            await files.create_staging(SESSION, destination=path("c"), length=4)
            staging = await files.open_staging(SESSION)
            await staging.append([b"1234"])
            await staging.close()
            usage = await volume.usage(FOLDER, staging=False)
            assert (usage.files, usage.file_bytes) == (2, 8)

    async def test_a_volume_tells_its_size_and_health(self) -> None:
        async with self.open_volume() as volume:
            capacity = await volume.capacity()
            assert 0 <= capacity.used_bytes <= capacity.total_bytes
            assert (await volume.health()).status is HealthStatus.HEALTHY
