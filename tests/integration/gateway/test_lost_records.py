"""Uploads whose records Redis has lost: they go on by the note beside their bytes, as far as it is believed.

Who has the folder mounted could have written that note.
"""

from __future__ import annotations

import os
from copy import deepcopy
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from harness.fields import TUS
from harness.tus import LARGE, Collection
from harness.uploads import reserved
from harness.world import FOLDER, Answer, World, digest

from backends.contract import Committed
from backends.mounted import staging
from backends.mounted.files import MountedFiles
from domain.ids import VFolderId
from domain.paths import RelativePath
from gateway.uploads.session import UploadState
from gateway.uploads.staging import Stager

pytestmark = [pytest.mark.anyio, pytest.mark.folder]

DATA = os.urandom(LARGE)
NOTE = "user.penstock.upload"


async def lost(world: World, files: Collection, **changes: Any) -> str:
    """An upload with some bytes and no record, and with a note that was changed."""
    url = await files.begin(LARGE)
    assert (await files.patch(url, 0, DATA[:1000])).status == 204
    session_id = url.rpartition("/")[2]
    await world.let_go(url)
    session = (await world.gate.uploads.sessions.require(session_id)).session
    os.setxattr(world.folder / ".upload" / session_id, NOTE, replace(session, **changes).note())
    world.store.records.clear()
    return url


@pytest.mark.parametrize("method", ["HEAD", "PATCH", "DELETE"])
async def test_it_is_still_its_owners(world: World, files: Collection, method: str) -> None:
    url = await lost(world, files)
    other = await Collection.open(world, "somebody else")
    answer = await other.patch(url, 1000, b"x") if method == "PATCH" else await other.ask(method, url, TUS)
    assert (answer.status, dict(world.store.records)) == (404, {})
    assert (await files.head(url)).headers["Upload-Offset"] == "1000"


@pytest.mark.parametrize(
    "changes",
    [
        {"id": "0" * 32},
        {"state": UploadState.COMMITTED},
        {"destination": RelativePath((".upload", "x"))},
        {"destination": RelativePath(())},
        {"folder": VFolderId.parse("aabb0002-0000-4000-8000-000000000002")},
    ],
    ids=["another", "finished", "reserved", "root", "elsewhere"],
)
async def test_what_cannot_have_been_noted_is_not_believed(
    world: World, files: Collection, changes: dict[str, Any]
) -> None:
    url = await lost(world, files, **changes)
    assert (await files.head(url)).status == 404
    assert (await files.patch(url, 1000, DATA[1000:])).status == 404
    assert not world.store.records


async def test_nothing_is_taken_to_be_hashed_compared_or_judged(world: World, files: Collection) -> None:
    url = await lost(world, files, sha256="0" * 64, floor=0, judged=True, reserved_bytes=0)
    assert (await files.head(url)).headers["Upload-Offset"] == "1000"
    known = await world.gate.uploads.sessions.require(url.rpartition("/")[2])
    assert (known.session.reserved_bytes, known.session.judged) == (LARGE, False)
    assert (await files.patch(url, 1000, DATA[1000:])).status == 204
    (event,) = world.events("file.uploaded")
    assert event.body["sha256"] == digest(DATA)
    assert (world.folder / "a").read_bytes() == DATA


async def test_parts_are_put_together(world: World, files: Collection) -> None:
    """Their client asks for nothing else, for all of them came before."""
    parts = [await files.part(1000, DATA[:1000]), await files.part(2000, DATA[1000:3000])]
    world.store.records.clear()
    concat = "final;" + " ".join(parts)
    other = await Collection.open(world, "somebody else")
    assert (await other.create(None, "whole", Upload_Concat=concat)).status == 400
    assert (await files.create(None, "whole", Upload_Concat=f"{concat} /files/{'0' * 32}")).status == 400
    assert (await files.create(None, "whole", Upload_Concat=concat)).status == 201
    assert (world.folder / "whole").read_bytes() == DATA[:3000]
    assert not (world.folder / ".upload").exists()
    assert len(world.events("file.uploaded")) == 1


async def test_what_is_stored_already_needs_no_room(
    world: World, files: Collection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The volume would not hold another one as long, and need not."""
    url = await lost(world, files)
    free = SimpleNamespace(f_bavail=LARGE - 1000, f_frsize=1)
    monkeypatch.setattr(staging.os, "statvfs", lambda _: free)
    assert (await files.head(url)).headers["Upload-Offset"] == "1000"
    assert (await files.patch(url, 1000, DATA[1000:])).status == 204
    assert (world.folder / "a").read_bytes() == DATA
    assert (await files.create(LARGE, "b")).status == 507


@pytest.mark.parametrize("request_of", ["copy", "parts"])
async def test_who_has_just_begun_one_may_try_again(
    world: World, files: Collection, monkeypatch: pytest.MonkeyPatch, request_of: str
) -> None:
    """Nobody else has heard of it, so nobody is told that it is not there."""
    await world.upload("b", DATA)
    parts = [await files.part(1000, DATA[:1000]), await files.part(2000, DATA[1000:3000])]
    begin = Stager.begin

    async def forgotten(*args: Any) -> None:
        await begin(*args)
        world.store.records.clear()
        monkeypatch.setattr(Stager, "begin", begin)

    async def ask() -> Answer:
        if request_of == "parts":
            return await files.create(None, "whole", Upload_Concat=f"final;{' '.join(parts)}")
        body = {"volume": "disk", "vfid": FOLDER, "relpath": "b", "dst_relpath": "whole"}
        return await world.manager("POST", "/folder/file/copy", body)

    monkeypatch.setattr(Stager, "begin", forgotten)
    answer = await ask()
    assert (answer.status, answer.json["retry"], answer.headers["Retry-After"]) == (503, "later", "1")
    assert (await ask()).status in (200, 201)
    assert (world.folder / "whole").read_bytes() == (DATA if request_of == "copy" else DATA[:3000])


@pytest.mark.parametrize("known", [False, True], ids=["nothing", "what was before"])
async def test_a_file_that_is_at_its_place_is_told_of(
    world: World, files: Collection, monkeypatch: pytest.MonkeyPatch, known: bool
) -> None:
    """All that Redis knows of its upload when it is there."""
    url, commit = await files.begin(LARGE), MountedFiles.commit_staging
    before = deepcopy(world.store.records) if known else {}

    async def forgotten(*args: Any, **more: Any) -> Committed:
        done = await commit(*args, **more)
        world.store.records = before
        return done

    monkeypatch.setattr(MountedFiles, "commit_staging", forgotten)
    assert (await files.patch(url, 0, DATA)).status == 204
    assert (world.folder / "a").read_bytes() == DATA
    assert (await files.head(url)).headers["Upload-Offset"] == str(LARGE)
    assert len(world.events("file.uploaded")) == 1
    assert reserved(world) == []
