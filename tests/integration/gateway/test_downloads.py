"""Downloads by token: ranges, conditions, names (RFC 9110, RFC 6266)."""

from __future__ import annotations

import email
import email.policy
import errno
import os
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import quote

import pytest
from harness.world import World, open_world

from gateway.protocol.disposition import attachment
from gateway.transfer.tail import TAIL_BYTES

pytestmark = pytest.mark.anyio

DATA = bytes(number * 7 % 256 for number in range(1024))


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with open_world(tmp_path) as opened:
        await opened.make_folder()
        await opened.upload("f.bin", DATA)
        yield opened


# [D1]
async def test_a_whole_file(world: World) -> None:
    answer = await world.download("f.bin")
    assert (answer.status, answer.body) == (200, DATA)
    assert answer.headers["Content-Length"] == "1024"
    assert answer.headers["Accept-Ranges"] == "bytes"
    assert answer.headers["Content-Type"] == "application/octet-stream"
    assert answer.headers["Content-Disposition"] == "attachment;filename=\"f.bin\"; filename*=UTF-8''f.bin"
    assert answer.headers["ETag"].startswith('"')
    assert answer.headers["Last-Modified"].endswith(" GMT")
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


# [D2]
async def test_the_head_of_a_file(world: World) -> None:
    token = await world.download_token("f.bin")
    for headers in ({}, {"Range": "bytes=0-9"}):
        answer = await world.client("HEAD", f"/download?token={token}", headers=headers)
        assert (answer.status, answer.body) == (200, b"")
        assert answer.headers["Content-Length"] == "1024"


# [D3] [D16]
@pytest.mark.parametrize(
    ("value", "start", "end"),
    [
        ("bytes=0-9", 0, 10),
        ("bytes=500-", 500, 1024),
        ("bytes=-5", 1019, 1024),
        ("bytes=1000-99999", 1000, 1024),
        ("bytes=-99999", 0, 1024),
        ("bytes=1023-1023", 1023, 1024),
        ("BYTES=0-0", 0, 1),
        ("bytes=000-009", 0, 10),
    ],
)
async def test_one_range(world: World, value: str, start: int, end: int) -> None:
    answer = await world.download("f.bin", {"Range": value})
    assert (answer.status, answer.body) == (206, DATA[start:end])
    assert answer.headers["Content-Range"] == f"bytes {start}-{end - 1}/1024"
    whole = await world.download("f.bin")
    for name in (
        *("ETag", "Last-Modified", "Cache-Control", "Vary"),
        *("Content-Type", "Content-Disposition", "Accept-Ranges"),
    ):
        assert answer.headers[name] == whole.headers[name]


# [D4] [D5]
@pytest.mark.parametrize("value", ["bytes=1024-", "bytes=2000-3000", "bytes=-0"])
async def test_a_range_that_is_not_there(world: World, value: str) -> None:
    answer = await world.download("f.bin", {"Range": value})
    assert (answer.status, answer.body) == (416, b"")
    assert answer.headers["Content-Range"] == "bytes */1024"


# [D6] [D7]
@pytest.mark.parametrize(
    "value", ["items=0-1", "bytes=abc", "bytes=9-0", "bytes=", "bytes", "bytes=1-2-3", "bytes=--1"]
)
async def test_ranges_that_are_passed_over(world: World, value: str) -> None:
    answer = await world.download("f.bin", {"Range": value})
    assert (answer.status, answer.body) == (200, DATA)


# [D8]
@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("bytes=0-1,90-91", [(0, 2), (90, 92)]),
        ("bytes=-3, 0-0 ,2000-", [(1021, 1024), (0, 1)]),
        ("bytes=0-9,5-19,130-139", [(0, 20), (130, 140)]),
        ("bytes=0-9,20-29,120-129", [(0, 30), (120, 130)]),
        ("bytes=0-9,91-99", [(0, 10), (91, 100)]),
    ],
)
async def test_several_ranges(world: World, value: str, expected: list[tuple[int, int]]) -> None:
    answer = await world.download("f.bin", {"Range": value})
    assert answer.status == 206
    assert "Content-Range" not in answer.headers
    assert int(answer.headers["Content-Length"]) == len(answer.body)
    text = b"Content-Type: " + answer.headers["Content-Type"].encode() + b"\r\n\r\n" + answer.body
    parts = email.message_from_bytes(text, policy=email.policy.HTTP).get_payload()
    found = [(part["Content-Range"], part.get_payload(decode=True)) for part in parts]
    assert found == [(f"bytes {start}-{end - 1}/1024", DATA[start:end]) for start, end in expected]
    assert {part["Content-Type"] for part in parts} == {"application/octet-stream"}


# [D8]
@pytest.mark.parametrize(("value", "end"), [("bytes=0-1,5-6", 7), ("bytes=90-99,0-9", 100), ("bytes=0-9,5-7", 10)])
async def test_ranges_near_each_other_are_one(world: World, value: str, end: int) -> None:
    answer = await world.download("f.bin", {"Range": value})
    assert (answer.status, answer.body) == (206, DATA[:end])
    assert answer.headers["Content-Range"] == f"bytes 0-{end - 1}/1024"


