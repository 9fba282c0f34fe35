"""Archives that are unpacked once more: after a failure or a death, or with the token of a forgotten upload."""

from __future__ import annotations

import io
import os
import shutil
import zipfile
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest
from harness.archives import zip_of
from harness.mortal import DiedError, Life, Mortal
from harness.ordered import keep_order
from harness.uploads import reserved, session_of
from harness.world import SCOPE, World, open_world

from backends.contract import SmallFile
from backends.mounted.files import MountedFiles
from bus.memory.store import MemoryStore
from domain.errors import BackendFaultError, FencedError, InvalidRequestError
from gateway.uploads.expansion import Expansion

pytestmark = pytest.mark.anyio


async def test_what_became_of_an_upload_is_not_that_of_the_next_one_of_its_token(world: World) -> None:
    await world.make_folder()
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        archive.writestr("a", b"1")
    data = target.getvalue()
    token = await world.upload_token("in/archive", len(data))
    for _ in range(2):
        headers = {"Tus-Resumable": "1.0.0", "Upload-Length": str(len(data))}
        assert (await world.client("POST", f"/files?token={token}", headers=headers)).status == 201
        assert (await world.patch(token, 0, data, extract="1")).status == 204
        assert (world.folder / "in/a").read_bytes() == b"1"
        shutil.rmtree(world.folder / "in")
        del world.store.records[f"upload:{session_of(token)}"]
    assert len(world.events("archive.unpacked")) == 2


LARGE = os.urandom(300_000)
FILES = {"first": LARGE, "second": os.urandom(200_000)}
TOTAL = sum(map(len, FILES.values()))


async def limit(world: World, count: int) -> None:
    body = {"volume": "disk", "qsid": SCOPE, "options": {"limit_bytes": count}}
    assert (await world.manager("PATCH", "/quota-scope", body)).status == 204


def failing(monkeypatch: pytest.MonkeyPatch, life: Life | None = None) -> None:
    """Have the storage fail when small files of an archive are stored, or the process die there."""

    async def failed(files: MountedFiles, session: str, small: Sequence[SmallFile]) -> Sequence[int | None]:
        if life is None:
            raise BackendFaultError("the disk is broken")
        life.ends_at = life.calls
        raise DiedError

    monkeypatch.setattr(MountedFiles, "store_many", failed)


async def test_what_has_failed_in_the_middle_goes_on_in_the_room_it_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = zip_of(FILES, zipfile.ZIP_STORED)
    async with open_world(tmp_path, usage_max_age_seconds=0.0) as world:
        await world.make_folder()
        await limit(world, len(data) + TOTAL + 1000)
        token = await world.upload_token("in/archive", len(data))
        with monkeypatch.context() as patched:
            failing(patched)
            assert (await world.patch(token, 0, data, extract="1")).status == 502
        assert (world.folder / "in/first").read_bytes() == LARGE
        answer = await world.patch(token, len(data), b"", extract="1")
        assert (answer.status, reserved(world)) == (204, []), answer.body
        assert (world.folder / "in/second").read_bytes() == FILES["second"]


async def test_what_was_reserved_by_one_that_died_is_given_back_where_it_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A member behind those that were unpacked is damaged, which shows when it is unpacked."""
    files = {"small": b"1", **FILES, "third": LARGE[::-1]}
    data = bytearray(zip_of(files, zipfile.ZIP_STORED))
    data[len(data) - 1000] ^= 1
    store, life = MemoryStore(), Life(1 << 30)
    async with open_world(tmp_path, store=store) as world:
        await world.make_folder()
        await limit(world, 10 << 20)
        token = await world.upload_token("in/archive", len(data))
        world.gate.uploads.sessions._records = Mortal(world.bus.records, life)
        with monkeypatch.context() as patched:
            patched.setattr("gateway.uploads.unpacking._TOGETHER", 0)
            failing(patched, life)
            assert (await world.patch(token, 0, bytes(data), extract="1")).status >= 500
        assert reserved(world) == [len(data) + sum(map(len, files.values()))]
    async with open_world(tmp_path, store=store) as world:
        assert (await world.patch(token, len(data), b"", extract="1")).status == 400
        assert reserved(world) == [len(data)]
        await world.upload("other", bytes(1000))


async def test_what_another_gateway_relies_on_is_not_given_back(world: World) -> None:
    """One has lost its lease before it unpacked anything, and another goes on."""
    await world.make_folder()
    await limit(world, 10 << 20)
    token = await world.upload_token("in/archive", 1000)
    assert (await world.patch(token, 0, bytes(10))).status == 204
    uploads = world.gate.uploads
    session = (await uploads.sessions.require(session_of(token))).session

    def unpacking(*, has_begun: bool) -> AbstractAsyncContextManager[None]:
        return Expansion(uploads.sessions, world.gate.quotas).reserved(session, TOTAL, lambda: has_begun)

    one, other = unpacking(has_begun=False), unpacking(has_begun=True)
    await one.__aenter__()
    await other.__aenter__()
    assert not await one.__aexit__(FencedError, FencedError("another has it"), None)
    assert reserved(world) == [1000 + TOTAL]
    refused = InvalidRequestError("damaged", field="archive")
    assert not await other.__aexit__(InvalidRequestError, refused, None)
    assert reserved(world) == [1000]


async def test_nor_is_it_where_redis_has_forgotten_the_upload(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The token says when it was begun, so that nothing need be recorded: it is the same each time."""
    keep_order(monkeypatch)
    data = zip_of({"a": b"1"}, zipfile.ZIP_STORED)
    async with open_world(tmp_path) as world:
        await world.make_folder()
        token = await world.upload_token("in/archive", len(data))
        for _ in range(2):
            assert (await world.patch(token, 0, data, extract="1")).status == 204
            assert (world.folder / "in/a").read_bytes() == b"1"
            shutil.rmtree(world.folder / "in")
            del world.store.records[f"upload:{session_of(token)}"]
        assert len(world.events("archive.unpacked")) == 2
