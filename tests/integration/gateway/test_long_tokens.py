"""Tokens of long paths and many files, over real sockets."""

from __future__ import annotations

import asyncio
import os
from typing import Any

import anyio
import jwt
import pytest
from harness.fields import BODY, TUS
from harness.world import FOLDER, TOKEN_SECRET, World

from gateway.tokens import MAX_TOKEN_BYTES

pytestmark = [pytest.mark.anyio, pytest.mark.folder]

DATA = b"0123456789"
#: 510 letters of three bytes each.
LONG = "/".join(["한" * 85] * 6)


async def made(world: World, kind: str, **body: Any) -> Any:
    return await world.manager("POST", f"/folder/file/{kind}", {"volume": "disk", "vfid": FOLDER, **body})


async def told(world: World, head: str) -> tuple[int, str, bytes]:
    """Send a head by hand; returns status, head and body of the answer."""
    reader, writer = await asyncio.open_connection("127.0.0.1", world.client_port)
    writer.write(head.encode("ascii"))
    with anyio.fail_after(10):
        text = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        length = int(text.lower().partition("content-length: ")[2].partition("\r\n")[0] or 0)
        body = await reader.readexactly(0 if head.startswith("HEAD") else length)
    writer.close()
    return int(text.split(" ")[1]), text, body


async def test_a_file_with_a_long_path(world: World) -> None:
    await world.upload(LONG, DATA)
    token = await world.download_token(LONG)
    assert len(token) > 4096
    for fields in ("Host: a", "Host: a\r\nX-Unheard-Of: 1"):
        status, _, body = await told(world, f"GET /download?token={token} HTTP/1.1\r\n{fields}\r\n\r\n")
        assert (status, body) == (200, DATA)
    assert (await world.download(LONG, archive="1")).status == 200


async def test_uploads_to_a_long_path(world: World) -> None:
    token = await world.upload_token(f"1/{LONG}", len(DATA))
    assert len(token) > 4096
    head = await world.client("HEAD", f"/upload?token={token}", headers=TUS)
    assert (head.status, head.headers["Upload-Offset"]) == (200, "0")
    assert (await world.patch(token, 0, DATA)).status == 204
    for number, where in enumerate(("query", "header"), 2):
        below = (await made(world, "upload-below", relpath=f"{number}/{LONG}")).json["token"]
        assert len(below) > 4096
        fields = {**TUS, "Upload-Length": str(len(DATA)), "Upload-Metadata": "filename eA=="}
        if where == "header":
            fields["Authorization"] = f"Bearer {below}"
        target = f"/files?token={below}" if where == "query" else "/files"
        answer = await world.client("POST", target, headers=fields)
        assert answer.status == 201, answer.body
        more = {"Authorization": f"Bearer {below}"} if where == "header" else {}
        location = f"/{answer.headers['Location']}"
        sent = await world.client("PATCH", location, headers={**BODY, "Upload-Offset": "0", **more}, data=DATA)
        assert sent.status == 204
        assert (world.folder / f"{number}/{LONG}" / "x").read_bytes() == DATA


def padded(name: str, length: int) -> str:
    """A path to a name, as long as that."""
    return "./" * ((length - len(name)) // 2) + name


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_the_longest_token_passes(world: World, method: str) -> None:
    await world.upload("f", DATA)
    token = (await made(world, "download", relpath=padded("f", 45_700))).json["token"]
    assert MAX_TOKEN_BYTES - 400 < len(token) <= MAX_TOKEN_BYTES
    for fields in ("Host: a", f"Host: a\r\nReferer: {'r' * 60_000}\r\nIf-None-Match: {'x' * 3000}"):
        head = f"{method} /download?token={token}&archive=0&no_cache=1 HTTP/1.1\r\n{fields}\r\n\r\n"
        status, _, body = await told(world, head)
        assert (status, body) == (200, DATA if method == "GET" else b"")
    upload = (await made(world, "upload", relpath=padded("up", 45_600), size=len(DATA))).json["token"]
    assert len(upload) > MAX_TOKEN_BYTES - 600
    assert (await world.patch(upload, 0, DATA, dst_dir="d" * 255)).status == 204
    below = (await made(world, "upload-below", relpath=LONG)).json["token"]
    answer = await world.client(
        "POST",
        "/files",
        headers={**TUS, "Authorization": f"Bearer {below}{'=' * (MAX_TOKEN_BYTES - 2 * len(below))}"},
    )
    assert answer.status == 401


async def test_a_token_that_would_be_longer_is_not_made(world: World) -> None:
    long = padded("f", 47_000)
    for kind, more in (("upload", {"size": 1}), ("download", {})):
        answer = await made(world, kind, relpath=long, **more)
        assert (answer.status, answer.json["max_bytes"]) == (413, MAX_TOKEN_BYTES)
        assert answer.headers["Content-Type"].startswith("application/problem+json")
    # This one keeps its path as short as it can be.
    assert (await made(world, "upload-below", relpath=long)).status == 200
    assert not list(world.path.rglob(".upload"))


async def test_tokens_that_are_too_long_are_none(world: World) -> None:
    token = (await made(world, "download", relpath="f")).json["token"]
    claims = jwt.decode(token, options={"verify_signature": False})
    long = jwt.encode({**claims, "nobody's": "x" * 46_500}, TOKEN_SECRET)
    assert MAX_TOKEN_BYTES < len(long) < 64 << 10
    for route, method in (("/download", "GET"), ("/download-archive", "GET"), ("/upload", "HEAD")):
        assert 400 <= (await world.client(method, f"{route}?token={long}")).status < 404
    bearer = {**TUS, "Authorization": f"Bearer {long}", "Upload-Length": "1"}
    assert (await world.client("POST", "/files", headers=bearer)).status == 401


async def test_a_long_line_that_is_no_token_is_refused_by_the_library(world: World) -> None:
    status, _, _ = await told(world, f"GET /download?token={os.urandom(40_000).hex()} HTTP/1.1\r\nHost: a\r\n\r\n")
    assert status == 400