# [D8]
@pytest.mark.parametrize(
    "value", ["bytes=" + ",".join(f"{n}-{n}" for n in range(0, 100, 3)), "bytes=0-,0-,0-", "bytes=0-1000,1-1001"]
)
async def test_floods_of_ranges_get_the_whole(world: World, value: str) -> None:
    answer = await world.download("f.bin", {"Range": value})
    assert (answer.status, answer.body) == (200, DATA)


# [D11] [D12]
async def test_conditions(world: World) -> None:
    first = await world.download("f.bin")
    tag, date = first.headers["ETag"], first.headers["Last-Modified"]
    old, new = "Mon, 01 Jan 2001 00:00:00 GMT", "Fri, 01 Jan 2100 00:00:00 GMT"
    for headers, status in (
        ({"If-None-Match": tag}, 304),
        ({"If-None-Match": f"W/{tag}"}, 304),
        ({"If-None-Match": "*"}, 304),
        ({"If-None-Match": f'"other", {tag}'}, 304),
        ({"If-None-Match": '"other"'}, 200),
        ({"If-None-Match": '"other"', "If-Modified-Since": new}, 200),
        ({"If-Modified-Since": date}, 304),
        ({"If-Modified-Since": new}, 304),
        ({"If-Modified-Since": old}, 200),
        ({"If-Modified-Since": "nonsense"}, 200),
        ({"If-Match": tag}, 200),
        ({"If-Match": "*"}, 200),
        ({"If-Match": '"other"'}, 412),
        ({"If-Match": f"W/{tag}"}, 412),
        ({"If-Match": tag, "If-Unmodified-Since": old}, 200),
        ({"If-Unmodified-Since": old}, 412),
        ({"If-Unmodified-Since": date}, 200),
    ):
        answer = await world.download("f.bin", headers)
        assert answer.status == status, headers
        assert len(answer.body) == (1024 if status == 200 else 0)
        if status == 304:
            assert (answer.headers["ETag"], answer.headers["Last-Modified"]) == (tag, date)


# [D9] [D10]
async def test_a_range_only_of_the_file_it_is_meant_for(world: World) -> None:
    os.utime(world.folder / "f.bin", (10**9, 10**9))
    first = await world.download("f.bin")
    tag, date = first.headers["ETag"], first.headers["Last-Modified"]
    for value, status in (
        (tag, 206),
        ('"other"', 200),
        (f"W/{tag}", 200),
        (f'{tag}, "other"', 200),
        (date, 206),
        ("Mon, 01 Jan 2001 00:00:00 GMT", 200),
        ("Fri, 01 Jan 2100 00:00:00 GMT", 200),
        ("nonsense", 200),
    ):
        answer = await world.download("f.bin", {"If-Range": value, "Range": "bytes=0-9"})
        assert answer.status == status, value


# [D14]
async def test_an_empty_file(world: World) -> None:
    await world.upload("empty", b"")
    answer = await world.download("empty")
    assert (answer.status, answer.body, answer.headers["Content-Length"]) == (200, b"", "0")
    for value in ("bytes=0-", "bytes=0-0", "bytes=-1"):
        answer = await world.download("empty", {"Range": value})
        assert (answer.status, answer.headers["Content-Range"]) == (416, "bytes */0"), value


async def test_another_file_of_the_same_name_has_another_tag(world: World) -> None:
    tags = {(await world.download("f.bin")).headers["ETag"]}
    for _ in range(3):
        await world.upload("f.bin", DATA)
        tags.add((await world.download("f.bin")).headers["ETag"])
    assert len(tags) == 4


# [D13]
async def test_a_compressed_neighbour_is_not_sent_instead(world: World) -> None:
    await world.upload("f.bin.gz", b"compressed")
    answer = await world.download("f.bin", {"Accept-Encoding": "gzip"})
    assert answer.body == DATA


async def test_names_that_are_no_utf8(world: World) -> None:
    directory = world.folder / os.fsdecode(b"d\xe9")
    directory.mkdir()
    (directory / os.fsdecode(b"\xff.csv")).write_bytes(b"foreign")
    inside, name = "d\U0010ffe9", "\U0010ffff.csv"
    for headers in ({}, {"Range": "bytes=0-"}, {"X-Unheard-Of": "1"}):
        answer = await world.download(f"{inside}/{name}", headers)
        assert answer.body == b"foreign"
    token = await world.download_token(name)
    assert (await world.client("GET", f"/download?token={token}&dst_dir={quote(inside)}")).body == b"foreign"
    assert (await world.client("GET", f"/download?token={token}&dst_dir=d")).status == 404


# [D18]
async def test_a_directory_may_be_added_by_the_request(world: World) -> None:
    await world.upload("d/e/x", b"deep")
    token = await world.download_token("x")
    assert (await world.client("GET", f"/download?token={token}&dst_dir=d/e")).body == b"deep"
    for below in ("..", "/d", "d/../../x", "nope"):
        answer = await world.client("GET", f"/download?token={token}&dst_dir={below}")
        assert answer.status == 404
        assert answer.json["type"].endswith("/probs/storage/file-not-found")


