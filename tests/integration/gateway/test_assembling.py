"""Wholes while they are put together from their parts: what others are told, and what is left when that ends."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from typing import Any

import anyio
import pytest
from harness.losing import Losing
from harness.tus import Collection
from harness.uploads import reserved
from harness.world import FOLDER, Answer, World

from backends.mounted.appending import MountedStaging
from backends.mounted.files import MountedFiles
from bus.codec import decode_document
from domain.errors import BackendUnavailableError
from gateway.uploads import dropping, parts
from gateway.uploads.finishing import Finisher
from gateway.uploads.open_upload import OpenUpload
from gateway.uploads.session import UploadSession
from gateway.uploads.uploads import Uploads

pytestmark = [pytest.mark.anyio, pytest.mark.folder]

PART = b"p" * 64


class Copying:
    """Putting together goes on for as long as it is held back."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(parts, "_COPY_BYTES", 8)
        monkeypatch.setattr(dropping, "LOOK_SECONDS", 0.05)
        self.steps = 0
        self.free = anyio.Event()
        append = MountedStaging.append

        async def slow(staging: MountedStaging, chunks: Sequence[Any]) -> None:
            if len(chunks[0]) == 8:
                self.steps += 1
                with anyio.move_on_after(0.2):
                    await self.free.wait()
            await append(staging, chunks)

        monkeypatch.setattr(MountedStaging, "append", slow)


@pytest.fixture
def copying(monkeypatch: pytest.MonkeyPatch) -> Copying:
    return Copying(monkeypatch)


async def part(files: Collection, length: int = len(PART), data: bytes = PART) -> str:
    url = await files.begin(length, None, Upload_Concat="partial")
    if data:
        assert (await files.patch(url, 0, data)).status == 204
    return url


class Waiting:
    """A whole that waits for its second part, and the request that brings it."""

    def __init__(self, files: Collection, urls: Sequence[str], whole: str) -> None:
        self._files = files
        self.parts = urls
        self.whole = whole
        self.answers: list[Answer] = []

    @classmethod
    async def open(cls, files: Collection) -> Waiting:
        urls = [await part(files), await part(files, data=b"")]
        return cls(files, urls, await files.begin(None, "whole", Upload_Concat=f"final;{' '.join(urls)}"))

    async def complete(self) -> None:
        self.answers.append(await self._files.patch(self.parts[1], 0, PART))


async def test_who_asks_meanwhile_is_told_that_it_is_not_there_yet(
    world: World, files: Collection, copying: Copying
) -> None:
    waiting = await Waiting.open(files)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(waiting.complete)
        await world.settled(lambda: copying.steps)
        started = time.monotonic()
        head = await files.head(waiting.whole)
        assert (head.status, "Upload-Offset" in head.headers) == (200, False)
        assert (await files.patch(waiting.whole, 0, b"x")).status in (403, 423)
        copying.free.set()
        assert time.monotonic() - started < 10
    assert [answer.status for answer in waiting.answers] == [204]
    assert (await files.head(waiting.whole)).headers["Upload-Offset"] == str(2 * len(PART))


async def test_a_whole_that_is_dropped_is_put_together_no_further(
    world: World, files: Collection, copying: Copying
) -> None:
    waiting = await Waiting.open(files)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(waiting.complete)
        await world.settled(lambda: copying.steps)
        assert (await files.delete(waiting.whole)).status == 204
        steps = copying.steps
        await world.settled(lambda: waiting.answers)
    assert copying.steps <= steps + 1 < 2 * len(PART) // 8
    assert [answer.status for answer in waiting.answers] == [204], "the part is there"
    assert not (world.folder / "whole").exists()
    assert len(list((world.folder / ".upload").iterdir())) == 2
    assert (await files.head(waiting.parts[1])).headers["Upload-Offset"] == str(len(PART))


async def test_a_part_that_loses_bytes_while_it_is_copied_holds_up_nobody(
    world: World, files: Collection, copying: Copying
) -> None:
    """Whoever mounts the folder can do that."""
    waiting = await Waiting.open(files)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(waiting.complete)
        await world.settled(lambda: copying.steps)
        os.truncate(world.folder / ".upload" / waiting.parts[0].rpartition("/")[2], 20)
        copying.free.set()
        with anyio.fail_after(10):
            await world.settled(lambda: waiting.answers)
    assert [answer.status for answer in waiting.answers] == [204], "the other part is there"
    assert "Upload-Offset" not in (await files.head(waiting.whole)).headers
    assert not (world.folder / "whole").exists()


