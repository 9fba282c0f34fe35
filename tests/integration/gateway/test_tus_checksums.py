"""Bytes, and files, that count only if they are what was announced."""

from __future__ import annotations

import os
from dataclasses import replace

import pytest
from harness.bodies import pieces
from harness.fields import BODY, checksum, metadata
from harness.line import Line
from harness.tus import LARGE, Collection
from harness.world import World, digest, open_world

from backends.mounted.appending import MountedStaging
from bus.memory.leases import MemoryLease
from domain.errors import BackendUnavailableError, BusBrokenError

pytestmark = [pytest.mark.anyio, pytest.mark.folder]


# [B12]
@pytest.mark.parametrize("algorithm", ["sha1", "sha256", "sha512", "md5", "crc32"])
async def test_bytes_count_if_they_are_what_was_announced(world: World, files: Collection, algorithm: str) -> None:
    url = await files.begin(6)
    assert (await files.patch(url, 0, b"abc", Upload_Checksum=checksum(b"abc", algorithm))).status == 204
    wrong = await files.patch(url, 3, b"xyz", Upload_Checksum=checksum(b"def", algorithm))
    assert (wrong.status, wrong.headers["Tus-Resumable"]) == (460, "1.0.0")
    assert (await files.head(url)).headers["Upload-Offset"] == "3"
    assert (await files.patch(url, 3, b"def", Upload_Checksum=checksum(b"def", algorithm))).status == 204
    assert (world.folder / "a").read_bytes() == b"abcdef"
    (event,) = world.events("file.uploaded")
    assert event.body["sha256"] == digest(b"abcdef")


# [B12]
@pytest.mark.parametrize("value", ["sha3 YQ==", "sha1", "sha1 ###", "sha1 YQ==", "", "crc32 AAAAAAA="])
async def test_checksums_that_make_no_sense(files: Collection, value: str) -> None:
    url = await files.begin(3)
    assert (await files.patch(url, 0, b"abc", Upload_Checksum=value)).status == 400
    assert (await files.head(url)).headers["Upload-Offset"] == "0"


# [B10] [B12]
async def test_a_checksum_of_a_creation_with_upload(world: World, files: Collection) -> None:
    given = checksum(b"abc", "sha1")
    assert (await files.create(6, "a", b"xyz", Upload_Checksum=given)).status == 460
    answer = await files.create(6, "a", b"abc", Upload_Checksum=given)
    assert (answer.status, answer.headers["Upload-Offset"]) == (201, "3")


# [B12]
@pytest.mark.parametrize("algorithm", ["sha1", "sha256", "sha512", "md5", "crc32"])
@pytest.mark.parametrize("data", [None, b""], ids=["bodiless", "empty"])
async def test_a_checksum_of_no_bytes(world: World, files: Collection, algorithm: str, data: bytes | None) -> None:
    wrong, right = (checksum(of, algorithm) for of in (b"x", b""))
    assert (await files.create(0, "a", data, Upload_Checksum=wrong)).status == 460
    assert list(world.folder.iterdir()) == []
    assert (await files.create(0, None, data, Upload_Concat="partial", Upload_Checksum=wrong)).status == 460
    assert (await files.create(0, "a", data, Upload_Checksum=right)).status == 201
    assert (world.folder / "a").read_bytes() == b""


# [B12]
async def test_a_checksum_of_no_bytes_of_a_named_upload(world: World) -> None:
    files = Collection(world, await world.upload_token("n", 0))
    assert (await files.create(0, None, Upload_Checksum=checksum(b"x", "md5"))).status == 460
    assert (await files.create(0, None, Upload_Checksum=checksum(b"", "md5"))).status == 201


# [B12]
@pytest.mark.parametrize("framing", ["announced", "chunked"])
async def test_a_checksum_of_no_bytes_at_the_end(files: Collection, framing: str) -> None:
    url = await files.begin(3)
    for _ in range(2):
        offset = (await files.head(url)).headers["Upload-Offset"]
        body = b"" if framing == "announced" else pieces()
        assert (await files.patch(url, offset, body, Upload_Checksum=checksum(b"x"))).status == 460
        body = b"" if framing == "announced" else pieces()
        assert (await files.patch(url, offset, body, Upload_Checksum=checksum(b""))).status == 204
        await files.patch(url, offset, b"abc")
    assert (await files.head(url)).headers["Upload-Offset"] == "3"


