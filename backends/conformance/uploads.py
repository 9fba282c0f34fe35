"""Uploads: staged, gone on with, committed and discarded."""

from __future__ import annotations

import hashlib
from uuid import uuid4

import pytest

from backends.conformance.opening import OpensVolume
from backends.conformance.words import SESSION, get, make_directory, names, path, put
from domain.errors import ConflictError, InvalidPathError, NotFoundError, Subject
from domain.paths import ROOT


class Uploads(OpensVolume):
    """Uploads: staged, gone on with, committed and discarded."""

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
            await make_directory(files, path("d"))
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
            await make_directory(files, path("d"))
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

    async def test_what_is_renewed_has_its_first_bytes_and_its_note(self) -> None:
        async with self.with_folder() as (_, files):
            await files.create_staging(SESSION, destination=path("a"), length=6, note=b"note")
            before = await files.open_staging(SESSION)
            await before.append([b"0123xx"])
            assert not before.is_stuck
            noted = await files.staging_note(SESSION)
            await files.renew_staging(SESSION, 4)
            await before.close()
            staging = await files.open_staging(SESSION)
            assert staging.offset == 4
            await staging.append([b"45"])
            await staging.close()
            assert await files.staging_note(SESSION) == noted
            await files.commit_staging(SESSION, path("a"))
            assert await get(files, "a") == b"012345"
            with pytest.raises(NotFoundError) as caught:
                await files.renew_staging(SESSION, 0)
            assert caught.value.subject is Subject.UPLOAD

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