async def test_a_part_that_is_dropped_while_others_are_copied_holds_up_nobody(
    world: World, files: Collection, copying: Copying
) -> None:
    urls = [await part(files), await part(files), await part(files, data=b"")]
    whole = await files.begin(None, "whole", Upload_Concat=f"final;{' '.join(urls)}")
    waiting = Waiting(files, [urls[0], urls[2]], whole)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(waiting.complete)
        await world.settled(lambda: copying.steps)
        assert (await files.delete(urls[1])).status == 204
        copying.free.set()
    assert [answer.status for answer in waiting.answers] == [204], "the other part is there"
    assert "Upload-Offset" not in (await files.head(whole)).headers
    assert not (world.folder / "whole").exists()
    assert (await files.delete(whole)).status == 204
    again = await files.create(None, "again", Upload_Concat=f"final;{urls[0]} {urls[2]}")
    assert (again.status, (world.folder / "again").read_bytes()) == (201, 2 * PART)


async def test_who_stood_still_leaves_nothing_of_a_whole_that_others_have_finished(
    world: World, files: Collection, monkeypatch: pytest.MonkeyPatch
) -> None:
    waiting, losing = await Waiting.open(files), Losing(world.store, monkeypatch)
    create = MountedFiles.create_staging

    async def late(*args: Any, **more: Any) -> None:
        monkeypatch.setattr(MountedFiles, "create_staging", create)
        await losing.lose(waiting.whole.rpartition("/")[2])
        assert (await files.head(waiting.whole)).headers["Upload-Offset"] == str(2 * len(PART))
        await create(*args, **more)

    monkeypatch.setattr(MountedFiles, "create_staging", late)
    await waiting.complete()
    assert [answer.status for answer in waiting.answers] == [204]
    assert (world.folder / "whole").read_bytes() == 2 * PART
    assert not (world.folder / ".upload").exists()


async def test_who_begins_a_whole_that_somebody_puts_together_does_not_drop_it(
    world: World, files: Collection, copying: Copying
) -> None:
    """It is begun once more, because its client did not hear of the first one."""
    waiting = await Waiting.open(files)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(waiting.complete)
        await world.settled(lambda: copying.steps)
        again = await files.create(None, "whole", Upload_Concat=f"final;{' '.join(waiting.parts)}")
        assert (again.status, "/" + again.headers["Location"]) == (201, waiting.whole)
        copying.free.set()
    assert (world.folder / "whole").read_bytes() == PART * 2
    assert len(world.events("file.uploaded")) == 1


async def test_the_last_part_is_stored_whoever_puts_the_whole_together(
    world: World, files: Collection, copying: Copying
) -> None:
    urls = [await part(files), await part(files)]
    told: list[Answer] = []

    async def create() -> None:
        told.append(await files.create(None, "whole", Upload_Concat=f"final;{' '.join(urls)}"))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(create)
        await world.settled(lambda: copying.steps)
        head = await files.head(urls[1])
        assert (head.status, head.headers["Upload-Offset"]) == (200, str(len(PART)))
        copying.free.set()
    assert [(answer.status, answer.headers["Upload-Offset"]) for answer in told] == [(201, str(2 * len(PART)))]