async def test_what_is_not_there_or_no_file(world: World) -> None:
    (world.folder / "d").mkdir()
    assert (await world.download("nope")).status == 404
    assert (await world.download("d")).status == 400
    assert (await world.download("d", archive="1")).status == 200
    for wrong in ("no_cache=maybe", "archive=7", "zzz=1"):
        token = await world.download_token("f.bin")
        assert (await world.client("GET", f"/download?token={token}&{wrong}")).status == 400


async def test_a_link_inside_is_followed(world: World) -> None:
    os.symlink("f.bin", world.folder / "link")
    answer = await world.download("link")
    assert answer.body == DATA
    assert 'filename="link"' in answer.headers["Content-Disposition"]


# [D8] [D15]
@pytest.mark.parametrize("more", [{}, {"X-Unheard-Of": "1"}])
async def test_another_file_of_the_same_size_time_and_inode_has_another_tag(
    world: World, more: dict[str, str]
) -> None:
    """As it is left by tools that copy times, where numbers of inodes are used again."""
    path = world.folder / "again"
    path.write_bytes(b"first")
    known = path.stat()
    tag = (await world.download("again", more)).headers["ETag"]
    path.write_bytes(b"other")
    os.utime(path, ns=(known.st_atime_ns, known.st_mtime_ns))
    now = path.stat()
    assert (now.st_ino, now.st_size, now.st_mtime_ns) == (known.st_ino, known.st_size, known.st_mtime_ns)
    answer = await world.download("again", {"Range": "bytes=1-", "If-Range": tag, **more})
    assert (answer.status, answer.body) == (200, b"other")
    assert answer.headers["ETag"] != tag


# [D15]
async def test_a_file_that_gets_shorter_ends_the_connection(world: World) -> None:
    import aiohttp

    path = world.folder / "big"
    with path.open("wb") as file:
        file.truncate(50_000_000)
    token = await world.download_token("big")
    url = f"http://127.0.0.1:{world.client_port}/download?token={token}"
    async with world.session.get(url) as answer:
        await answer.content.readexactly(1000)
        os.truncate(path, 1000)
        with pytest.raises(aiohttp.ClientPayloadError):
            await answer.read()


@pytest.mark.parametrize("number", [errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP])
async def test_a_file_system_that_passes_no_pages_on(
    world: World, number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, asked = os.urandom(TAIL_BYTES + (3 << 20)), list[int]()
    (world.folder / "large").write_bytes(data)

    def refusing(*_: int) -> int:
        asked.append(1)
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "sendfile", refusing)
    assert (await world.download("large")).body == data
    assert asked == [1]


async def test_a_page_of_another_origin_may_download(world: World) -> None:
    token = await world.download_token("f.bin")
    origin = {"Origin": "https://app.example"}
    answer = await world.client("GET", f"/download?token={token}", headers=origin)
    assert answer.headers["Access-Control-Allow-Origin"] == "https://app.example"
    assert answer.headers["Access-Control-Allow-Credentials"] == "true"
    assert "Content-Range" in answer.headers["Access-Control-Expose-Headers"]
    missing = await world.client("GET", "/download?token=abc", headers=origin)
    assert missing.headers["Access-Control-Allow-Origin"] == "https://app.example"
    preflight = await world.client(
        "OPTIONS", "/download", headers={**origin, "Access-Control-Request-Method": "GET"}
    )
    assert preflight.status == 200
    assert "Range" in preflight.headers["Access-Control-Allow-Headers"]
    assert (await world.client("OPTIONS", "/download")).status == 403


async def test_only_named_origins_where_they_are_named(tmp_path: Path) -> None:
    async with open_world(tmp_path, allow_origins=["https://good.example"]) as world:
        for origin, allowed in (("https://good.example", True), ("https://bad.example", False)):
            answer = await world.client("GET", "/", headers={"Origin": origin})
            assert answer.json["type"] == "client-facing"
            assert ("Access-Control-Allow-Origin" in answer.headers) == allowed


@pytest.mark.parametrize(
    ("name", "plain"),
    [
        ("f.bin", "f.bin"),
        ("한글.zip", "__.zip"),
        ("한글", "download"),
        ("%41%zz 100%.txt", "_41%zz 100%.txt"),
        ('a"b\\c\r\nX: y', "a_b_c__X: y"),
        ("...", "download"),
        ("it's (1)*.txt", "it's (1)*.txt"),
        ("x" * 250 + ".gz", "x" * 197 + ".gz"),
        ("x" * 250 + ".tar.gz", "x" * 193 + ".tar.gz"),
        ("x" * 250 + ".v1.2.tar.zst", "x" * 192 + ".tar.zst"),
        ("x" * 250 + ".tar", "x" * 196 + ".tar"),
        ("x" * 250 + "." + "y" * 30, "x" * 200),
    ],
)
def test_any_name_makes_a_header(name: str, plain: str) -> None:
    value = attachment(name)
    assert f'filename="{plain}"' in value
    assert "\r" not in value
    assert "\n" not in value
    encoded = value.partition("UTF-8''")[2]
    assert all(sign not in encoded for sign in "'()* \"")
