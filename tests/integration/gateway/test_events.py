"""`GET /events`: following what happens over HTTP."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest
from harness.world import FOLDER, MANAGER_SECRET, OTHER, World

from domain.ids import VFolderId

pytestmark = pytest.mark.anyio


@asynccontextmanager
async def following(world: World, query: str = "", **headers: str) -> AsyncIterator[AsyncIterator[dict[str, str]]]:
    """Messages of the stream, each as its fields."""
    url = f"http://127.0.0.1:{world.manager_port}/events{query}"
    told = {"X-BackendAI-Storage-Auth-Token": MANAGER_SECRET, **headers}
    async with world.session.get(url, headers=told) as answer:
        assert answer.status == 200
        assert answer.headers["Content-Type"].startswith("text/event-stream")
        assert await answer.content.readuntil(b"\n\n") == b"retry: 2000\n\n"

        async def messages() -> AsyncIterator[dict[str, str]]:
            while True:
                lines = (await answer.content.readuntil(b"\n\n")).decode().strip().split("\n")
                yield dict(line.split(": ", 1) for line in lines)

        yield messages()


async def next_of(messages: AsyncIterator[dict[str, str]]) -> tuple[str, str, Any]:
    with anyio.fail_after(5):
        message = await anext(messages)
    return message["id"], message["event"], json.loads(message["data"])


async def test_a_follower_gets_every_event_and_goes_on_where_it_was(world: World) -> None:
    async with following(world, "?types=quota.*,vfolder.*") as messages:
        await world.make_folder()
        kinds = [await next_of(messages) for _ in range(2)]
        assert [kind for _, kind, _ in kinds] == ["quota.scope.created", "vfolder.created"]
        position, _, told = kinds[0]
        assert (told["type"], told["volume"]) == ("quota.scope.created", "disk")
        assert kinds[1][2]["body"]["folder"] == str(VFolderId.parse(FOLDER))
        assert kinds[1][2]["correlation"]
    async with following(world, **{"Last-Event-ID": position}) as messages:
        assert await next_of(messages) == kinds[1]
    async with following(world, f"?after={position}") as messages:
        assert await next_of(messages) == kinds[1]


async def test_events_are_filtered_by_type_volume_and_folder(world: World) -> None:
    async with (
        following(world, "?types=vfolder.*,quota.updated") as types,
        following(world, f"?folder={OTHER}") as folder,
        following(world, "?volume=disk&types=vfolder.deleted") as volume,
        following(world, "?volume=other") as nothing,
    ):
        await world.make_folder()
        await world.make_folder(OTHER)
        await world.manager("POST", "/folder/delete", {"volume": "disk", "vfid": OTHER})
        assert [(await next_of(types))[1] for _ in range(3)] == ["vfolder.created"] * 2 + ["vfolder.deleted"]
        assert [(await next_of(folder))[1] for _ in range(2)] == ["vfolder.created", "vfolder.deleted"]
        assert (await next_of(volume))[2]["key"] == str(VFolderId.parse(OTHER))
        with anyio.move_on_after(0.3) as waiting:
            await anext(nothing)
        assert waiting.cancelled_caught


async def test_a_follower_that_missed_events_is_told(world: World) -> None:
    async with following(world, **{"Last-Event-ID": "99999999999999"}) as messages:
        assert (await next_of(messages))[1:] == ("gap", {})


@pytest.mark.parametrize("told", ["x", "1-2-3", "-1", "9" * 40])
async def test_a_position_nobody_was_told_is_refused(world: World, told: str) -> None:
    answer = await world.manager("GET", "/events", headers={"Last-Event-ID": told})
    assert answer.status == 400
    assert answer.headers["Content-Type"].startswith("application/problem+json")
    assert list(answer.json["data"]) == ["Last-Event-ID"]
    answer = await world.manager("GET", f"/events?after={told}")
    assert (answer.status, list(answer.json["data"])) == (400, ["after"])
    assert (await world.manager("GET", "/events?nonsense=1")).status == 400
    assert (await world.manager("GET", "/events", headers={"X-BackendAI-Storage-Auth-Token": "no"})).status == 403


async def test_followers_are_limited_and_their_places_are_given_back(world: World) -> None:
    limit = world.gate.settings.event_streams
    async with anyio.create_task_group() as tasks:
        ready = anyio.Semaphore(0)

        async def follow() -> None:
            async with following(world):
                ready.release()
                await anyio.sleep_forever()

        for _ in range(limit):
            tasks.start_soon(follow)
        for _ in range(limit):
            await ready.acquire()
        answer = await world.manager("GET", "/events")
        assert (answer.status, "Retry-After" in answer.headers) == (503, True)
        tasks.cancel_scope.cancel()
    await world.make_folder()  # whoever left is noticed when something is written to them
    with anyio.fail_after(10):
        while True:
            try:
                async with following(world):
                    break
            except AssertionError:
                await anyio.sleep(0.05)
    left = [told for told in world.watching.answers if told.endpoint == "/events" and told.status != 503]
    assert {told.status for told in left} == {499}, "a client that leaves is no defect"


async def test_followers_do_not_keep_a_gateway_from_stopping(world: World) -> None:
    async with following(world) as messages:
        world.gate.stopping.set()
        with pytest.raises((StopAsyncIteration, Exception)), anyio.fail_after(5):
            await anext(messages)