async def test_the_last_parts_are_both_stored_whoever_of_them_puts_the_whole_together(
    world: World, files: Collection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One of two that end at once finds itself in the whole, and freed, when it looks who waits for it."""
    urls = [await part(files, data=b"") for _ in range(2)]
    whole = await files.begin(None, "whole", Upload_Concat=f"final;{' '.join(urls)}")
    finish, ending, told = Uploads.finish, list[OpenUpload](), list[Answer]()

    async def in_turn(uploads: Uploads, opened: OpenUpload, *args: Any, **more: Any) -> None:
        ending.append(opened)
        is_first = len(ending) == 1
        await world.settled(lambda: len(ending) == 2 and (is_first or told))
        await finish(uploads, opened, *args, **more)

    async def send(url: str) -> None:
        told.append(await files.patch(url, 0, PART))

    with monkeypatch.context() as patched:
        patched.setattr(Uploads, "finish", in_turn)
        async with anyio.create_task_group() as tasks:
            for url in urls:
                tasks.start_soon(send, url)
    assert [(answer.status, answer.headers["Upload-Offset"]) for answer in told] == [(204, str(len(PART)))] * 2
    assert (await files.head(whole)).headers["Upload-Offset"] == str(2 * len(PART))
    assert (world.folder / "whole").read_bytes() == 2 * PART


async def test_parts_a_process_did_not_come_to_free_are_freed_by_who_asks_for_them(
    world: World, files: Collection, monkeypatch: pytest.MonkeyPatch
) -> None:
    waiting = await Waiting.open(files)
    with monkeypatch.context() as patched:

        async def died(finisher: Finisher, session: UploadSession) -> None:
            raise BackendUnavailableError("dead")

        patched.setattr(Finisher, "discard", died)
        assert (await files.patch(waiting.parts[1], 0, PART)).status == 503
    assert (world.folder / "whole").read_bytes() == PART * 2
    assert len(list((world.folder / ".upload").iterdir())) == 2
    await files.head(waiting.parts[0])
    assert [path.name for path in world.folder.iterdir()] == ["whole"]
    assert {(await files.head(url)).status for url in waiting.parts} == {410}


async def test_parts_of_another_whole_are_left_to_it(
    world: World, files: Collection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first one was committed, by a process that died before it freed its parts, and they were used again."""
    waiting = await Waiting.open(files)
    third = await part(files, data=b"")
    with monkeypatch.context() as patched:

        async def died(finisher: Finisher, session: UploadSession) -> None:
            raise BackendUnavailableError("dead")

        patched.setattr(Finisher, "discard", died)
        assert (await files.patch(waiting.parts[1], 0, PART)).status == 503
    other = await files.begin(None, "other", Upload_Concat=f"final;{waiting.parts[0]} {third}")
    await files.head(waiting.parts[1])
    assert (await files.patch(third, 0, PART)).status == 204
    assert (await files.head(other)).headers["Upload-Offset"] == str(2 * len(PART))
    assert (world.folder / "other").read_bytes() == PART * 2


async def test_what_a_part_takes_that_comes_many_times_is_reserved_meanwhile(
    world: World, files: Collection, monkeypatch: pytest.MonkeyPatch
) -> None:
    limit = {"volume": "disk", "vfid": FOLDER, "options": {"limit_bytes": 1000}}
    assert (await world.manager("PUT", "/folder/quota", limit)).status == 204
    url = await part(files, 100, b"a" * 100)
    seen: list[int] = []
    append = MountedStaging.append

    async def looking(staging: MountedStaging, chunks: Sequence[Any]) -> None:
        seen.append(sum(reserved(world)))
        await append(staging, chunks)

    with monkeypatch.context() as patched:
        patched.setattr(MountedStaging, "append", looking)
        answer = await files.create(None, "whole", Upload_Concat="final;" + " ".join([url] * 4))
    assert answer.status == 201
    assert seen == [400] * 4
    assert not any(reserved(world))


async def test_two_wholes_of_parts_that_come_many_times_do_not_pass_a_limit_together(
    world: World, files: Collection, monkeypatch: pytest.MonkeyPatch
) -> None:
    limit = {"volume": "disk", "vfid": FOLDER, "options": {"limit_bytes": 1000}}
    assert (await world.manager("PUT", "/folder/quota", limit)).status == 204
    urls = [await part(files, 100, b"a" * 100) for _ in range(2)]
    found: list[int] = []
    create_staging, waiting = MountedFiles.create_staging, []

    async def together(access: MountedFiles, session: str, **more: Any) -> None:
        """Both are judged before either is there."""
        await create_staging(access, session, **more)
        waiting.append(session)
        with anyio.move_on_after(1):
            while len(waiting) < 4:
                await anyio.sleep(0.01)

    async def create(name: str, url: str) -> None:
        found.append((await files.create(None, name, Upload_Concat="final;" + " ".join([url] * 6))).status)

    monkeypatch.setattr(MountedFiles, "create_staging", together)
    async with anyio.create_task_group() as tasks:
        for name, url in zip("xy", urls, strict=True):
            tasks.start_soon(create, name, url)
    assert 413 in found
    assert sum(path.stat().st_size for path in world.folder.iterdir() if path.is_file()) <= 600
    documents = [decode_document(record.data) for name, record in world.store.records.items() if "upload:" in name]
    assert all(document.get("reserved_bytes", 0) <= 600 for document in documents)
