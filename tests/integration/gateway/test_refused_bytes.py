"""Bodies that are not what their checksum says: nothing is kept of what their requests said besides."""

from __future__ import annotations

from collections.abc import AsyncIterator

import anyio
import pytest
from harness.fields import BODY, TUS, checksum, metadata
from harness.tus import LARGE, Collection, sending
from harness.uploads import reserved
from harness.world import FOLDER, World, digest
from integration.gateway.resumable_client import RESUMABLE, append, begin, begun, place

from gateway.protocol.resumable_digests import byte_sequence

pytestmark = [pytest.mark.anyio, pytest.mark.folder, RESUMABLE]

WRONG = checksum(b"other")


def digest_of(data: bytes) -> str:
    """As Content-Digest and Repr-Digest have it."""
    return f"sha-256={byte_sequence(bytes.fromhex(digest(data)))}"


async def limit(world: World, count: int) -> None:
    body = {"volume": "disk", "vfid": FOLDER, "options": {"limit_bytes": count}}
    assert (await world.manager("PUT", "/folder/quota", body)).status == 204


async def test_a_late_length_is_told_again(world: World, files: Collection) -> None:
    await limit(world, 6000)
    url = await files.begin(None, Upload_Defer_Length="1")
    assert (await files.patch(url, 0, b"wrong", Upload_Length="5000", Upload_Checksum=WRONG)).status == 460
    assert (await files.head(url)).headers["Upload-Defer-Length"] == "1"
    assert not any(reserved(world))
    right = checksum(b"right")
    assert (await files.patch(url, 0, b"right", Upload_Length="5", Upload_Checksum=right)).status == 204
    assert (world.folder / "a").read_bytes() == b"right"
    assert not reserved(world)


async def test_a_late_length_does_not_end_an_upload_with_other_bytes(world: World, files: Collection) -> None:
    url = await files.begin(None, Upload_Defer_Length="1")
    assert (await files.patch(url, 0, b"12345")).status == 204
    assert (await files.patch(url, 5, b"", Upload_Length="5", Upload_Checksum=WRONG)).status == 460
    assert (await files.head(url)).headers["Upload-Defer-Length"] == "1"
    assert not (world.folder / "a").exists()
    assert (await files.patch(url, 5, b"", Upload_Length="5", Upload_Checksum=checksum(b""))).status == 204
    assert (world.folder / "a").read_bytes() == b"12345"


async def test_a_late_length_is_not_recorded_before_its_body_is_compared(world: World, files: Collection) -> None:
    """Who dies meanwhile leaves no length that nobody could change; its bytes are counted all the same."""
    await limit(world, LARGE)
    url = await files.begin(None, Upload_Defer_Length="1")
    fields = {**BODY, "Upload_Offset": "0", "Upload_Length": str(LARGE), "Upload_Checksum": WRONG}
    async with sending(files, "PATCH", url, LARGE, 100_000, **fields):
        known = await world.gate.uploads.sessions.require(url.rpartition("/")[2])
        assert (known.session.length, known.session.floor, reserved(world)) == (None, 0, [LARGE])
    await world.settled(lambda: not any(reserved(world)))
    assert (await files.head(url)).headers["Upload-Offset"] == "0"
    assert (await files.patch(url, 0, b"abc", Upload_Length="3")).status == 204


async def test_a_late_length_is_judged_before_its_body_is_stored(world: World, files: Collection) -> None:
    await limit(world, 10)
    url = await files.begin(None, Upload_Defer_Length="1")
    answer = await files.patch(url, 0, b"abc", Upload_Length="11", Upload_Checksum=checksum(b"abc"))
    assert (answer.status, answer.json["type"]) == (413, "urn:penstock:problem:quota-exceeded")
    assert (await files.head(url)).headers["Upload-Offset"] == "0"
    assert (await files.patch(url, 0, b"abc", Upload_Length="3", Upload_Checksum=checksum(b"abc"))).status == 204


