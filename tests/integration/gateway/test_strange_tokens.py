"""Tokens of any bytes, over real sockets: refused, and never a defect."""

from __future__ import annotations

import asyncio
import base64
import json
import re

import anyio
import jwt
import pytest
from harness.fields import TUS, metadata
from harness.tus import Collection
from harness.world import TOKEN_SECRET, World

pytestmark = [pytest.mark.anyio, pytest.mark.folder]


async def status(world: World, head: bytes) -> tuple[int, str, bytes]:
    """Send a head by hand; returns status, head and body of the answer."""
    reader, writer = await asyncio.open_connection("127.0.0.1", world.client_port)
    writer.write(head + b"\r\nConnection: close\r\n\r\n")
    with anyio.fail_after(10):
        answer = await reader.read(-1)
    writer.close()
    told, _, body = answer.partition(b"\r\n\r\n")
    return int(told.split(b" ")[1]), told.decode("latin-1"), body


def segment(data: bytes) -> bytes:
    return base64.urlsafe_b64encode(data).rstrip(b"=")


STRANGE = [
    b"%FF%FE",
    b"%ED%A0%80",
    b"%00",
    b"a%0D%0Ab",
    b"..",
    b"a.b.c",
    b"\xff\xfe.\xff.\xff",
    b"%F0%9F%92%A9." * 3,
    segment(b"[" * 30_000) + b"..",
    segment(b'{"alg":"HS256","kid":' + b"[" * 20_000) + b"." + segment(b"{}") + b".AAAA",
    segment(b'{"alg":["none"]}') + b"." + segment(b"{}") + b".",
    segment(b'{"alg":"HS256","kid":{}}') + b"." + segment(b"{}") + b".AAAA",
    b"=" * 5000,
]
ROUTES = [b"GET /download", b"HEAD /download", b"GET /download-archive", b"HEAD /upload", b"PATCH /upload"]


@pytest.mark.parametrize("token", STRANGE, ids=range(len(STRANGE)))
async def test_in_the_query(world: World, token: bytes) -> None:
    for route in ROUTES:
        found, head, _ = await status(world, route + b"?token=" + token + b" HTTP/1.1\r\nHost: a")
        assert found in (400, 401), head


@pytest.mark.parametrize("token", STRANGE, ids=range(len(STRANGE)))
async def test_in_a_header_field(world: World, token: bytes) -> None:
    fields = b"Host: a\r\nTus-Resumable: 1.0.0\r\nUpload-Length: 1\r\nAuthorization: Bearer " + token
    found, head, _ = await status(world, b"POST /files HTTP/1.1\r\n" + fields)
    assert found in (400, 401), head


# [D19]
async def test_bad_tokens_and_those_for_something_else(world: World) -> None:
    """Who is not known is told so (401), and who may not do this (403); both as problem documents (RFC 9457)."""
    good = await world.download_token("f")
    claims = jwt.decode(good, options={"verify_signature": False})
    forged = jwt.encode(claims, "another secret, as long as it should be")
    expired = jwt.encode({**claims, "exp": 1}, TOKEN_SECRET)
    upload = await world.upload_token("new", 1)
    outside = jwt.encode({**claims, "unmanaged_path": "/etc"}, TOKEN_SECRET)
    for token, expected in ((forged, 401), (expired, 401), ("x", 401), (upload, 403), (outside, 403), (good, 404)):
        found, head, body = await status(world, f"GET /download?token={token} HTTP/1.1\r\nHost: a".encode())
        assert found == expected
        assert "application/problem+json" in head
        assert ("WWW-Authenticate: Bearer" in head) == (expected == 401)
        assert token.encode() not in body
        assert "type" in json.loads(body)
    for token, expected in ((good, 403), (forged, 401), (upload, 403)):
        assert (await world.client("GET", f"/download-archive?token={token}")).status == expected
    assert (await world.client("GET", "/download")).status == 400


# [C3]
@pytest.mark.gateway(resumable_uploads=True)
@pytest.mark.parametrize("token", ["x", "a%0D%0AX-Injected:%20b", "%ED%95%9C", "%FF", "a.b.c"])
async def test_no_location_repeats_what_nobody_looked_at(world: World, files: Collection, token: str) -> None:
    """Beside a Bearer token, which is the one that counts, the query may say anything."""
    created = {**TUS, "Upload-Length": "3", "Upload-Metadata": metadata(filename="a")}
    begun = {"Upload-Complete": "?0", "Content-Disposition": 'inline; filename="b"'}
    for path, fields in (("files", created), ("uploads", begun)):
        answer = await files.ask("POST", f"/{path}?token={token}", fields)
        assert answer.status == 201
        assert re.fullmatch(rf"{path}/[0-9a-f]{{32}}", answer.headers["Location"])
        assert "X-Injected" not in answer.headers
