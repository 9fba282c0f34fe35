"""What is no HTTP, on both ports: it is answered as any other error, and fills nobody's log."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.typedefs import Handler
from harness.line import Line
from harness.world import MANAGER_SECRET, World, open_world
from loguru import logger

pytestmark = pytest.mark.anyio

PORTS = pytest.mark.parametrize("port", ["client", "manager"])
HOST = b"HTTP/1.1\r\nHost: x\r\n"
SECRET = f"X-BackendAI-Storage-Auth-Token: {MANAGER_SECRET}\r\n".encode()
UNREADABLE = {
    "no HTTP": b"hello\r\n\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(50) + b"\r\n\r\n",
    "another version": b"GET / HTTP/9.9\r\nHost: x\r\n\r\n",
    "a long URL": b"GET /" + b"x" * 70_000 + b" " + HOST + b"\r\n",
    "no URL": b"GET http://[::1/ " + HOST + b"\r\n",
    "no host": b"GET / HTTP/1.1\r\n\r\n",
    "two hosts": b"GET / " + HOST + b"Host: y\r\n\r\n",
    "a field's bytes": b"GET / " + HOST + b"X-Anything: a\x01b\r\n\r\n",
    "no length": b"POST /files " + HOST + b"Content-Length: x\r\n\r\n",
    "two lengths": b"POST /files " + HOST + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\n",
    "two framings": b"POST /files " + HOST + b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "no chunk": b"PATCH /files/x " + HOST + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",
    "no further chunk": (
        b"POST /folder/create " + HOST + SECRET + b"Transfer-Encoding: chunked\r\n\r\n" + b"3\r\n{ }\r\nzz\r\n"
    ),
    "bytes nobody can expect": b"GET /nowhere " + HOST + b"Expect: \xff\r\n\r\n",
}


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with open_world(tmp_path) as opened:
        yield opened


@pytest.fixture
def lines() -> Iterator[list[str]]:
    """What is logged about what cannot be read."""
    found: list[str] = []
    sink = logger.add(lambda line: found.append(str(line)), format="{level} {message}{exception}", level="DEBUG")
    yield found
    logger.remove(sink)


def at(world: World, port: str) -> World:
    """As if the clients' port were that one."""
    return replace(world, client_port=getattr(world, f"{port}_port"))


@PORTS
@pytest.mark.parametrize("data", UNREADABLE.values(), ids=UNREADABLE.keys())
async def test_it_is_answered_by_a_problem_and_is_no_defect(
    world: World, port: str, data: bytes, caplog: pytest.LogCaptureFixture, lines: list[str]
) -> None:
    async with Line.open(at(world, port)) as line:
        line.send(data)
        answer = await line.answer()
        assert await line.has_ended()
    assert answer.status == 400
    assert answer.headers["Content-Type"].startswith("application/problem+json")
    assert answer.headers["Server"] == "Penstock/1.2.3"
    assert (answer.json["type"], answer.json["title"]) == ("urn:penstock:problem:unreadable-request", "Bad Request")
    assert [record for record in caplog.records if record.name.startswith("aiohttp")] == []
    (told,) = [found for found in lines if "cannot be read" in found]
    assert told.startswith("DEBUG ")
    assert told.count("\n") == 1


async def test_what_was_sent_is_not_logged(world: World, lines: list[str]) -> None:
    async with Line.open(world) as line:
        line.send(b"GET http://x:99999/download?token=secret " + HOST + b"\r\n")
        assert (await line.answer()).status == 400
    assert "secret" not in "".join(lines)


@pytest.mark.parametrize(
    "data",
    [
        b"GET http://[::1/download?token=secret " + HOST + b"\r\n",
        b"GET /download?token=secret" + b"x" * 70_000 + b" " + HOST + b"\r\n",
        b"GET /files " + HOST + b"Authorization: secret" + b"x" * 70_000 + b"\r\n\r\n",
    ],
    ids=["no URL", "a long URL", "a long field"],
)
async def test_what_was_sent_is_not_told(world: World, data: bytes) -> None:
    async with Line.open(world) as line:
        line.send(data)
        answer = await line.answer()
    assert answer.status == 400
    assert "cannot be read: " in answer.json["msg"]
    assert "secret" not in answer.body.decode()


@PORTS
async def test_a_defect_is_logged_with_where_it_is(
    tmp_path: Path, port: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    @web.middleware
    async def broken(request: web.Request, handler: Handler) -> web.StreamResponse:
        raise UnicodeEncodeError("ascii", "x", 0, 1, "a defect")

    monkeypatch.setattr("gateway.app.around", lambda *parts: broken)
    async with open_world(tmp_path) as world, Line.open(at(world, port)) as line:
        line.head("GET", "/")
        assert (await line.answer()).status == 500
    (record,) = [record for record in caplog.records if record.name == "aiohttp.server"]
    assert record.levelno == logging.ERROR
    assert record.exc_info
