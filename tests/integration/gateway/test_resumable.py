"""Resumable uploads as the IETF drafts them."""

from __future__ import annotations

import asyncio
import base64
import os
from collections.abc import AsyncIterator
from pathlib import Path

import anyio
import pytest
from harness.tus import Collection
from harness.world import Answer, World, digest, open_world

pytestmark = pytest.mark.anyio

PARTIAL = {"Content-Type": "application/partial-upload"}


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with open_world(tmp_path, resumable_uploads=True, max_upload_bytes=10_000_000) as opened:
        await opened.make_folder()
        yield opened


@pytest.fixture
async def files(world: World) -> Collection:
    return await Collection.open(world)


def named(name: str) -> dict[str, str]:
    return {"Content-Disposition": f"attachment; filename*=UTF-8''{name}"}


async def begin(files: Collection, data: bytes, complete: str, **headers: str) -> Answer:
    return await files.ask("POST", "/uploads", {**named("a"), "Upload-Complete": complete, **headers}, data)


async def append(files: Collection, url: str, offset: object, complete: str, data: object, **more: str) -> Answer:
    headers = {**PARTIAL, "Upload-Offset": str(offset), "Upload-Complete": complete, **more}
    return await files.ask("PATCH", url, headers, data)


async def raw(world: World, text: str, data: bytes) -> bytes:
    """Everything a server says to one request, interim answers as well."""
    reader, writer = await asyncio.open_connection("127.0.0.1", world.client_port)
    writer.write(text.encode() + data)
    with anyio.fail_after(10):
        found = await reader.read()
    writer.close()
    return found


@pytest.mark.parametrize("interop", ["8", "6", None])
async def test_where_to_come_back_is_told_at_once(world: World, files: Collection, interop: str | None) -> None:
    version = f"Upload-Draft-Interop-Version: {interop}\r\n" if interop else ""
    head = (
        f"POST /uploads HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {files.token}\r\nConnection: close\r\n"
        f"Content-Disposition: attachment; filename=a\r\nContent-Length: 5\r\nUpload-Complete: ?1\r\n{version}\r\n"
    )
    found = await raw(world, head, b"12345")
    interim, _, final = found.partition(b"\r\n\r\n") if interop == "8" else (b"", b"", found)
    if interop == "8":
        assert interim.startswith(b"HTTP/1.1 104 ")
        for field in (
            b"Location: uploads/",
            b"Upload-Limit: max-size=10000000",
            b"Upload-Draft-Interop-Version: 8",
        ):
            assert field in interim
    assert final.startswith(b"HTTP/1.1 200")
    assert b"Upload-Complete: ?1" in final
    assert (world.folder / "a").read_bytes() == b"12345"


async def test_an_upload_in_parts(world: World, files: Collection) -> None:
    data = os.urandom(3_000_000)
    answer = await begin(files, data[:1000], "?0", **{"Upload-Length": str(len(data))})
    assert answer.status == 201
    assert (answer.headers["Upload-Complete"], answer.headers["Upload-Offset"]) == ("?0", "1000")
    url = "/" + answer.headers["Location"]
    for method in ("HEAD", "GET"):
        look = await files.ask(method, url, {})
        assert 200 <= look.status < 300
        assert look.headers["Cache-Control"] == "no-store"
        assert (look.headers["Upload-Offset"], look.headers["Upload-Complete"]) == ("1000", "?0")
        assert look.headers["Upload-Length"] == str(len(data))
        assert "max-age=" in look.headers["Upload-Limit"]

    async def pieces() -> AsyncIterator[bytes]:
        for start in range(1000, 2_000_000, 99_000):
            yield data[start : min(start + 99_000, 2_000_000)]

    answer = await append(files, url, 1000, "?0", pieces())
    assert (answer.status, answer.headers["Upload-Offset"]) == (204, "2000000")
    answer = await append(files, url, 2_000_000, "?1", data[2_000_000:])
    assert (answer.status, answer.headers["Upload-Complete"]) == (200, "?1")
    assert digest((world.folder / "a").read_bytes()) == digest(data)
    again = await append(files, url, len(data), "?1", b"")
    assert (again.status, again.headers["Upload-Complete"]) == (200, "?1")
    assert len(world.events("file.uploaded")) == 1


