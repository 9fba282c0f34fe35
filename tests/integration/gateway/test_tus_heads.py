"""Whatever a client with a good token sends, nobody else is to blame: no answer says that the server failed."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator
from pathlib import Path

import anyio
import pytest
from harness.fields import BODY, TUS, metadata
from harness.line import Line
from harness.tus import Collection
from harness.world import World, open_world
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

pytestmark = pytest.mark.anyio

MOST = 1 << 20
NO_ASCII = "filename YQ==,cl\xff\xe9 dGVzdA=="
GOOD = "0123456789abcdef" * 2
#: Bytes a field may have: all but those no HTTP library takes.
letters = st.sampled_from("aZ09 ,;:=/+-_.%?&#\"'\t\xff\xe9\xc3\xa9")
odd = st.text(letters, max_size=24)
numbers = st.sampled_from(["0", "1", "3", "100", "007", "-1", "1.5", "abc", "", "9" * 19, "9" * 30]) | odd
FIELDS = {
    "Tus-Resumable": st.just("1.0.0") | st.just("1.0.0") | odd,
    "Content-Type": st.just("application/offset+octet-stream") | odd,
    "Upload-Length": numbers,
    "Upload-Defer-Length": st.just("1") | odd,
    "Upload-Offset": numbers,
    "Upload-Metadata": st.sampled_from(
        [
            metadata(filename="a"),
            metadata(filename="d/한글"),
            metadata(filename="a", extract="1"),
            metadata(filename="a", sha256="0" * 64),
            metadata(filename="../a"),
            NO_ASCII,
            "filename YQ==,raw /w==",
        ]
    )
    | st.builds("filename YQ==,{} dGVzdA==".format, odd)
    | odd,
    "Upload-Concat": st.sampled_from(
        ["partial", f"final;/files/{GOOD}", f"final;http://x/\xe9\xff/{GOOD}", "final;", "final;http://[::1"]
    )
    | odd,
    "Upload-Checksum": st.sampled_from(
        ["sha1 " + base64.b64encode(bytes(20)).decode(), "sha256 " + base64.b64encode(bytes(32)).decode()]
    )
    | odd,
    "X-HTTP-Method-Override": st.sampled_from(["PATCH", "HEAD", "DELETE"]) | odd,
    "X-Request-ID": odd,
    "Origin": st.just("https://a.example") | odd,
    # The library fails at other bytes where there is no route that could look at them.
    "Expect": st.just("100-continue") | st.text("a1-=", max_size=9),
    "Range": st.just("bytes=0-1") | odd,
    "traceparent": odd,
    "tracestate": odd,
    "Authorization": odd,
    "X-Anything": odd,
}
#: What a good request has; of these some are left out, and others come instead or besides.
USUAL = {**BODY, "Upload-Length": "4", "Upload-Offset": "0", "Upload-Metadata": metadata(filename="a")}
others = st.lists(
    st.sampled_from(sorted(FIELDS)).flatmap(lambda name: st.tuples(st.just(name), FIELDS[name])), max_size=6
)
heads = st.builds(
    lambda without, besides: [
        *[(name, value) for name, value in USUAL.items() if name not in without | {name for name, _ in besides}],
        *besides,
    ],
    st.just(set()) | st.sets(st.sampled_from(sorted(USUAL)), max_size=2),
    others,
)
methods = st.sampled_from(["POST", "PATCH", "HEAD", "DELETE", "GET", "OPTIONS"])
places = st.sampled_from(
    ["files", "upload", "files/", "files/{upload}", "files/{other}", "files/%FF%00", "files/%C3"]
)
#: Most of them those that say most.
requests = (
    st.just(("POST", "files"))
    | st.just(("PATCH", "files/{upload}"))
    | st.just(("PATCH", "upload"))
    | st.tuples(methods, places)
)
framings = st.sampled_from(["", "length", "chunked", "gzip, chunked"])


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with open_world(tmp_path, max_upload_bytes=MOST, uploads_per_owner=10_000) as opened:
        await opened.make_folder()
        yield opened


# [A3] [C4]
@settings(max_examples=1000, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(requests, heads, framings, st.binary(max_size=6))
@example(("POST", "files"), [*BODY.items(), ("Upload-Length", "3"), ("Upload-Metadata", NO_ASCII)], "", b"")
@example(
    ("POST", "files"), [*BODY.items(), ("Upload-Length", "3"), ("Upload-Metadata", NO_ASCII)], "length", b"abc"
)
async def test_no_head_is_the_servers_fault(
    world: World, files: Collection, wanted: tuple[str, str], head: list, framing: str, body: bytes
) -> None:
    method, place = wanted
    upload = (await files.begin(4, f"u{len(world.store.records)}")).rpartition("/")[2]
    target = f"/{place.format(upload=upload, other=GOOD)}?token={files.token}"
    if place == "upload":
        target = f"/upload?token={await world.upload_token('t', 4)}"
    fields = [*head, *framed(framing, body)]
    async with Line.open(world) as line:
        line.head(method, target, fields)
        line.send(b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body) if body and "chunked" in framing else body)
        if not body and "chunked" in framing:
            line.send(b"0\r\n\r\n")
        answer = await line.answer(to=method)
        if answer.status == 100:
            answer = await line.answer(to=method)
    assert answer.status < 500 or (answer.status == 501 and framing == "gzip, chunked"), answer.body
    if answer.headers["Server"].startswith("Penstock"):
        assert answer.headers["Tus-Resumable"] == "1.0.0"


def framed(framing: str, body: bytes) -> list[tuple[str, str]]:
    if "chunked" in framing:
        return [("Transfer-Encoding", framing)]
    return [("Content-Length", str(len(body)))] if body or framing else []


# [B6] [B17]
@pytest.mark.parametrize(
    "fields",
    [
        {"Upload-Length": "3", "Upload-Metadata": NO_ASCII},
        {"Upload-Concat": f"final;http://x/\xe9\xff/{GOOD}", "Upload-Metadata": metadata(filename="a")},
        {"Upload-Concat": "final;http://x/\xe9\xff/{part}", "Upload-Metadata": metadata(filename="a")},
    ],
)
async def test_bytes_that_are_no_ascii(world: World, files: Collection, fields: dict[str, str]) -> None:
    part = (await files.begin(3, None, Upload_Concat="partial")).rpartition("/")[2]
    token = {"Authorization": f"Bearer {files.token}"}
    async with Line.open(world) as line:
        line.head("POST", "/files", {**TUS, **token, **{k: v.format(part=part) for k, v in fields.items()}})
        assert (await line.answer()).status == 400


@pytest.mark.parametrize(
    ("method", "target"),
    [("POST", "/files"), ("PATCH", "/files/x"), ("HEAD", "/files/x"), ("DELETE", "/files/x"), ("PATCH", "/upload")],
)
@pytest.mark.parametrize("expected", ["\xff\xe9", "é", "200-ok"])
async def test_what_cannot_be_expected(world: World, method: str, target: str, expected: str) -> None:
    async with Line.open(world) as line:
        line.head(method, target, {**TUS, "Expect": expected})
        answer = await line.answer(to=method)
    assert (answer.status, answer.headers["Tus-Resumable"]) == (417, "1.0.0")


@pytest.mark.parametrize("token", ["é", "\xff", "a\rb", "a b", "%0d%0aX:%20y", ""])
async def test_tokens_that_are_none(world: World, files: Collection, token: str) -> None:
    async with Line.open(world) as line:
        line.head("POST", f"/files?token={files.token}%0d%0aX:%20y", {**TUS, "Upload-Length": "3"})
        assert (await line.answer()).status == 401
        line.head("HEAD", f"/files/{GOOD}", {"Authorization": f"Bearer {token}".replace("\r", "\t")})
        assert (await line.answer(to="HEAD")).status == 401


# [A8] [B3] [B6]
@pytest.mark.parametrize("name", ["Upload-Offset", "Upload-Length", "Upload-Metadata", "Upload-Concat"])
@pytest.mark.parametrize("method", ["POST", "PATCH"])
async def test_what_is_said_twice_is_not_said(world: World, files: Collection, method: str, name: str) -> None:
    """Of two values that differ a proxy may have looked at the other one."""
    url = await files.begin(6)
    token = await world.upload_token("t", 6)
    fields = {**BODY, "Upload-Length": "6", "Upload-Offset": "0", "Upload-Metadata": metadata(filename="b")}
    fields |= {"Upload-Concat": "partial"} if name == "Upload-Concat" else {}
    fields |= {"Content-Length": "3", "Authorization": f"Bearer {files.token}"}
    before = len(world.store.records)
    for target in ("/files",) if method == "POST" else (url, f"/upload?token={token}"):
        for twice in (name, name.lower()):
            async with Line.open(world) as line:
                line.head(method, target, [*fields.items(), (twice, "3" if name != "Upload-Concat" else "partial")])
                line.send(b"abc")
                answer = await line.answer()
                assert (answer.status, list(answer.json["data"])) == (400, [name])
    assert (await files.head(url)).headers["Upload-Offset"] == "0"
    assert len(world.store.records) == before


@pytest.mark.parametrize("coding", ["gzip, chunked", "deflate,chunked", "x, chunked"])
async def test_codings_that_are_not_undone_are_not_stored(world: World, files: Collection, coding: str) -> None:
    url, token = await files.begin(3), await world.upload_token("t", 3)
    before = len(world.store.records)
    fields = {**BODY, "Upload-Length": "3", "Upload-Metadata": metadata(filename="b"), "Transfer-Encoding": coding}
    fields |= {"Authorization": f"Bearer {files.token}", "Upload-Offset": "0"}
    for method, target in (("PATCH", url), ("PATCH", f"/upload?token={token}"), ("POST", "/files")):
        async with Line.open(world) as line:
            line.head(method, target, fields)
            line.send(b"3\r\nabc\r\n0\r\n\r\n")
            answer = await line.answer()
        assert (answer.status, answer.json["type"]) == (501, "urn:penstock:problem:transfer-coding")
    assert (await files.head(url)).headers["Upload-Offset"] == "0"
    assert len(world.store.records) == before
    with anyio.fail_after(5):
        assert (await files.patch(url, 0, b"abc")).status == 204


async def test_chunked_is_a_word_in_any_case(world: World, files: Collection) -> None:
    url = await files.begin(3)
    fields = {
        **BODY,
        "Upload-Offset": "0",
        "Transfer-Encoding": "Chunked",
        "Authorization": f"Bearer {files.token}",
    }
    async with Line.open(world) as line:
        line.head("PATCH", url, fields)
        line.send(b"3\r\nabc\r\n0\r\n\r\n")
        assert (await line.answer()).status == 204
    assert (world.folder / "a").read_bytes() == b"abc"
