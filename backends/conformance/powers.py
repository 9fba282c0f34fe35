"""What only some volumes can, tested where they say so."""

from __future__ import annotations

from uuid import uuid4

import pytest

from backends.conformance.opening import OpensVolume
from backends.conformance.words import FOLDER, NO_SCOPE, OTHER, OTHER_SCOPE, get, make_directory, op, path, put
from backends.powers import (
    Capability,
    ClonesFolders,
    CountsFast,
    KeepsWork,
    LimitsFolders,
    Mountable,
    MovesFolders,
    ReportsMetrics,
    TakesSnapshots,
    Work,
    capabilities,
)
from domain.errors import ConflictError, NotFoundError, Subject
from domain.ids import VFolderId
from domain.paths import ROOT
from domain.tasks import TaskKind
from domain.usage import Quota


class Powers(OpensVolume):
    """What only some volumes can, tested where they say so."""

    async def test_what_a_volume_advertises_is_what_it_can(self) -> None:
        async with self.open_volume() as volume:
            offered = set(capabilities(volume))
            assert {Capability.VFOLDER, Capability.QUOTA} <= offered
            assert (Capability.SNAPSHOT in offered) == isinstance(volume, TakesSnapshots)
            assert (Capability.CLONE in offered) == isinstance(volume, ClonesFolders)

    async def test_a_clone_is_whole_and_its_own(self) -> None:
        async with self.with_folder() as (volume, files):
            if not isinstance(volume, ClonesFolders):
                return
            await put(files, "a/b", b"1")
            cloning = op()
            for _ in range(2):
                await volume.clone_folder(cloning, FOLDER, OTHER)
            await put(files, "a/b", b"changed")
            assert await get(volume.files(OTHER), "a/b") == b"1"
            with pytest.raises(ConflictError):
                await volume.clone_folder(op(), FOLDER, OTHER)

    async def test_a_folder_moves_once(self) -> None:
        async with self.with_folder() as (volume, files):
            if not isinstance(volume, MovesFolders):
                return
            await put(files, "a/b", b"1")
            await volume.create_scope(op(), OTHER_SCOPE, None)
            there, moving = VFolderId(OTHER_SCOPE, OTHER.uuid), op()
            for _ in range(2):
                await volume.move_folder(moving, FOLDER, there)
            assert await get(volume.files(there), "a/b") == b"1"
            with pytest.raises(NotFoundError) as caught:
                await volume.files(FOLDER).stat(ROOT)
            assert caught.value.subject is Subject.VFOLDER
            with pytest.raises(NotFoundError):
                await volume.move_folder(op(), FOLDER, OTHER)
            await volume.create_folder(op(), FOLDER, 0o755)
            with pytest.raises(ConflictError):
                await volume.move_folder(op(), there, FOLDER)
            assert await get(volume.files(there), "a/b") == b"1"
            with pytest.raises(NotFoundError) as caught:
                await volume.move_folder(op(), there, VFolderId(NO_SCOPE, OTHER.uuid))
            assert caught.value.subject is Subject.QUOTA_SCOPE
            assert {found async for found in volume.folders()} == {FOLDER, there}

    async def test_limits_of_a_folder_go_where_it_goes(self) -> None:
        async with self.with_folder() as (volume, _):
            if not isinstance(volume, LimitsFolders):
                return
            assert await volume.folder_quota(FOLDER) == Quota()
            await volume.set_folder_quota(op(), FOLDER, 10, 5)
            assert await volume.folder_quota(FOLDER) == Quota(limit_bytes=10, soft_bytes=5)
            with pytest.raises(NotFoundError):
                await volume.set_folder_quota(op(), OTHER, 1, None)
            if isinstance(volume, MovesFolders):
                await volume.move_folder(op(), FOLDER, OTHER)
                assert await volume.folder_quota(OTHER) == Quota(limit_bytes=10, soft_bytes=5)
                assert await volume.folder_quota(FOLDER) == Quota()
                await volume.move_folder(op(), OTHER, FOLDER)
            await volume.set_folder_quota(op(), FOLDER, None, None)
            assert await volume.folder_quota(FOLDER) == Quota()

    async def test_work_is_listed_until_it_ends(self) -> None:
        async with self.with_folder() as (volume, _):
            if not isinstance(volume, KeepsWork):
                return
            begun = op()
            work = Work(begun.id, TaskKind.SCRUB, FOLDER, {"keep": True})
            for _ in range(2):
                await volume.begin_work(begun, work)
            assert list(await volume.works()) == [work]
            assert await volume.checkpointed(work.id) == b""
            for state in (b"half", b"more than half"):
                await volume.checkpoint(work.id, state)
                assert await volume.checkpointed(work.id) == state
            assert await volume.end_work(op(), uuid4()) is None
            ending = op()
            for _ in range(2):
                assert await volume.end_work(ending, work.id) == work
            assert await volume.end_work(op(), work.id) is None, "somebody else has ended it"
            assert list(await volume.works()) == []
            await volume.begin_work(begun, work)
            assert list(await volume.works()) == [], "a repetition does not begin it again"
            for call in (volume.checkpointed(work.id), volume.checkpoint(work.id, b"late")):
                with pytest.raises(NotFoundError):
                    await call

    async def test_snapshots_are_kept_by_name(self) -> None:
        async with self.with_folder() as (volume, _):
            if not isinstance(volume, TakesSnapshots):
                return
            await volume.create_snapshot(op(), FOLDER, "one")
            with pytest.raises(ConflictError):
                await volume.create_snapshot(op(), FOLDER, "one")
            assert list(await volume.snapshots(FOLDER)) == ["one"]
            await volume.delete_snapshot(op(), FOLDER, "one")
            with pytest.raises(NotFoundError):
                await volume.delete_snapshot(op(), FOLDER, "one")

    async def test_counting_fast_gives_what_counting_gives(self) -> None:
        async with self.with_folder() as (volume, files):
            if not isinstance(volume, CountsFast):
                return
            await put(files, "a", b"123")
            assert (await volume.fast_usage(FOLDER)).file_bytes == 3

    async def test_metrics_are_numbers_with_units(self) -> None:
        async with self.open_volume() as volume:
            if not isinstance(volume, ReportsMetrics):
                return
            assert all(isinstance(value, float) for value in (await volume.metrics()).values())

    async def test_a_mount_names_the_folder_or_a_directory_in_it(self) -> None:
        async with self.with_folder() as (volume, files):
            if not isinstance(volume, Mountable):
                return
            await make_directory(files, path("d"))
            whole = await volume.mount(FOLDER, ROOT)
            assert (await volume.mount(FOLDER, path("d"))).path == f"{whole.path}/d"
            assert (await volume.mount(FOLDER, path("nope"))).path == whole.path
            with pytest.raises(NotFoundError):
                await volume.mount(OTHER, ROOT)
