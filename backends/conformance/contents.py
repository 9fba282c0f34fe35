"""Files read and small ones stored; what stays with them."""

from __future__ import annotations

import hashlib

import pytest

from backends.conformance.opening import OpensVolume
from backends.conformance.words import SESSION, get, kept, make_directory, names, path, put
from backends.contract import SmallFile
from backends.powers import ReadsAtOnce
from domain.errors import ConflictError, InvalidPathError, NotFoundError
from domain.paths import ROOT


class Contents(OpensVolume):
    """Files read and small ones stored; what stays with them."""

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
            await make_directory(files, path("d"))
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

    async def test_files_that_may_be_read_are_not_forbidden(self) -> None:
        async with self.with_folder() as (_, files):
            await put(files, "d/a", b"1")
            assert not await files.forbidden(path("d"), ["a", "nothing"])
            assert not await files.forbidden(path("nowhere"), ["a"])

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
            await make_directory(files, path("d"))
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
