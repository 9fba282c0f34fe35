"""Names in a folder: looked at, listed, made, moved, deleted."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest

from backends.conformance.opening import OpensVolume
from backends.conformance.words import OTHER, SESSION, get, make_directory, names, path, put
from backends.contract import EntryKind, FileAccess
from domain.errors import ConflictError, InvalidPathError, NotFoundError, Subject
from domain.paths import ROOT


class Names(OpensVolume):
    """Names in a folder: looked at, listed, made, moved, deleted."""

    @pytest.mark.parametrize(
        "call",
        [
            lambda files: files.stat(ROOT),
            lambda files: files.listing(ROOT, limit=1),
            lambda files: files.open_read(path("a")),
            lambda files: make_directory(files, path("a"), parents=True, exist_ok=True),
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
            await make_directory(files, path("d"))
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
                await make_directory(files, path("a/b"))
            await make_directory(files, path("a/b/c"), parents=True, exist_ok=False)
            await make_directory(files, path("a/b/c"), parents=True, exist_ok=True)
            with pytest.raises(ConflictError) as caught:
                await make_directory(files, path("a/b"), parents=True, exist_ok=False)
            assert caught.value.facts["reason"] == "exists"
            assert await names(files, "a/b") == {"c"}

    async def test_a_directory_is_not_made_over_or_below_a_file(self) -> None:
        async with self.with_folder() as (_, files):
            await put(files, "a")
            for name in ("a", "a/b"):
                with pytest.raises(ConflictError):
                    await make_directory(files, path(name), parents=True, exist_ok=True)
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
            await make_directory(files, path("e"))
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
