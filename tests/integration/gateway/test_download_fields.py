"""What answers with files say besides their bytes: digests, what caches may do, what browsers may show."""

from __future__ import annotations

import base64
import hashlib
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from harness.world import FOLDER, World, open_world
from multidict import CIMultiDict

pytestmark = pytest.mark.anyio

SMALL, LARGE = b"abc", os.urandom(400_000)
WANTED = {"Want-Repr-Digest": "sha-256=1"}
WANTED_OF_CONTENT = {"Want-Content-Digest": "sha-256=1"}
ORIGIN = {"Origin": "https://app.example"}


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with open_world(tmp_path) as opened:
        await opened.make_folder()
        await opened.upload("small", SMALL)
        await opened.upload("large", LARGE)
        yield opened


def digest(data: bytes) -> str:
    return f"sha-256=:{base64.b64encode(hashlib.sha256(data).digest()).decode()}:"


# [D17]
@pytest.mark.parametrize(("name", "data"), [("small", SMALL), ("large", LARGE)])
async def test_the_digest_of_the_whole_is_told_to_who_wants_it(world: World, name: str, data: bytes) -> None:
    for headers in ({}, {"Range": "bytes=1-1"}, {"Range": "bytes=0-"}):
        answer = await world.download(name, {"Want-Repr-Digest": "sha-512=3, sha-256=10", **headers})
        assert answer.headers["Repr-Digest"] == digest(data)
    assert "Repr-Digest" not in (await world.download(name, {"Want-Repr-Digest": "sha-256=0"})).headers
    target = f"/download?token={await world.download_token(name)}"
    head = await world.client("HEAD", target, headers={**WANTED, **WANTED_OF_CONTENT})
    assert head.headers["Repr-Digest"] == digest(data)
    assert "Content-Digest" not in head.headers
    body = {"volume": "disk", "vfid": FOLDER, "relpath": name}
    fetched = await world.manager("POST", "/folder/file/fetch", body, headers=WANTED)
    assert (fetched.body, fetched.headers["Repr-Digest"]) == (data, digest(data))
    (world.folder / name).write_bytes(b"xyz")
    assert "Repr-Digest" not in (await world.download(name, WANTED)).headers


async def test_it_is_not_told_with_what_is_something_else(world: World) -> None:
    tag = (await world.download("small")).headers["ETag"]
    for headers, status in (
        ({"If-Match": '"another"'}, 412),
        ({"If-None-Match": tag}, 304),
        ({"Range": "bytes=9-"}, 416),
    ):
        answer = await world.download("small", {**WANTED, **WANTED_OF_CONTENT, **headers})
        assert answer.status == status
        assert {"Repr-Digest", "Content-Digest", "X-Checksum-Sha256"}.isdisjoint(answer.headers)


# [D17]
@pytest.mark.parametrize("more", [{}, WANTED])
async def test_the_digest_of_what_is_sent(world: World, more: dict[str, str]) -> None:
    wanted = {**WANTED_OF_CONTENT, **more}
    for name, span, data in (
        ("small", "", SMALL),
        ("small", "bytes=1-", SMALL[1:]),
        ("large", "", LARGE),
        ("large", "bytes=7-9999", LARGE[7:10_000]),
    ):
        answer = await world.download(name, {**wanted, **({"Range": span} if span else {})})
        assert (answer.body, answer.headers["Content-Digest"]) == (data, digest(data))
    assert "Content-Digest" not in (await world.download("small", more)).headers
    # Of a large part nobody knows it before it was sent.
    answer = await world.download("large", {**wanted, "Range": "bytes=1-"})
    assert (answer.status, answer.body) == (206, LARGE[1:])
    assert "Content-Digest" not in answer.headers


# [D17]
async def test_the_checksum_that_is_known(world: World) -> None:
    expected = hashlib.sha256(LARGE).hexdigest()
    assert (await world.download("large")).headers["X-Checksum-Sha256"] == expected
    assert "X-Checksum-Sha256" not in (await world.download("large", {"Range": "bytes=1-"})).headers
    target = f"/download?token={await world.download_token('small')}"
    assert (await world.client("HEAD", target)).headers["X-Checksum-Sha256"] == hashlib.sha256(SMALL).hexdigest()
    (world.folder / "small").write_bytes(b"xyz")
    assert "X-Checksum-Sha256" not in (await world.client("HEAD", target)).headers


# [D16]
async def test_what_caches_may_do(world: World) -> None:
    (world.folder / "d").mkdir()
    (world.folder / "d" / "a").write_bytes(b"a")
    for answer in (
        await world.download("small"),
        await world.download("large"),
        await world.download("small", {"Range": "bytes=1-1"}),
        await world.download("small", {"If-None-Match": "*"}),
        await world.download("small", ORIGIN),
        await world.download("d", archive="1"),
    ):
        assert (answer.headers["Cache-Control"], answer.headers["Vary"]) == ("private", "Origin")
    for name, query in (("small", {}), ("large", {}), ("small", {"archive": "1"}), ("small", {"inline": "1"})):
        answer = await world.download(name, no_cache="true", **query)
        assert answer.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize(
    ("name", "media_type"),
    [
        ("a.txt", "text/plain; charset=utf-8"),
        ("a.PNG", "image/png"),
        ("a.jpeg", "image/jpeg"),
        ("a.gif", "image/gif"),
        ("a.webp", "image/webp"),
        ("a.bmp", "image/bmp"),
        ("한글.mp3", "audio/mpeg"),
        ("a.mp4", "video/mp4"),
        ("a.ogg", "audio/ogg"),
        ("a.ogx", "application/ogg"),
    ],
)
async def test_what_may_be_shown(world: World, name: str, media_type: str) -> None:
    await world.upload(name, SMALL)
    for headers, status in (({}, 200), ({"Range": "bytes=1-"}, 206)):
        answer = await world.download(name, headers, inline="1")
        assert (answer.status, answer.headers["Content-Type"]) == (status, media_type)
        assert answer.headers["Content-Disposition"].startswith("inline;")
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        policy = {part.strip() for part in answer.headers["Content-Security-Policy"].split(";")}
        assert {"sandbox", "default-src 'none'"} <= policy
    saved = await world.download(name)
    assert saved.headers["Content-Type"] == "application/octet-stream"
    assert saved.headers["Content-Disposition"].startswith("attachment;")
    assert "Content-Security-Policy" not in saved.headers


@pytest.mark.parametrize("name", ["a.html", "a.svg", "a.pdf", "a.xml", "a.js", "txt", "a", "a.txt.exe"])
async def test_everything_else_is_saved(world: World, name: str) -> None:
    await world.upload(name, b"<script>alert(1)</script>")
    answer = await world.download(name, inline="1")
    assert answer.headers["Content-Type"] == "application/octet-stream"
    assert answer.headers["Content-Disposition"].startswith("attachment;")
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


async def test_several_lines_of_a_condition(world: World) -> None:
    tag = (await world.download("small")).headers["ETag"]
    for name, status in (("If-Match", 200), ("If-None-Match", 304)):
        headers = CIMultiDict([(name, '"another"'), (name, tag)])
        assert (await world.download("small", headers)).status == status
