"""Archives of which nothing may be missing, that nobody may keep, and that have no date."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from anyio import to_thread
from harness.served import FORMS, Served, served
from harness.unpacked import files_of
from harness.world import World, open_world

from backends.mounted.files import MountedFiles

pytestmark = pytest.mark.anyio

FLOWING = ["deflated.zip", "tar.gz", "tar.zst"]
SIZED = ["zip", "tar"]
PAST = "Thu, 01 Jan 1970 00:00:00 GMT"
FUTURE = "Fri, 31 Dec 9999 00:00:00 GMT"


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with open_world(tmp_path) as opened:
        await opened.make_folder()
        (opened.folder / "d").mkdir()
        (opened.folder / "d" / "a").write_bytes(b"aaa")
        (opened.folder / "d" / "b").write_bytes(b"bb")
        yield opened


@pytest.fixture
async def archives(world: World) -> AsyncIterator[Served]:
    async with served(world) as found:
        yield found


@pytest.mark.parametrize("form", FORMS)
async def test_an_archive_nothing_is_missing_of(archives: Served, form: str) -> None:
    answer = await archives.get(form, strict=True)
    assert (answer.status, files_of(form, answer.body)) == (200, {"a": b"aaa", "b": b"bb"})


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_an_archive_of_which_something_would_be_missing(
    world: World, archives: Served, form: str, method: str
) -> None:
    for number in range(5):
        os.mkfifo(world.folder / "d" / f"pipe{number}")
    assert (await archives.get(form, method=method)).status == 200
    answer = await archives.get(form, method=method, strict=True)
    assert (answer.status, answer.headers["Content-Type"]) == (409, "application/problem+json; charset=utf-8")
    if method == "GET":
        assert (answer.json["type"], answer.json["left_out"]) == ("urn:penstock:problem:conflict", 5)
        assert "pipe0: a link out of its directory, or no file" in answer.json["msg"]
        assert answer.json["msg"].endswith("; and 2 more")


@pytest.mark.parametrize(("form", "status"), [("zip", 409), ("deflated.zip", 409), ("tar", 200), ("tar.gz", 200)])
async def test_links_are_missing_where_there_are_none(
    world: World, archives: Served, form: str, status: int
) -> None:
    (world.folder / "d" / "link").symlink_to("a")
    assert (await archives.get(form, strict=True)).status == status


@pytest.mark.parametrize("form", FORMS)
async def test_what_vanishes_on_the_way_ends_an_archive_nothing_may_be_missing_of(
    world: World, archives: Served, monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    read = MountedFiles.read_many

    async def changed(self: MountedFiles, *arguments: Any, **more: Any) -> Any:
        await to_thread.run_sync(partial((world.folder / "d" / "a").unlink, missing_ok=True))
        return await read(self, *arguments, **more)

    monkeypatch.setattr(MountedFiles, "read_many", changed)
    with pytest.raises(aiohttp.ClientError):
        await archives.get(form, strict=True)


@pytest.mark.parametrize("form", FORMS)
async def test_an_archive_nobody_may_keep(archives: Served, form: str) -> None:
    for method in ("GET", "HEAD"):
        assert (await archives.get(form, method=method, no_cache=True)).headers["Cache-Control"] == "no-store"
        assert "no-store" not in (await archives.get(form, method=method)).headers.get("Cache-Control", "")


@pytest.mark.parametrize("form", SIZED)
async def test_an_archive_has_no_date(archives: Served, form: str) -> None:
    whole = await archives.get(form)
    tag = whole.headers["ETag"]
    for method in ("GET", "HEAD"):
        assert "Last-Modified" not in (await archives.get(form, method=method)).headers
    assert "Last-Modified" not in (await archives.get(form, headers={"If-None-Match": tag})).headers
    assert "Last-Modified" not in (await archives.get(form, headers={"Range": "bytes=9999999-"})).headers
    for date in (PAST, FUTURE):
        for field in ("If-Modified-Since", "If-Unmodified-Since", "If-Range"):
            for part in ({}, {"Range": "bytes=5-"}):
                answer = await archives.get(form, headers={field: date, **part})
                if field == "If-Modified-Since" and part:
                    assert (answer.status, answer.body) == (206, whole.body[5:])
                else:
                    assert (answer.status, answer.body) == (200, whole.body), (field, date, part)
    # Tags say what they always said, beside dates as well.
    for headers, status in (
        ({"If-None-Match": tag, "If-Modified-Since": PAST}, 304),
        ({"If-Match": '"other"', "If-Unmodified-Since": FUTURE}, 412),
        ({"If-Range": tag, "Range": "bytes=5-"}, 206),
        ({"If-Range": '"other"', "Range": "bytes=5-"}, 200),
    ):
        assert (await archives.get(form, headers=headers)).status == status


@pytest.mark.parametrize("form", FLOWING)
@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_an_archive_that_flows_has_no_tag_either(archives: Served, form: str, method: str) -> None:
    """Only `*` means it (RFC 9110 sections 13.1.1 and 13.1.2), so nobody is sent it in place of another one."""
    for headers, status in (
        ({"If-Match": '"other"'}, 412),
        ({"If-Match": '"other"', "Range": "bytes=5-"}, 412),
        ({"If-Match": "*"}, 200),
        ({"If-None-Match": "*"}, 304),
        ({"If-None-Match": '"other"'}, 200),
        ({"If-Unmodified-Since": PAST}, 200),
        ({"If-Modified-Since": FUTURE}, 200),
    ):
        answer = await archives.get(form, method=method, headers=headers)
        assert answer.status == status, headers
        assert bool(answer.body) == (status == 200 and method == "GET")
        assert answer.headers["Cache-Control"] == "private"
        assert "ETag" not in answer.headers
    assert answer.headers["Content-Type"].startswith("application/")


@pytest.mark.parametrize("form", SIZED)
async def test_a_file_that_goes_or_an_older_one_that_comes_makes_another_archive(
    world: World, archives: Served, form: str
) -> None:
    tags = {(await archives.get(form)).headers["ETag"]}
    (world.folder / "d" / "b").unlink()
    tags.add((await archives.get(form)).headers["ETag"])
    (world.folder / "d" / "c").write_bytes(b"c")
    os.utime(world.folder / "d" / "c", (1, 1))
    tags.add((await archives.get(form)).headers["ETag"])
    assert len(tags) == 3


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_who_speaks_http_1_0_gets_it_as_well(world: World, archives: Served, form: str, method: str) -> None:
    """As nginx does by default, on the connection to whom it stands before."""
    reader, writer = await asyncio.open_connection("127.0.0.1", archives.port)
    writer.write(f"{method} /?form={form}&path=d HTTP/1.0\r\nHost: localhost\r\n\r\n".encode())
    data = await asyncio.wait_for(reader.read(), 20)
    writer.close()
    head, _, body = data.partition(b"\r\n\r\n")
    status, *fields = head.decode().lower().splitlines()
    assert status.split()[1] == "200", status
    assert not any(field.startswith("transfer-encoding") for field in fields)
    if method == "HEAD":
        assert body == b""
    else:
        assert files_of(form, body) == {"a": b"aaa", "b": b"bb"}
    if form in FLOWING:
        assert not any(field.startswith("content-length") for field in fields)
        assert "connection: keep-alive" not in fields


@pytest.mark.parametrize("form", FLOWING)
async def test_an_archive_that_breaks_is_not_taken_for_whole_by_who_speaks_http_1_0(
    world: World, archives: Served, monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    for name in "cdefgh":
        (world.folder / "d" / name).write_bytes(os.urandom(2 << 20))
    (world.folder / "d" / "z").write_bytes(b"z")

    async def gone(self: MountedFiles, *arguments: Any, **more: Any) -> Any:
        await to_thread.run_sync(partial((world.folder / "d" / "h").unlink, missing_ok=True))
        return await read(self, *arguments, **more)

    read = MountedFiles.read_many
    monkeypatch.setattr(MountedFiles, "read_many", gone)
    reader, writer = await asyncio.open_connection("127.0.0.1", archives.port)
    writer.write(f"GET /?form={form}&path=d&strict=1 HTTP/1.0\r\nHost: localhost\r\n\r\n".encode())
    with pytest.raises(ConnectionError):
        await asyncio.wait_for(reader.read(), 20)
    writer.close()