# [B12]
async def test_a_broken_off_body_with_a_checksum_counts_for_nothing(world: World, files: Collection) -> None:
    data = os.urandom(600_000)
    url = await files.begin(len(data))
    fields = {**BODY, "Authorization": f"Bearer {files.token}", "Upload-Checksum": checksum(data, "sha1")}
    async with Line.open(world) as line:
        line.head("PATCH", url, {**fields, "Upload-Offset": "0", "Content-Length": str(len(data))})
        line.send(data[:300_000])
        await world.stored(300_000)
    await world.settled(lambda: world.watching.answers[-1].method == "PATCH")
    assert (await files.head(url)).headers["Upload-Offset"] == "0"
    assert (await files.patch(url, 0, data, Upload_Checksum=checksum(data, "sha1"))).status == 204
    assert digest((world.folder / "a").read_bytes()) == digest(data)


# [A16] [B12]
@pytest.mark.parametrize("fails", ["storage", "redis"])
async def test_no_digest_is_kept_of_bytes_that_could_not_be_taken_back(
    world: World, files: Collection, monkeypatch: pytest.MonkeyPatch, fails: str
) -> None:
    """Another gateway takes them back, and stores the right ones; the first one goes on behind them."""
    url, right, rest = await files.begin(LARGE), b"a" * 1000, b"b" * (LARGE - 1000)

    async def truncate(*_: object) -> None:
        raise BackendUnavailableError("no answer in time")

    confirm, asked = MemoryLease.confirm, list[MemoryLease]()

    async def confirm_once(lease: MemoryLease) -> None:
        asked.append(lease)
        if len(asked) > 2:
            raise BusBrokenError("nobody knows who has it")
        await confirm(lease)

    with monkeypatch.context() as patched:
        if fails == "storage":
            patched.setattr(MountedStaging, "truncate", truncate)
        else:
            patched.setattr(MemoryLease, "confirm", confirm_once)
        assert (await files.patch(url, 0, b"x" * 1000, Upload_Checksum=checksum(right))).status == 503
    async with open_world(world.path, store=world.store) as other:
        assert (await Collection(other, files.token).patch(url, 0, right)).status == 204
    assert (await files.patch(url, 1000, rest)).status == 204
    (event,) = world.events("file.uploaded")
    assert event.body["sha256"] == digest(right + rest)


# [A16] [B12]
async def test_bytes_not_compared_before_a_crash_do_not_count(world: World, files: Collection) -> None:
    url = await files.begin(6)
    await files.patch(url, 0, b"abc")
    await world.let_go(url)
    known = await world.gate.uploads.sessions.require(url.rpartition("/")[2])
    assert await world.gate.uploads.sessions.replace(known, replace(known.session, floor=3))
    staging = await world.volume.files(known.session.folder).open_staging(known.session.id)
    await staging.append([b"xy"])
    await staging.close()
    assert (await files.head(url)).headers["Upload-Offset"] == "3"
    assert (await files.patch(url, 3, b"def")).status == 204
    assert (world.folder / "a").read_bytes() == b"abcdef"


async def test_a_whole_file_is_compared_with_its_digest(world: World, files: Collection) -> None:
    good = metadata(filename="a", sha256=digest(b"abc"))
    url = await files.begin(3, None, Upload_Metadata=good)
    assert (await files.patch(url, 0, b"xyz")).status == 460
    assert (await files.head(url)).status == 410
    assert not (world.folder / "a").exists()
    url = await files.begin(3, None, Upload_Metadata=good)
    assert (await files.patch(url, 0, b"abc")).status == 204
    assert os.getxattr(world.folder / "a", "user.penstock.sha256").startswith(digest(b"abc").encode())
