"""What every volume does, as tests."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from uuid import UUID, uuid4

import anyio
import pytest

from backends.contract import EnsuredScope, EntryKind, FileAccess, Operation, SmallFile, Volume
from backends.powers import (
    Capability,
    ClonesFolders,
    CountsFast,
    KeepsWork,
    LimitsFolders,
    Mountable,
    MovesFolders,
    ReadsAtOnce,
    ReportsMetrics,
    TakesSnapshots,
    Work,
    capabilities,
)
from domain.errors import ConflictError, FencedError, InvalidPathError, NotFoundError, Subject
from domain.ids import QuotaScopeId, ScopeKind, VFolderId
from domain.paths import ROOT, RelativePath
from domain.tasks import TaskKind
from domain.usage import HealthStatus, Quota

SCOPE = QuotaScopeId(ScopeKind.USER, UUID("11111111-1111-4111-8111-111111111111"))
FOLDER = VFolderId(SCOPE, UUID("aabb0001-0000-4000-8000-000000000001"))
OTHER_SCOPE = QuotaScopeId.parse("project:22222222-2222-4222-8222-222222222222")
OTHER = VFolderId(SCOPE, UUID("aabb0002-0000-4000-8000-000000000002"))
NO_SCOPE = QuotaScopeId.parse("user:77777777-7777-4777-8777-777777777777")
SESSION = "0123456789abcdef0123456789abcdef"


def op() -> Operation:
    """A new operation."""
    return Operation(uuid4())


def path(text: str) -> RelativePath:
    """Short for parsing."""
    return RelativePath.parse(text)


async def put(files: FileAccess, name: str, data: bytes = b"x") -> None:
    """Upload a file in one go."""
    session = uuid4().hex
    await files.create_staging(session, destination=path(name), length=len(data))
    staging = await files.open_staging(session)
    await staging.append([data])
    await staging.close()
    await files.commit_staging(session, path(name))


async def kept(files: FileAccess, name: str) -> bytes | None:
    """The digest kept with a file."""
    handle = await files.open_read(path(name))
    try:
        return await handle.sha256()
    finally:
        await handle.close()


async def get(files: FileAccess, name: str) -> bytes:
    """Read a whole file."""
    handle = await files.open_read(path(name))
    try:
        return await handle.read(0, handle.stat.size_bytes + 1)
    finally:
        await handle.close()


async def names(files: FileAccess, directory: str = ".") -> set[str]:
    """Names in a directory."""
    return {entry.name for entry in (await files.listing(path(directory), limit=1000)).entries}


class BackendConformance:
    """Subclass it and give `open_volume`."""

    def open_volume(self) -> AbstractAsyncContextManager[Volume]:
        """The volume of this test, empty at the first opening."""
        raise NotImplementedError

    @asynccontextmanager
    async def with_folder(self) -> AsyncIterator[tuple[Volume, FileAccess]]:
        """A volume with one folder, and its files."""
        async with self.open_volume() as volume:
            await volume.create_scope(op(), SCOPE, None)
            await volume.create_folder(op(), FOLDER, 0o755)
            yield volume, volume.files(FOLDER)

    # --- owners ---------------------------------------------------------------------------------

    async def test_epochs_only_grow(self) -> None:
        async with self.open_volume() as volume:
            assert await volume.epoch() == 0
            for epoch in (1, 2, 7):
                await volume.take_over(epoch)
                assert await volume.epoch() == epoch
            for epoch in (0, 3, 7):
                with pytest.raises(FencedError):
                    await volume.take_over(epoch)
            assert await volume.epoch() == 7

    async def test_a_journal_is_read_by_every_later_owner(self) -> None:
        async with self.open_volume() as volume:
            assert await volume.journal() == []
            await volume.take_over(1)
            await volume.append_journal(1, [b"a", b"\0"])
            await volume.append_journal(1, [b"b" * 70_000])
            await volume.take_over(5)
            await volume.append_journal(5, [b"c"])
            await volume.append_journal(1, [b"late"])
            found = await volume.journal()
            assert sorted(found) == [b"\0", b"a", b"b" * 70_000, b"c", b"late"]
            assert found.index(b"a") < found.index(b"b" * 70_000) < found.index(b"c")

    async def test_an_owner_that_comes_too_late_changes_no_folder(self) -> None:
        async with self.with_folder() as (volume, _):
            late: tuple[Awaitable[object], ...] = (
                volume.delete_folder(op(), FOLDER),
                volume.create_folder(op(), OTHER, 0o755),
                volume.set_quota(op(), SCOPE, 1),
                volume.delete_scope(op(), SCOPE),
                volume.create_scope(op(), OTHER_SCOPE, None),
                volume.ensure_scope(op(), OTHER_SCOPE),
            )
            await volume.take_over(3)
            for change in late:
                with pytest.raises(FencedError):
                    await change
            assert [folder async for folder in volume.folders()] == [FOLDER]
            assert (await volume.quota(SCOPE)).limit_bytes is None
            assert await volume.trash() == []
            with pytest.raises(NotFoundError):
                await volume.quota(OTHER_SCOPE)

    async def test_a_new_owner_finds_what_the_last_one_did(self) -> None:
        async with self.with_folder() as (volume, _):
            creation, deletion = uuid4(), uuid4()
            await volume.create_folder(Operation(creation), OTHER, 0o755)
            await volume.delete_folder(Operation(deletion), FOLDER)
            await volume.take_over(1)
            await volume.create_folder(Operation(creation, 1), OTHER, 0o755)
            await volume.delete_folder(Operation(deletion, 1), FOLDER)
            assert [entry.id for entry in await volume.trash()] == [deletion]
            with pytest.raises(ConflictError):
                await volume.create_folder(Operation(uuid4(), 1), OTHER, 0o755)

    # --- scopes ---------------------------------------------------------------------------------

    async def test_a_scope_is_made_once(self) -> None:
        async with self.open_volume() as volume:
            first = op()
            await volume.create_scope(first, SCOPE, 10)
            await volume.create_scope(first, SCOPE, 10)
            with pytest.raises(ConflictError) as caught:
                await volume.create_scope(op(), SCOPE, 10)
            assert caught.value.facts["reason"] == "exists"
            assert (await volume.quota(SCOPE)).limit_bytes == 10

    async def test_ensuring_a_scope_tells_who_made_it_however_often_it_is_asked(self) -> None:
        async with self.open_volume() as volume:
            first, second = op(), op()
            assert await volume.ensure_scope(first, SCOPE) == EnsuredScope(made=True, quota=Quota())
            assert (await volume.ensure_scope(first, SCOPE)).made
            await volume.set_quota(op(), SCOPE, 10, 5)
            assert await volume.ensure_scope(second, SCOPE) == EnsuredScope(
                made=False, quota=Quota(limit_bytes=10, soft_bytes=5)
            )

    async def test_an_empty_scope_can_be_deleted_once(self) -> None:
        async with self.open_volume() as volume:
            await volume.create_scope(op(), SCOPE, None)
            deletion = op()
            await volume.delete_scope(deletion, SCOPE)
            await volume.delete_scope(deletion, SCOPE)
            with pytest.raises(NotFoundError) as caught:
                await volume.delete_scope(op(), SCOPE)
            assert caught.value.subject is Subject.QUOTA_SCOPE
            await volume.create_scope(op(), SCOPE, None)

    async def test_a_scope_with_folders_stays(self) -> None:
        async with self.with_folder() as (volume, _):
            with pytest.raises(ConflictError) as caught:
                await volume.delete_scope(op(), SCOPE)
            assert caught.value.facts["reason"] == "not-empty"

    async def test_a_scope_whose_folders_are_gone_can_be_deleted(self) -> None:
        async with self.with_folder() as (volume, _):
            await volume.delete_folder(op(), FOLDER)
            await volume.delete_scope(op(), SCOPE)

    async def test_a_quota_is_set_and_unset(self) -> None:
        async with self.open_volume() as volume:
            await volume.create_scope(op(), SCOPE, None)
            assert (await volume.quota(SCOPE)).limit_bytes is None
            for limit in (5, 0, None):
                await volume.set_quota(op(), SCOPE, limit)
                assert (await volume.quota(SCOPE)).limit_bytes == limit

    async def test_a_quota_needs_its_scope(self) -> None:
        async with self.open_volume() as volume:
            for call in (volume.quota(SCOPE), volume.set_quota(op(), SCOPE, 1)):
                with pytest.raises(NotFoundError) as caught:
                    await call
                assert caught.value.subject is Subject.QUOTA_SCOPE

    # --- folders --------------------------------------------------------------------------------

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

    async def test_a_folder_needs_its_scope(self) -> None:
        async with self.open_volume() as volume:
            with pytest.raises(NotFoundError) as caught:
                await volume.create_folder(op(), FOLDER, 0o755)
            assert caught.value.subject is Subject.QUOTA_SCOPE

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
            assert (await volume.purge(deletion.id)).finished
            for _ in range(2):
                await volume.drop_trash(deletion.id)
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

    # --- names ----------------------------------------------------------------------------------

    @pytest.mark.parametrize(
        "call",
        [
            lambda files: files.stat(ROOT),
            lambda files: files.listing(ROOT, limit=1),
            lambda files: files.open_read(path("a")),
            lambda files: files.make_directory(path("a"), parents=True, exist_ok=True),
            lambda files: files.move(path("a"), path("b")),
            lambda files: files.delete(path("a"), recursive=True),
            lambda files: files.create_staging(SESSION, destination=path("a"), length=1),
            lambda files: files.open_staging(SESSION),
            lambda files: files.staged_bytes(SESSION),
            lambda files: files.commit_staging(SESSION, path("a")),
            lambda files: files.discard_staging(SESSION),
        ],
    )
    async def test_a_missing_folder_is_told_as_such(self, call: Callable[[FileAccess], Awaitable[object]]) -> None:
        async with self.with_folder() as (volume, _):
            with pytest.raises(NotFoundError) as caught:
                await call(volume.files(OTHER))
            assert caught.value.subject is Subject.VFOLDER

    async def test_entries_are_looked_at(self) -> None:
        async with self.with_folder() as (_, files):
            await put(files, "a", b"12345")
            await files.make_directory(path("d"), parents=False, exist_ok=False)
            known = await files.stat(path("a"))
            assert (known.kind, known.size_bytes) == (EntryKind.FILE, 5)
            assert (await files.stat(path("d"))).kind is EntryKind.DIRECTORY
            assert (await files.stat(ROOT)).kind is EntryKind.DIRECTORY
            with pytest.raises(NotFoundError) as caught:
                await files.stat(path("nope"))
            assert caught.value.subject is Subject.FILE

    async def test_another_file_of_the_same_name_has_another_identity(self) -> None:
        async with self.with_folder() as (_, files):
            await put(files, "a")
            before = await files.stat(path("a"))
            await put(files, "a")
            after = await files.stat(path("a"))
            assert (before.identity, before.modified_ns) != (after.identity, after.modified_ns)

    async def test_a_directory_is_listed_up_to_a_limit(self) -> None:
        async with self.with_folder() as (_, files):
            for number in range(5):
                await put(files, f"d/{number}")
            full = await files.listing(path("d"), limit=5)
            assert {entry.name for entry in full.entries} == {"0", "1", "2", "3", "4"}
            assert not full.truncated
            part = await files.listing(path("d"), limit=3)
            assert len(part.entries) == 3
            assert part.truncated

    async def test_listing_what_is_no_directory_is_told(self) -> None:
        async with self.with_folder() as (_, files):
            await put(files, "a")
            with pytest.raises(ConflictError) as caught:
                await files.listing(path("a"), limit=1)
            assert caught.value.facts["reason"] == "not-a-directory"
            with pytest.raises(NotFoundError):
                await files.listing(path("nope"), limit=1)

    async def test_directories_are_made(self) -> None:
        async with self.with_folder() as (_, files):
            with pytest.raises(NotFoundError):
                await files.make_directory(path("a/b"), parents=False, exist_ok=False)
            await files.make_directory(path("a/b/c"), parents=True, exist_ok=False)
            await files.make_directory(path("a/b/c"), parents=True, exist_ok=True)
            with pytest.raises(ConflictError) as caught:
                await files.make_directory(path("a/b"), parents=True, exist_ok=False)
            assert caught.value.facts["reason"] == "exists"
            assert await names(files, "a/b") == {"c"}

    async def test_a_directory_is_not_made_over_or_below_a_file(self) -> None:
        async with self.with_folder() as (_, files):
            await put(files, "a")
            for name in ("a", "a/b"):
                with pytest.raises(ConflictError):
                    await files.make_directory(path(name), parents=True, exist_ok=True)
            assert await get(files, "a") == b"x"

    async def test_a_file_is_moved_and_replaces_a_file(self) -> None:
        async with self.with_folder() as (_, files):
            await put(files, "a", b"new")
            await put(files, "d/b", b"old")
            assert not await files.move(path("a"), path("c"))
            assert await files.move(path("c"), path("d/b"))
            assert await get(files, "d/b") == b"new"
            assert await names(files) == {"d"}

    async def test_a_directory_is_moved_with_what_it_holds(self) -> None:
        async with self.with_folder() as (_, files):
            await put(files, "a/b/c", b"deep")
            await files.move(path("a"), path("z"))
            assert await get(files, "z/b/c") == b"deep"
            assert await names(files) == {"z"}

    async def test_moves_that_make_no_sense_change_nothing(self) -> None:
        async with self.with_folder() as (_, files):
            await put(files, "d/f")
            await put(files, "g")
            await files.make_directory(path("e"), parents=False, exist_ok=False)
            for source, target, reason in (
                ("d", "d/e", "into-itself"),
                ("g", "e", "is-a-directory"),
                ("d", "g", "exists"),
                ("g", "d/f/x", "not-a-directory"),
            ):
                with pytest.raises(ConflictError) as caught:
                    await files.move(path(source), path(target))
                assert caught.value.facts["reason"] == reason
            for source, target in (("nope", "x"), ("g", "no/such/x")):
                with pytest.raises(NotFoundError):
                    await files.move(path(source), path(target))
            for source, target in ((".", "x"), ("g", ".")):
                with pytest.raises((InvalidPathError, ConflictError)):
                    await files.move(path(source), path(target))
            await files.move(path("g"), path("g"))
            assert await names(files) == {"d", "e", "g"}

    async def test_entries_are_deleted(self) -> None:
        async with self.with_folder() as (_, files):
            await put(files, "a")
            await put(files, "d/b/c")
            assert await files.delete(path("a"), recursive=False)
            assert not await files.delete(path("a"), recursive=False)
            with pytest.raises(ConflictError) as caught:
                await files.delete(path("d"), recursive=False)
            assert caught.value.facts["reason"] == "is-a-directory"
            assert await files.delete(path("d"), recursive=True)
            assert await names(files) == set()

    async def test_deleting_the_folder_itself_empties_it(self) -> None:
        async with self.with_folder() as (_, files):
            await put(files, "a")
            await put(files, "d/b")
            with pytest.raises(ConflictError):
                await files.delete(ROOT, recursive=False)
            await files.delete(ROOT, recursive=True)
            assert await names(files) == set()

    # --- bytes ----------------------------------------------------------------------------------

    async def test_an_upload_appears_whole_when_it_is_committed(self) -> None:
        async with self.with_folder() as (_, files):
            await files.create_staging(SESSION, destination=path("a/b"), length=10)
            staging = await files.open_staging(SESSION)
            assert staging.offset == 0
            await staging.append([b"01234", b"567"])
            await staging.append([b"89"])
            assert staging.offset == 10
            await staging.close()
            assert "a" not in await names(files)
            committed = await files.commit_staging(SESSION, path("a/b"))
            assert (committed.size_bytes, committed.replaced_bytes) == (10, None)
            assert await get(files, "a/b") == b"0123456789"

    async def test_an_upload_may_begin_with_all_its_bytes(self) -> None:
        async with self.with_folder() as (_, files):
            await put(files, "a", b"before")
            synced = await files.stage_whole(SESSION, b"0123456789", path("a"))
            assert (synced.size_bytes, synced.replaced_bytes) == (10, 6)
            assert await files.staged_bytes(SESSION) == 10
            assert await get(files, "a") == b"before"
            await files.commit_staging(SESSION, path("a"))
            assert await get(files, "a") == b"0123456789"

    async def test_an_upload_with_all_its_bytes_is_not_begun_where_a_directory_is_in_the_way(self) -> None:
        async with self.with_folder() as (_, files):
            await files.make_directory(path("d"), parents=False, exist_ok=False)
            with pytest.raises(ConflictError):
                await files.stage_whole(SESSION, b"abc", path("d"))
            with pytest.raises(NotFoundError):
                await files.staged_bytes(SESSION)

    async def test_the_last_bytes_of_an_upload_are_stored_and_synced_in_one_go(self) -> None:
        async with self.with_folder() as (_, files):
            await put(files, "a", b"before")
            await files.create_staging(SESSION, destination=path("a"), length=8)
            staging = await files.open_staging(SESSION)
            hasher = hashlib.sha256()
            staging.hashers.append(hasher)
            await staging.append([b"012"])
            synced = await staging.append_last([b"34", b"567"], path("a"))
            assert (synced.size_bytes, synced.replaced_bytes, staging.offset) == (8, 6, 8)
            assert hasher.digest() == hashlib.sha256(b"01234567").digest()
            await staging.close()
            assert await get(files, "a") == b"before"
            await files.commit_staging(SESSION, path("a"))
            assert await get(files, "a") == b"01234567"

    async def test_last_bytes_stay_when_a_directory_is_in_the_way_of_an_upload(self) -> None:
        async with self.with_folder() as (_, files):
            await files.make_directory(path("d"), parents=False, exist_ok=False)
            await files.create_staging(SESSION, destination=path("d"), length=3)
            staging = await files.open_staging(SESSION)
            with pytest.raises(ConflictError):
                await staging.append_last([b"abc"], path("d"))
            await staging.close()
            assert await files.staged_bytes(SESSION) == 3
            await files.commit_staging(SESSION, path("e"))
            assert await get(files, "e") == b"abc"

    async def test_an_upload_goes_on_where_it_was_left(self) -> None:
        async with self.with_folder() as (_, files):
            await files.create_staging(SESSION, destination=path("a"), length=8)
            for part in (b"abc", b"def", b"gh"):
                staging = await files.open_staging(SESSION)
                await staging.append([part])
                await staging.close()
            await files.create_staging(SESSION, destination=path("a"), length=8)
            assert await files.staged_bytes(SESSION) == 8
            await files.commit_staging(SESSION, path("a"))
            assert await get(files, "a") == b"abcdefgh"

    async def test_what_is_truncated_is_gone_and_hashers_see_what_is_stored(self) -> None:
        async with self.with_folder() as (_, files):
            await files.create_staging(SESSION, destination=path("a"), length=8)
            staging = await files.open_staging(SESSION)
            hasher = hashlib.sha256()
            staging.hashers.append(hasher)
            await staging.append([b"01", b"23"])
            staging.hashers.clear()
            await staging.append([b"xxxxxx"])
            await staging.truncate(4)
            assert staging.offset == 4
            await staging.append([b"45"])
            await staging.close()
            assert hasher.digest() == hashlib.sha256(b"0123").digest()
            handle = await files.read_staging(SESSION)
            assert await handle.read(1, 100) == b"12345"
            await handle.close()
            await files.commit_staging(SESSION, path("a"))
            assert await get(files, "a") == b"012345"

    async def test_a_digest_stays_with_its_file(self) -> None:
        async with self.with_folder() as (_, files):
            digest = hashlib.sha256(b"12").digest()
            await files.create_staging(SESSION, destination=path("a"), length=2)
            staging = await files.open_staging(SESSION)
            await staging.append([b"12"])
            await staging.close()
            await files.commit_staging(SESSION, path("a"), sha256=digest)
            assert await kept(files, "a") == digest
            await put(files, "a", b"34")
            assert await kept(files, "a") is None
            handle = await files.open_read(path("a"))
            await handle.keep_sha256(digest)
            await handle.close()
            assert await kept(files, "a") == digest

    async def test_few_bytes_are_read_at_once(self) -> None:
        async with self.with_folder() as (_, files):
            await put(files, "a", b"012345")
            known, found = await files.open_or_read(path("a"), lambda stat: (stat.size_bytes - 2, 2))
            assert (known.size_bytes, found) == (6, b"45")
            assert (await files.open_or_read(path("a"), lambda _: (0, 0)))[1] == b""
            _, handle = await files.open_or_read(path("a"), lambda _: None)
            assert not isinstance(handle, bytes)
            assert await handle.read(1, 2) == b"12"
            await handle.close()
            with pytest.raises(NotFoundError):
                await files.open_or_read(path("b"), lambda _: None)

    async def test_what_is_read_on_the_loop_is_the_same(self) -> None:
        async with self.with_folder() as (_, files):
            if not isinstance(files, ReadsAtOnce):
                return
            await put(files, "a", b"012345")
            await files.make_directory(path("d"), parents=False, exist_ok=False)
            few = await files.open_or_read(path("a"), lambda stat: (stat.size_bytes - 2, 2))
            assert files.read_at_once(path("a"), lambda stat: (stat.size_bytes - 2, 2)) in (few[1], None)
            assert files.read_at_once(path("a"), lambda _: (0, 0)) in (b"", None)
            assert files.read_at_once(path("a"), lambda _: (4, 10)) is None  # more than there is
            assert files.read_at_once(path("a"), lambda _: None) is None
            assert files.read_at_once(path("d"), lambda _: (0, 1)) is None
            assert files.read_at_once(path("b"), lambda _: (0, 1)) is None

    async def test_many_files_are_read_in_one_go(self) -> None:
        async with self.with_folder() as (_, files):
            await put(files, "a", b"1")
            await put(files, "d/b", b"22")
            await put(files, "empty", b"")
            await put(files, "long", b"4444")
            names = ["a", "d/b", "nothing", "d", "empty", "long", "a/x"]
            found = await files.read_many([path(name) for name in names], max_bytes=3, then=list)
            assert [read and read[1] for read in found] == [b"1", b"22", None, None, b"", None, None]
            assert found[1] is not None
            assert found[1][0] == await files.stat(path("d/b"))

    async def test_many_files_are_stored_in_one_go(self) -> None:
        async with self.with_folder() as (_, files):
            await put(files, "a", b"before")
            given = {"a": b"1", "d/b": b"22", "d/e/c": b"", "d/x": b"4444", "z": bytes(300_000)}
            stored = await files.store_many(SESSION, [SmallFile(path(name), data) for name, data in given.items()])
            assert list(stored) == [6, None, None, None, None]
            found = await files.read_many([path(name) for name in given], max_bytes=1 << 20, then=list)
            assert [read and read[1] for read in found] == list(given.values())
            assert await files.store_many(SESSION, []) == []

    async def test_of_many_files_those_before_one_that_has_no_place_stay(self) -> None:
        async with self.with_folder() as (_, files):
            await put(files, "d/inside", b"1")
            for wrong, reason in (("d", "is-a-directory"), ("a/below", "not-a-directory")):
                with pytest.raises(ConflictError) as caught:
                    await files.store_many(SESSION, [SmallFile(path(name), b"2") for name in ("a", wrong, "never")])
                assert caught.value.facts["reason"] == reason
                (kept,) = await files.read_many([path("a")], max_bytes=1, then=list)
                assert kept is not None
                assert kept[1] == b"2"
                with pytest.raises(NotFoundError):
                    await files.stat(path("never"))
            with pytest.raises(InvalidPathError):
                await files.store_many(SESSION, [SmallFile(ROOT, b"2")])
            assert sorted(entry.name for entry in (await files.listing(ROOT, limit=10)).entries) == ["a", "d"]

    async def test_a_note_stays_with_an_upload_until_it_is_a_file(self) -> None:
        async with self.with_folder() as (_, files):
            for note in (b"first", b"second"):
                await files.create_staging(SESSION, destination=path("a"), length=1, note=note)
            assert await files.staging_note(SESSION) in (b"first", b""), "where attributes cannot be kept: nothing"
            await files.create_staging("0" * 32, destination=path("b"), length=1)
            assert await files.staging_note("0" * 32) == b""
            await files.commit_staging(SESSION, path("a"))
            with pytest.raises(NotFoundError) as caught:
                await files.staging_note(SESSION)
            assert caught.value.subject is Subject.UPLOAD

    async def test_many_small_chunks_are_one_file(self) -> None:
        async with self.with_folder() as (_, files):
            await files.create_staging(SESSION, destination=path("a"), length=3000)
            staging = await files.open_staging(SESSION)
            await staging.append([bytes([number % 251]) for number in range(3000)])
            await staging.close()
            await files.commit_staging(SESSION, path("a"))
            assert await get(files, "a") == bytes(number % 251 for number in range(3000))

    async def test_an_empty_upload_makes_an_empty_file(self) -> None:
        async with self.with_folder() as (_, files):
            await files.create_staging(SESSION, destination=path("a"), length=0)
            assert (await files.commit_staging(SESSION, path("a"))).size_bytes == 0
            assert await get(files, "a") == b""

    async def test_a_commit_replaces_a_file_and_tells_its_size(self) -> None:
        async with self.with_folder() as (_, files):
            await put(files, "a", b"12345")
            await files.create_staging(SESSION, destination=path("a"), length=0)
            assert (await files.commit_staging(SESSION, path("a"))).replaced_bytes == 5

    async def test_a_commit_may_end_elsewhere_than_it_was_meant_for(self) -> None:
        async with self.with_folder() as (_, files):
            await files.create_staging(SESSION, destination=path("a"), length=1)
            staging = await files.open_staging(SESSION)
            await staging.append([b"x"])
            await staging.close()
            await files.commit_staging(SESSION, path("b/c"))
            assert await get(files, "b/c") == b"x"
            assert "a" not in await names(files)

    async def test_a_commit_onto_a_directory_or_below_a_file_keeps_the_upload(self) -> None:
        async with self.with_folder() as (_, files):
            await put(files, "f")
            await put(files, "d/x")
            await files.create_staging(SESSION, destination=path("d"), length=0)
            for target, reason in (("d", "is-a-directory"), ("f/x", "not-a-directory")):
                with pytest.raises(ConflictError) as caught:
                    await files.commit_staging(SESSION, path(target))
                assert caught.value.facts["reason"] == reason
            with pytest.raises((InvalidPathError, ConflictError)):
                await files.commit_staging(SESSION, ROOT)
            await files.commit_staging(SESSION, path("e"))

    async def test_a_finished_or_discarded_upload_is_gone(self) -> None:
        async with self.with_folder() as (_, files):
            await files.create_staging(SESSION, destination=path("a"), length=0)
            await files.commit_staging(SESSION, path("a"))
            other = uuid4().hex
            await files.create_staging(other, destination=path("b"), length=0)
            for _ in range(2):
                await files.discard_staging(other)
            for session in (SESSION, other):
                for call in (
                    files.open_staging(session),
                    files.staged_bytes(session),
                    files.read_staging(session),
                    files.commit_staging(session, path("c")),
                ):
                    with pytest.raises(NotFoundError) as caught:
                        await call
                    assert caught.value.subject is Subject.UPLOAD

    async def test_a_file_is_read_in_parts(self) -> None:
        async with self.with_folder() as (_, files):
            await put(files, "a", b"0123456789")
            handle = await files.open_read(path("a"))
            assert handle.stat.size_bytes == 10
            assert [await handle.read(*part) for part in ((0, 3), (3, 100), (10, 5), (99, 1))] == [
                b"012",
                b"3456789",
                b"",
                b"",
            ]
            for _ in range(2):
                await handle.close()

    async def test_an_open_file_stays_what_it_was_when_it_is_replaced(self) -> None:
        async with self.with_folder() as (_, files):
            await put(files, "a", b"old")
            handle = await files.open_read(path("a"))
            await put(files, "a", b"new!")
            assert await handle.read(0, 10) == b"old"
            await handle.close()

    async def test_opening_what_is_no_file_is_told(self) -> None:
        async with self.with_folder() as (_, files):
            await files.make_directory(path("d"), parents=False, exist_ok=False)
            with pytest.raises(ConflictError) as caught:
                await files.open_read(path("d"))
            assert caught.value.facts["reason"] == "is-a-directory"
            with pytest.raises(NotFoundError):
                await files.open_read(path("nope"))

    async def test_names_may_be_any_unicode(self) -> None:
        async with self.with_folder() as (_, files):
            for name in ("한글 파일.txt", "a b", "-rf", "…", "🎈", "quo'te\"s", "back\\slash", "new\nline"):
                await put(files, name, name.encode())
                assert await get(files, name) == name.encode()
                assert name in await names(files)

    # --- powers ---------------------------------------------------------------------------------

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

    async def test_a_soft_limit_stands_beside_the_hard_one(self) -> None:
        async with self.with_folder() as (volume, _):
            await volume.set_quota(op(), SCOPE, 10, 5)
            known = await volume.quota(SCOPE)
            assert (known.limit_bytes, known.soft_bytes) == (10, 5)
            await volume.set_quota(op(), SCOPE, None)
            known = await volume.quota(SCOPE)
            assert (known.limit_bytes, known.soft_bytes) == (None, None)

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
            await files.make_directory(path("d"), parents=False, exist_ok=False)
            whole = await volume.mount(FOLDER, ROOT)
            assert (await volume.mount(FOLDER, path("d"))).path == f"{whole.path}/d"
            assert (await volume.mount(FOLDER, path("nope"))).path == whole.path
            with pytest.raises(NotFoundError):
                await volume.mount(OTHER, ROOT)
