"""`Idempotency-Key`: the same request sent again gets the same answer and does nothing more."""

from __future__ import annotations

import anyio
import pytest
from harness.world import FOLDER, OTHER, SCOPE, World

pytestmark = pytest.mark.anyio

CREATE = {"volume": "disk", "vfid": FOLDER}


async def test_a_repeated_request_gets_the_first_answer(world: World) -> None:
    key = {"Idempotency-Key": '"first try"'.replace(" ", "-")}
    for _ in range(3):
        assert (await world.manager("POST", "/folder/create", CREATE, headers=key)).status == 204
    assert (await world.manager("POST", "/folder/create", CREATE)).status == 409
    assert len(world.events("vfolder.created")) == 1
    # A refusal is an answer as well, and stays one when the reason for it is gone.
    refused = {"Idempotency-Key": "second"}
    assert (await world.manager("POST", "/folder/create", CREATE, headers=refused)).status == 409
    assert (await world.manager("POST", "/folder/delete", CREATE)).status == 202
    with anyio.fail_after(5):
        while not world.events("vfolder.deleted"):
            await anyio.sleep(0.01)
    assert (await world.manager("POST", "/folder/create", CREATE, headers=refused)).status == 409
    assert (await world.manager("POST", "/folder/create", CREATE, headers=key)).status == 204
    assert len(world.events("vfolder.created")) == 1


async def test_a_repeated_acceptance_names_the_same_task(world: World) -> None:
    await world.make_folder()
    key = {"Idempotency-Key": "delete-it"}
    answers = [await world.manager("POST", "/folder/delete", CREATE, headers=key) for _ in range(2)]
    assert answers[0].json == answers[1].json


async def test_repetitions_at_the_same_time_are_one(world: World) -> None:
    statuses: list[int] = []

    async def ask() -> None:
        answer = await world.manager("POST", "/folder/create", CREATE, headers={"Idempotency-Key": "k"})
        statuses.append(answer.status)

    async with anyio.create_task_group() as tasks:
        for _ in range(10):
            tasks.start_soon(ask)
    assert statuses == [204] * 10
    assert len(world.events("vfolder.created")) == 1


async def test_a_key_stands_for_one_request(world: World) -> None:
    key = {"Idempotency-Key": "k"}
    assert (await world.manager("POST", "/folder/create", CREATE, headers=key)).status == 204
    for body in ({**CREATE, "vfid": OTHER}, {**CREATE, "mode": 0o700}):
        answer = await world.manager("POST", "/folder/create", body, headers=key)
        assert answer.status == 422
        assert answer.headers["Content-Type"].startswith("application/problem+json")
        assert "reused-key" in answer.json["type"]
    scope = {"volume": "disk", "qsid": SCOPE, "options": {"limit_bytes": 1}}
    assert (await world.manager("PATCH", "/quota-scope", scope, headers=key)).status == 422
    assert len(world.events()) == 2


@pytest.mark.parametrize("key", ["a b", "x" * 256, '""', "\N{LATIN SMALL LETTER E WITH ACUTE}"])
async def test_a_key_that_is_none_is_refused(world: World, key: str) -> None:
    answer = await world.manager("POST", "/folder/create", CREATE, headers={"Idempotency-Key": key})
    assert answer.status == 400
    assert "Idempotency-Key" in answer.body.decode()
    assert world.events() == []