async def test_a_late_length_holds_for_the_body_it_comes_with(world: World, files: Collection) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        yield b"abc"
        await anyio.sleep(0.05)
        yield b"def"

    url = await files.begin(None, Upload_Defer_Length="1")
    fields = {"Upload_Length": "5", "Upload_Checksum": checksum(b"abcdef")}
    assert (await files.patch(url, 0, pieces(), **fields)).status == 413
    head = await files.head(url)
    assert (head.headers["Upload-Offset"], head.headers["Upload-Defer-Length"]) == ("0", "1")
    assert (await files.patch(url, 0, pieces(), **{**fields, "Upload_Length": "6"})).status == 204
    assert (world.folder / "a").read_bytes() == b"abcdef"


@pytest.mark.parametrize("query", ["dst_dir=sub", "extract=1"])
async def test_what_an_upload_was_to_become(world: World, query: str) -> None:
    token = await world.upload_token("n", 5)
    url, fields = f"/upload?token={token}", {**BODY, "Upload-Offset": "0"}
    wrong = {**fields, "Upload-Checksum": WRONG}
    assert (await world.client("PATCH", f"{url}&{query}", headers=wrong, data=b"12345")).status == 460
    assert (await world.client("PATCH", url, headers=fields, data=b"12345")).status == 204
    assert (world.folder / "n").read_bytes() == b"12345"


async def test_what_an_upload_is_to_become_is_recorded_with_bytes_that_are_right(world: World) -> None:
    token = await world.upload_token("n", 5)
    url = f"/upload?token={token}"
    first = {**BODY, "Upload-Offset": "0", "Upload-Checksum": checksum(b"123")}
    assert (await world.client("PATCH", f"{url}&dst_dir=sub", headers=first, data=b"123")).status == 204
    assert (await world.client("PATCH", url, headers={**BODY, "Upload-Offset": "3"}, data=b"45")).status == 204
    assert (world.folder / "sub" / "n").read_bytes() == b"12345"


@pytest.mark.parametrize("begun_before", [False, True])
async def test_what_a_creation_of_a_named_upload_said(world: World, begun_before: bool) -> None:
    """Its checksum is that of the whole file, which would not be what comes later."""
    files = Collection(world, await world.upload_token("n", 5))
    if begun_before:
        assert (await files.create(5, None)).status == 201
    said = {"Upload_Metadata": metadata(filename="n", kind="wrong"), "Upload_Checksum": WRONG}
    assert (await files.create(5, None, b"12345", **said)).status == 460
    said = {"Upload_Metadata": metadata(filename="n", kind="right"), "Upload_Checksum": checksum(b"12345")}
    answer = await files.create(5, None, b"12345", **said)
    assert (answer.status, answer.headers["Upload-Offset"]) == (201, "5")
    url = "/" + answer.headers["Location"]
    assert (await files.ask("HEAD", url, dict(TUS))).headers["Upload-Metadata"] == said["Upload_Metadata"]
    assert (world.folder / "n").read_bytes() == b"12345"


async def test_a_length_of_the_ietfs_is_told_again(files: Collection) -> None:
    url = await begun(files, b"12345")
    assert (await append(files, url, 5, "?1", b"abc", Content_Digest=digest_of(b"other"))).status == 400
    assert place(await append(files, url, 5, "?1", b"abcdefgh")) == (200, "13", "?1")


async def test_a_whole_of_the_ietfs_is_announced_again(world: World) -> None:
    files = Collection(world, await world.upload_token("n", 5))
    said = {"Repr_Digest": digest_of(b"other"), "Content_Digest": digest_of(b"other")}
    assert (await begin(files, b"12345", "?1", name=None, **said)).status == 400
    said = {"Repr_Digest": digest_of(b"12345"), "Content_Digest": digest_of(b"12345")}
    assert place(await begin(files, b"12345", "?1", name=None, **said)) == (200, "5", "?1")
