"""Many clients at once, and clients that mean harm: memory stays bounded, others are served."""

from __future__ import annotations

import hashlib
import os
import resource
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import anyio
import pytest
from harness.fields import BODY, metadata
from harness.line import Line
from harness.peak import Peak
from harness.processes import FOLDER, Site, open_site

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(180)]

MIB = 1 << 20
#: Memory one connection with bytes on their way may take, and 1,000 that wait altogether.
EACH = MIB // 2
LIMIT = 150 << 20
#: How long an answer may take where there are very many at once, in seconds.
PATIENT = 120.0


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


class Client(Line):
    """One connection to the collection."""

    token = ""

    def ask(self, method: str, target: str, **fields: object) -> None:
        told = {name.replace("_", "-"): str(value) for name, value in fields.items()}
        self.head(method, target, {**BODY, "Authorization": f"Bearer {self.token}", **told})

    async def begin(self, name: str, size: int) -> str:
        self.ask("POST", "/files", Upload_Length=size, Upload_Metadata=metadata(filename=name), Content_Length=0)
        answer = await self.answer(patience=PATIENT)
        assert answer.status == 201
        return "/" + str(answer.headers["Location"])

    async def upload(self, url: str, data: bytes) -> None:
        self.ask("PATCH", url, Upload_Offset=0, Content_Length=len(data))
        self.send(data)
        await self.drain()
        assert (await self.answer(patience=PATIENT)).status == 204


@asynccontextmanager
async def connected(site: Site, token: str) -> AsyncIterator[Client]:
    async with Client.open(site.api) as client:
        client.token = token
        yield client


def token_of(site: Site) -> str:
    body = {"volume": "disk", "vfid": FOLDER, "owner": "somebody"}
    return str(site.api.manager("POST", "/folder/file/upload-below", body).json["token"])


async def test_five_hundred_uploads_at_once(site: Site) -> None:
    token, data = token_of(site), os.urandom(MIB)

    async def upload(number: int) -> None:
        async with connected(site, token) as client:
            await client.upload(await client.begin(f"f{number}", len(data)), data)

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

    async def begin(numbers: range) -> None:
        for number in numbers:
            client = await waiting.enter_async_context(connected(site, token))
            url = await client.begin(f"f{number}", MIB)
            client.ask("PATCH", url, Upload_Offset=0, Content_Length=MIB)
            client.send(bytes(1000))

    async with AsyncExitStack() as waiting:
        with Peak(site) as peak:
            async with anyio.create_task_group() as tasks:
                for start in range(0, 1000, 100):
                    tasks.start_soon(begin, range(start, start + 100))
            with anyio.fail_after(10):
                async with connected(site, token) as client:
                    await client.upload(await client.begin("other", 5 * MIB), bytes(5 * MIB))
    assert (site.folder / "other").stat().st_size == 5 * MIB
    assert peak.bytes - peak.idle < LIMIT, (peak.idle, peak.bytes)


async def test_heads_that_never_end(site: Site) -> None:
    token = token_of(site)
    async with AsyncExitStack() as stack:
        for _ in range(300):
            client = await stack.enter_async_context(connected(site, token))
            client.send(b"PATCH /files/x HTTP/1.1\r\nHost: x\r\nX: ")
        async with connected(site, token) as client:
            with anyio.fail_after(10):
                await client.upload(await client.begin("a", 3 * MIB), bytes(3 * MIB))
    assert (site.folder / "a").stat().st_size == 3 * MIB


async def test_bodies_that_trickle(site: Site) -> None:
    token = token_of(site)
    async with AsyncExitStack() as stack:
        slow: list[Client] = []
        for number in range(200):
            client = await stack.enter_async_context(connected(site, token))
            url = await client.begin(f"s{number}", MIB)
            client.ask("PATCH", url, Upload_Offset=0, Content_Length=MIB)
            slow.append(client)

        async def trickle() -> None:
            while True:
                for client in slow:
                    client.send(b"x")
                await anyio.sleep(0.1)

        async with anyio.create_task_group() as tasks, connected(site, token) as client:
            tasks.start_soon(trickle)
            await anyio.sleep(0.5)
            with anyio.fail_after(20):
                await client.upload(await client.begin("a", 50 * MIB), bytes(50 * MIB))
            tasks.cancel_scope.cancel()
    assert (site.folder / "a").stat().st_size == 50 * MIB
