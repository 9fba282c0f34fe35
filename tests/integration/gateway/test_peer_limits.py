"""What one address may ask of each port, over HTTP."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import anyio
import pytest
from harness.fields import BODY
from harness.world import MANAGER_SECRET, ONCE, Answer, World, open_world

pytestmark = pytest.mark.anyio

SECRET = {"X-BackendAI-Storage-Auth-Token": MANAGER_SECRET}


def refused(answer: Answer) -> bool:
    """Whether it was too much; every refusal says when to come again."""
    if answer.status != 429:
        return False
    assert answer.json["type"] == "urn:penstock:problem:too-many"
    assert int(answer.headers["Retry-After"]) >= 1
    return True


async def test_a_rate_holds_on_the_clients_port_only(tmp_path: Path) -> None:
    async with open_world(tmp_path, peer_rate=ONCE) as world:
        assert [refused(await world.client("GET", "/download")) for _ in range(3)] == [False, True, True]
        assert [(await world.manager("GET", "/volumes")).status for _ in range(3)] == [200] * 3
        assert [(await world.client("GET", "/")).status for _ in range(3)] == [200] * 3


async def test_a_rate_of_the_manager_s_port_is_set_by_itself(tmp_path: Path) -> None:
    async with open_world(tmp_path, manager_peer_rate=ONCE) as world:
        assert [refused(await world.manager("GET", "/volumes")) for _ in range(3)] == [False, True, True]
        assert [(await world.client("GET", "/download")).status for _ in range(3)] == [400] * 3


@pytest.mark.parametrize("path", ["/", "/status", "/health", "/docs", "/openapi.json"])
async def test_whoever_watches_over_the_manager_s_port_is_never_refused(tmp_path: Path, path: str) -> None:
    async with open_world(tmp_path, manager_peer_rate=ONCE, manager_peer_requests=1) as world:
        assert [(await world.manager("GET", path)).status for _ in range(3)] == [200] * 3
        assert not refused(await world.manager("GET", "/volumes")), "nor does it count"


async def test_addresses_behind_a_trusted_server_are_told_apart(tmp_path: Path) -> None:
    async with open_world(tmp_path, peer_rate=ONCE, trusted_proxies=["127.0.0.0/8"]) as world:

        async def ask(address: str) -> bool:
            return refused(await world.client("GET", "/download", headers={"X-Forwarded-For": address}))

        assert [await ask("192.0.2.1"), await ask("192.0.2.1"), await ask("192.0.2.2")] == [False, True, False]


async def test_so_many_requests_run_at_once_on_the_clients_port(tmp_path: Path) -> None:
    async with open_world(tmp_path, peer_requests=1) as world:
        await world.make_folder()
        token, more = await world.upload_token("a", 2), anyio.Event()

        async def slowly() -> AsyncIterator[bytes]:
            yield b"1"
            await more.wait()
            yield b"2"

        async def upload() -> None:
            answer = await world.client(
                "PATCH", f"/upload?token={token}", headers={**BODY, "Upload-Offset": "0"}, data=slowly()
            )
            assert answer.status == 204

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(upload)
            await world.settled(lambda: list(world.folder.glob(".upload/*")))
            await _until(world, "GET", "/download", refusing=True)
            assert (await world.client("GET", "/")).status == 200
            more.set()
        assert not refused(await world.client("GET", "/download"))


async def test_so_many_requests_run_at_once_on_the_manager_s_port(tmp_path: Path) -> None:
    async with open_world(tmp_path, manager_peer_requests=2) as world:
        url = f"http://127.0.0.1:{world.manager_port}/events"
        async with world.session.get(url, headers=SECRET) as one, world.session.get(url, headers=SECRET) as two:
            assert (one.status, two.status) == (200, 200)
            assert refused(await world.manager("GET", "/volumes"))
            assert (await world.manager("GET", "/health")).status == 200
            assert (await world.client("GET", "/download")).status == 400


async def _until(world: World, *request: Any, refusing: bool) -> None:
    """Ask until the answer is that."""
    with anyio.fail_after(20):
        while refused(await world.client(*request)) is not refusing:
            await anyio.sleep(0.02)
