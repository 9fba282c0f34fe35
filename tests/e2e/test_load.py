"""Many clients at once, and clients that mean harm: memory stays bounded, others are served."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import os
import re
import resource
from collections.abc import Iterator
from pathlib import Path

import anyio
import pytest
from harness.peak import Peak
from harness.processes import FOLDER, Site, open_site

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(180)]

MIB = 1 << 20
#: Memory one connection with bytes on their way may take, and 1,000 that wait altogether.
EACH = MIB // 2
LIMIT = 150 << 20


@pytest.fixture(autouse=True)
def many_files() -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 16_384), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with open_site(tmp_path, gateway__uploads_per_owner=5000) as opened:
        opened.start("actor")
        opened.start("gateway")
        opened.api.make_folder()
        yield opened


class Client:
    """One connection to the collection."""

    def __init__(self, site: Site, token: str) -> None:
        self._port = site.api.client_port
        self._token = token

    async def __aenter__(self) -> Client:
        self.reader, self.writer = await asyncio.open_connection("127.0.0.1", self._port)
        return self

    async def __aexit__(self, *_: object) -> None:
        self.writer.close()
        with contextlib.suppress(ConnectionError):
            await self.writer.wait_closed()

    def head(self, method: str, target: str, **fields: object) -> None:
        lines = [f"{method} {target} HTTP/1.1", "Host: x", "Tus-Resumable: 1.0.0"]
        lines += [f"Authorization: Bearer {self._token}", "Content-Type: application/offset+octet-stream"]
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in fields.items()]
        self.writer.write("\r\n".join([*lines, "", ""]).encode())

    async def answer(self) -> tuple[int, str]:
        head = await self.reader.readuntil(b"\r\n\r\n")
        length = re.search(rb"(?i)content-length: (\d+)", head)
        await self.reader.readexactly(int(length[1]) if length else 0)
        location = re.search(rb"(?i)location: (\S+)", head)
        return int(head.split()[1]), "/" + location[1].decode() if location else ""

    async def begin(self, name: str, size: int) -> str:
        metadata = f"filename {base64.b64encode(name.encode()).decode()}"
        self.head("POST", "/files", Upload_Length=size, Upload_Metadata=metadata, Content_Length=0)
        status, url = await self.answer()
        assert status == 201
        return url

    async def send(self, url: str, data: bytes) -> None:
        self.head("PATCH", url, Upload_Offset=0, Content_Length=len(data))
        self.writer.write(data)
        await self.writer.drain()
        status, _ = await self.answer()
        assert status == 204


def token_of(site: Site) -> str:
    body = {"volume": "disk", "vfid": FOLDER, "owner": "somebody"}
    return str(site.api.manager("POST", "/folder/file/upload-below", body).json["token"])


async def test_five_hundred_uploads_at_once(site: Site) -> None:
    token, data = token_of(site), os.urandom(MIB)

    async def upload(number: int) -> None:
        async with Client(site, token) as client:
            await client.send(await client.begin(f"f{number}", len(data)), data)

    with Peak(site) as peak:
        async with anyio.create_task_group() as tasks:
            for number in range(500):
                tasks.start_soon(upload, number)
    digest = hashlib.sha256(data).digest()
    for number in range(500):
        assert hashlib.sha256((site.folder / f"f{number}").read_bytes()).digest() == digest
    assert len(site.events("file.uploaded")) == 500
    assert peak.bytes - peak.idle < 500 * EACH, (peak.idle, peak.bytes)


async def test_a_thousand_uploads_that_wait(site: Site) -> None:
    token = token_of(site)
    waiting: list[Client] = []

    async def begin(numbers: range) -> None:
        for number in numbers:
            client = await Client(site, token).__aenter__()
            url = await client.begin(f"f{number}", MIB)
            client.head("PATCH", url, Upload_Offset=0, Content_Length=MIB)
            client.writer.write(bytes(1000))
            waiting.append(client)

    with Peak(site) as peak:
        async with anyio.create_task_group() as tasks:
            for start in range(0, 1000, 100):
                tasks.start_soon(begin, range(start, start + 100))
        with anyio.fail_after(10):
            async with Client(site, token) as client:
                await client.send(await client.begin("other", 5 * MIB), bytes(5 * MIB))
    assert (site.folder / "other").stat().st_size == 5 * MIB
    assert peak.bytes - peak.idle < LIMIT, (peak.idle, peak.bytes)
    for client in waiting:
        client.writer.transport.abort()


async def test_heads_that_never_end(site: Site) -> None:
    token = token_of(site)
    async with contextlib.AsyncExitStack() as stack:
        for _ in range(300):
            client = await stack.enter_async_context(Client(site, token))
            client.writer.write(b"PATCH /files/x HTTP/1.1\r\nHost: x\r\nX: ")
        async with Client(site, token) as client:
            with anyio.fail_after(10):
                await client.send(await client.begin("a", 3 * MIB), bytes(3 * MIB))
    assert (site.folder / "a").stat().st_size == 3 * MIB


async def test_bodies_that_trickle(site: Site) -> None:
    token = token_of(site)
    async with contextlib.AsyncExitStack() as stack:
        slow: list[Client] = []
        for number in range(200):
            client = await stack.enter_async_context(Client(site, token))
            url = await client.begin(f"s{number}", MIB)
            client.head("PATCH", url, Upload_Offset=0, Content_Length=MIB)
            slow.append(client)

        async def trickle() -> None:
            while True:
                for client in slow:
                    client.writer.write(b"x")
                await anyio.sleep(0.1)

        async with anyio.create_task_group() as tasks, Client(site, token) as client:
            tasks.start_soon(trickle)
            await anyio.sleep(0.5)
            with anyio.fail_after(20):
                await client.send(await client.begin("a", 50 * MIB), bytes(50 * MIB))
            tasks.cancel_scope.cancel()
        for client in slow:
            client.writer.transport.abort()
    assert (site.folder / "a").stat().st_size == 50 * MIB
