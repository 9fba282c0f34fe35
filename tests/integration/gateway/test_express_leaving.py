"""Requests that look simple and are not: they are left to the ordinary way, and nothing about that is a defect."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

import pytest
from harness.fields import BODY, metadata
from harness.line import Line
from harness.tus import Collection
from harness.uploads import session_of
from harness.world import Answer, World
from loguru import logger

if TYPE_CHECKING:
    from loguru import Record

pytestmark = [pytest.mark.anyio, pytest.mark.folder]

DATA = b"data"
SHA256 = "0" * 64
PATCH = {**BODY, "Upload-Offset": "0"}
POST = {**BODY, "Upload-Length": "4", "Upload-Metadata": metadata(filename="new")}


@pytest.fixture
def defects() -> Iterator[list[str]]:
    """What is logged of defects."""
    found: list[str] = []

    def take(record: Record) -> bool:
        found.append(record["message"])
        return False  # writing a traceback down blocks

    sink = logger.add(lambda _: None, filter=take, level="ERROR")
    yield found
    logger.remove(sink)


async def ask(world: World, method: str, url: str, fields: Mapping[str, str]) -> Answer:
    """A request that comes in one piece, on a connection that is waited on."""
    data = b"" if method == "GET" else DATA
    length = {"Content-Length": str(len(data))} if data else {}
    lines = [f"{name}: {value}" for name, value in {"Host": "x", **fields, **length}.items()]
    async with Line.open(world) as line:
        line.head("GET", "/", {})
        assert (await line.answer()).status == 200
        line.send("\r\n".join([f"{method} {url} HTTP/1.1", *lines, "", ""]).encode() + data)
        return await line.answer()


@pytest.mark.parametrize(
    ("method", "target", "fields", "status"),
    [
        ("GET", "/nothing", {}, 404),
        ("GET", "/download?token=none", {}, 401),
        ("GET", "/download?token={upload}", {}, 403),
        ("POST", "/files", POST, 401),
        ("POST", "/files?token=none", POST, 401),
        ("POST", "/files?token={upload}", POST, 201),
        ("POST", "/files?token={below}", {**POST, "Tus-Resumable": "0.2.2"}, 412),
        ("POST", "/files?token={below}", {**POST, "Content-Type": "text/plain"}, 415),
        ("POST", "/files?token={below}", {**POST, "Upload-Length": "3"}, 413),
        ("POST", "/files?token={below}", {**POST, "Upload-Length": "5"}, 201),
        ("POST", "/files?token={below}", {**POST, "Upload-Metadata": ""}, 400),
        ("POST", "/files?token={below}", {**POST, "Upload-Metadata": metadata(filename="d", sha256=SHA256)}, 460),
        ("POST", "/files?token={below}", {**POST, "Upload-Metadata": metadata(filename="d", extract="1")}, 400),
        ("PATCH", "/files", PATCH, 405),
        ("PATCH", "/files/{session}", PATCH, 401),
        ("PATCH", "/files/{session}?token={below}", PATCH, 404),
        ("PATCH", "/files/{other}?token={upload}", PATCH, 404),
        ("PATCH", "/files/{session}?token={upload}", {**PATCH, "Tus-Resumable": "0.2.2"}, 412),
        ("PATCH", "/files/{session}?token={upload}", {**PATCH, "Content-Type": "text/plain"}, 415),
        ("PATCH", "/files/{session}?token={upload}", {**PATCH, "Upload-Offset": "1"}, 409),
        ("PATCH", "/files/{session}?token={upload}", {**PATCH, "Upload-Offset": ""}, 400),
        ("PATCH", "/upload?token={below}", PATCH, 403),
        ("PATCH", "/upload?token=none", PATCH, 401),
        ("PATCH", "/upload?token={upload}", {**PATCH, "Upload-Offset": "1"}, 409),
    ],
)
async def test_what_is_left_is_answered_in_the_ordinary_way(
    world: World,
    files: Collection,
    defects: list[str],
    method: str,
    target: str,
    fields: dict[str, str],
    status: int,
) -> None:
    upload = await world.upload_token("named", len(DATA))
    session = session_of(upload)
    url = target.format(upload=upload, below=files.token, session=session, other="f" * 32)
    told = await ask(world, method, url, fields)
    assert told.status == status, told.body
    if status >= 400:  # and whoever refuses it says the same
        ordinary = await ask(world, method, url, {**fields, "X-Unheard-Of": "1"})
        assert (ordinary.status, ordinary.body) == (status, told.body)
    assert not defects
