"""How connections of the clients' port end, and what is answered to what cannot be read, on both event loops."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import pytest
from aiohttp import ClientError, web
from harness.fields import BODY
from harness.line import Line, told
from harness.redis_server import free_port
from harness.tus import Collection
from harness.world import World, open_world

from gateway.app import client_app, server_options
from gateway.client.connection import ClientHandler, unreadable
from gateway.cors import EXPOSED, Cors
from gateway.settings import ClientListen
from ops.roles.ports import port

pytestmark = pytest.mark.anyio


@pytest.fixture(params=["asyncio", "uvloop"])
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, Any]]:
    return "asyncio", {"use_uvloop": request.param == "uvloop"}


@asynccontextmanager
async def served(path: Path, **gateway: Any) -> AsyncIterator[World]:
    """A gateway whose clients' connections are these."""
    async with open_world(path, **gateway) as world:
        await world.make_folder()
        options = server_options()
        fields = unreadable(Cors(world.gate.settings.allow_origins), "1.2.3")
        own = {name: value for name, value in options.items() if name != "handler_cancellation"}

        def protocols(server: web.Server) -> Any:
            return lambda: ClientHandler(server, asyncio.get_running_loop(), fields, own)

        listen = ClientListen(port=free_port())
        async with port(client_app(world.gate), listen, {**options, "shutdown_timeout": 1.0}, protocols):
            yield replace(world, client_port=listen.port)


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with served(tmp_path) as opened:
        yield opened


UNREADABLE = [
    b"hello\r\n\r\n",
    b"GET /files/" + b"x" * 70_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
    b"PATCH /files/x HTTP/1.1\r\nHost: x\r\nUpload-Metadata: a\x01b\r\n\r\n",
    b"PATCH /files/x HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    b"POST /files HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
]


# [A3] [C2]
@pytest.mark.parametrize("data", UNREADABLE)
async def test_what_cannot_be_read_is_answered_to_be_read(world: World, data: bytes) -> None:
    async with Line.open(world) as line:
        line.send(data)
        answer = await line.answer()
        assert await line.has_ended()
    assert (answer.status, answer.headers["Tus-Resumable"]) == (400, "1.0.0")
    assert answer.headers["Server"] == "Penstock/1.2.3"
    assert answer.headers["Access-Control-Allow-Origin"] == "*"
    assert tuple(told(answer, "Access-Control-Expose-Headers")) == EXPOSED


@pytest.mark.parametrize("host", ["a b", "a/b", "user@a", "a:b", "[::1", "a%2", "\xe9", '"a"'])
@pytest.mark.parametrize("path", ["/", "/files/x", "/nothing"])
async def test_a_host_that_is_none(world: World, host: str, path: str) -> None:
    """RFC 9112 section 3.2: a server has to refuse it."""
    async with Line.open(world) as line:
        line.send(f"GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode("latin-1"))
        answer = await line.answer()
        assert await line.has_ended()
    assert (answer.status, answer.headers["Content-Type"]) == (400, "application/problem+json; charset=utf-8")


@pytest.mark.parametrize("host", ["", "a:", "a_b.example:6021", "[::1]:6021", "[fe80::1%25eth0]", "%ED%95%9C"])
async def test_any_host_may_be_asked(world: World, host: str) -> None:
    async with Line.open(world) as line:
        line.send(f"GET / HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
        assert (await line.answer()).status == 200


# [C2]
async def test_where_origins_are_named_nobody_else_may_read_it(tmp_path: Path) -> None:
    async with served(tmp_path, allow_origins=["https://good.example"]) as world, Line.open(world) as line:
        line.send(b"hello\r\n\r\n")
        answer = await line.answer()
    assert (answer.status, "Access-Control-Allow-Origin" in answer.headers) == (400, False)


# [A9]
async def test_a_body_that_breaks_http_in_its_middle(world: World) -> None:
    """What came before is stored."""
    files = await Collection.open(world)
    url = await files.begin(100)
    fields = {
        **BODY,
        "Authorization": f"Bearer {files.token}",
        "Upload-Offset": "0",
        "Transfer-Encoding": "chunked",
    }
    async with Line.open(world) as line:
        line.head("PATCH", url, fields)
        line.send(b"3\r\nabc\r\n")
        await world.settled(lambda: [p for p in world.folder.glob(".upload/*") if p.stat().st_size])
        line.send(b"zz\r\nXXXX")
        answer = await line.answer()
        assert (answer.status, answer.headers["Tus-Resumable"]) == (400, "1.0.0")
        assert await line.has_ended()
    assert (await files.head(url)).headers["Upload-Offset"] == "3"


# [A10]
async def test_nothing_comes_behind_an_answer_that_was_the_last(world: World) -> None:
    """Its reader need not wait until the library has given up waiting for the body."""
    files = await Collection.open(world)
    url = await files.begin(10)
    fields = {**BODY, "Authorization": f"Bearer {files.token}", "Upload-Offset": "7"}
    async with Line.open(world) as line:
        line.head("PATCH", url, {**fields, "Content-Length": "1000000", "Expect": "100-continue"})
        with anyio.fail_after(5):
            assert (await line.answer()).status == 409
            assert await line.has_ended()


# [A10]
async def test_who_sends_on_still_gets_the_answer(world: World) -> None:
    """A connection that is closed while bytes come is reset, and then its answer may never be read."""
    files = await Collection.open(world)
    url = await files.begin(10)
    fields = {**BODY, "Authorization": f"Bearer {files.token}", "Upload-Offset": "0"}
    async with Line.open(world) as line:
        line.head("PATCH", url, {**fields, "Content-Length": "1000000"})
        for _ in range(100):
            line.send(bytes(10_000))
            await anyio.sleep(0.001)
        assert (await line.answer()).status == 413
        assert await line.has_ended()


async def test_a_connection_that_goes_on_is_left_open(world: World) -> None:
    files = await Collection.open(world)
    url = await files.begin(3)
    async with Line.open(world) as line:
        for offset in range(3):
            fields = {**BODY, "Authorization": f"Bearer {files.token}", "Upload-Offset": str(offset)}
            line.head("PATCH", url, {**fields, "Content-Length": "1"})
            line.send(b"x")
            assert (await line.answer()).status == 204
    assert (world.folder / "a").read_bytes() == b"xxx"


@pytest.mark.parametrize("form", ["zip", "tar", "tar.gz", "deflated.zip"])
async def test_a_defect_in_the_middle_of_an_answer_ends_the_connection(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    async def failing(*_: object, **__: object) -> None:
        raise RuntimeError("a defect")

    async with served(tmp_path) as world:
        (world.folder / "d").mkdir()
        (world.folder / "d" / "a").write_bytes(b"a" * 1000)
        monkeypatch.setattr(type(world.volume.files(None)), "read_many", failing)
        target = f"/download?token={await world.download_token('d')}&archive=1"
        form, compress = form.removeprefix("deflated."), "deflate" if form.startswith("deflated") else "stored"
        with anyio.fail_after(20), pytest.raises(ClientError):
            await world.client("GET", f"{target}&format={form}&compress={compress}")