async def test_a_body_whose_end_is_the_files(world: World, files: Collection) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        yield b"abc"
        yield b"def"

    answer = await files.ask("POST", "/uploads", {**named("%ED%95%9C"), "Upload-Complete": "?1"}, pieces())
    assert (answer.status, answer.headers["Upload-Length"]) == (200, "6")
    assert (world.folder / "한").read_bytes() == b"abcdef"


async def test_requests_that_do_not_fit(world: World, files: Collection) -> None:
    url = "/" + (await begin(files, b"abc", "?0")).headers["Location"]
    wrong = await append(files, url, 1, "?0", b"x")
    assert wrong.status == 409
    assert wrong.json["type"] == "https://iana.org/assignments/http-problem-types#mismatching-upload-offset"
    assert (wrong.json["expected-offset"], wrong.json["provided-offset"]) == (3, 1)
    assert (wrong.headers["Upload-Offset"], wrong.headers["Upload-Complete"]) == ("3", "?0")
    assert (await append(files, url, 3, "?0", b"d", **{"Upload-Length": "10"})).status == 204
    for more in ({"Upload-Length": "11"},):
        bad = await append(files, url, 4, "?0", b"x", **more)
        assert (bad.status, bad.json["type"].partition("#")[2]) == (400, "inconsistent-upload-length")
    assert (await append(files, url, 4, "?1", b"x")).status == 400
    assert (await append(files, url, 4, "?0", b"x" * 7)).status == 400
    headers = {**PARTIAL, "Upload-Offset": "4"}
    assert (await files.ask("PATCH", url, headers, b"x")).status == 400
    assert (await files.ask("PATCH", url, {**PARTIAL, "Upload-Complete": "?0"}, b"x")).status == 400
    plain = {"Content-Type": "text/plain", "Upload-Offset": "4", "Upload-Complete": "?0"}
    assert (await files.ask("PATCH", url, plain, b"x")).status == 415
    assert (await append(files, url, 4, "yes", b"x")).status == 400
    assert (await begin(files, b"", "?0", **{"Upload-Length": "10000001"})).status == 413
    assert (await files.ask("POST", "/uploads", {"Upload-Complete": "?1"}, b"x")).status == 400
    assert (await append(files, url, 4, "?1", b"x" * 6)).status == 200
    assert (world.folder / "a").read_bytes() == b"abcd" + b"x" * 6


async def test_limits_and_the_end(files: Collection) -> None:
    options = await files.ask("OPTIONS", "/uploads", {})
    assert options.headers["Upload-Limit"] == "max-size=10000000, min-size=0"
    url = "/" + (await begin(files, b"abc", "?0")).headers["Location"]
    assert (await files.ask("DELETE", url, {})).status == 204
    assert (await files.ask("HEAD", url, {})).status == 410
    assert (await append(files, url, 3, "?1", b"x")).status == 410


async def test_the_digest_of_the_whole(world: World, files: Collection) -> None:
    right = base64.b64encode(bytes.fromhex(digest(b"abc"))).decode()
    answer = await begin(files, b"xyz", "?1", **{"Repr-Digest": f"sha-256=:{right}:"})
    assert answer.status == 460
    assert not (world.folder / "a").exists()
    assert (await begin(files, b"abc", "?1", **{"Repr-Digest": f"sha-256=:{right}:"})).status == 200


async def test_a_token_for_one_upload(world: World) -> None:
    token = await world.upload_token("one", 3)
    one = Collection(world, token)
    assert (await one.ask("POST", "/uploads", {"Upload-Complete": "?1"}, b"abcd")).status == 400
    assert (await one.ask("POST", "/uploads", {"Upload-Complete": "?1"}, b"abc")).status == 200
    assert (world.folder / "one").read_bytes() == b"abc"


async def test_it_is_not_there_unless_it_is_switched_on(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        await world.make_folder()
        assert (await begin(await Collection.open(world), b"abc", "?1")).status == 404
