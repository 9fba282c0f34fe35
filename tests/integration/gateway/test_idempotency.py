"""`Idempotency-Key`: the same request sent again gets the same answer and does nothing more."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import anyio
import pytest
from harness.world import FOLDER, OTHER, SCOPE, World, open_world

from actors.jobs.clone import clone
from actors.jobs.contract import CloneJob
from domain.errors import BackendUnavailableError

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


async def test_a_task_that_was_asked_to_end_is_over_and_the_answer_is_the_same(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        await world.make_folder()
        copy_into = world.volume.copy_into

        async def stuck(*_: object) -> None:
            raise BackendUnavailableError("not now")

        world.volume.copy_into = stuck
        body = {"src_volume": "disk", "src_vfid": FOLDER, "dst_volume": None, "dst_vfid": OTHER}
        task = (await world.manager("POST", "/folder/clone", body)).json["bgtask_id"]
        await world.settled(lambda: world.events("clone.accepted"))
        key = {"Idempotency-Key": "end-it"}
        assert (await world.manager("DELETE", f"/tasks/{task}", headers=key)).status == 202
        world.volume.copy_into = copy_into
        job = CloneJob(volume="disk", build=task)
        await clone(job, {job.volume: world.volume}, world.bus)
        await world.settled(lambda: world.events("clone.abandoned"))
        answer = await world.manager("DELETE", f"/tasks/{task}", headers=key)
        assert (answer.status, answer.json["state"]) == (202, "cancelled")
        assert (await world.manager("DELETE", f"/tasks/{task}")).status == 409
        assert len(world.events("task.cancel.requested")) == 1


@pytest.mark.parametrize("route", ["restore", "purge"])
async def test_the_last_that_was_deleted_stays_the_same_for_a_key(tmp_path: Path, route: str) -> None:
    async with open_world(tmp_path, actors={"trash_seconds": 3600}) as world:
        for _ in range(2):
            await world.make_folder()
            await world.manager("POST", "/folder/delete", CREATE)
            await world.settled(lambda: not world.folder.exists())
        key = {"Idempotency-Key": "have-it"}
        for _ in range(3):
            assert (await world.manager("POST", f"/folder/{route}", CREATE, headers=key)).status == 204
        await anyio.sleep(0.1)
        assert len((await world.manager("GET", "/trash?volume=disk")).json["items"]) == 1
        assert (
            await world.manager("POST", f"/folder/{route}", {**CREATE, "vfid": OTHER}, headers=key)
        ).status == 422


async def test_a_command_for_no_volume_is_told_once(world: World) -> None:
    key, body = {"Idempotency-Key": "delete-it"}, {"volume": "nowhere", "vfid": FOLDER}
    answers = [await world.manager("POST", "/folder/delete", body, headers=key) for _ in range(2)]
    assert [answer.status for answer in answers] == [202, 202]
    assert answers[0].json == answers[1].json
    assert len(world.events("vfolder.delete.failed")) == 1


async def test_a_key_is_not_stuck_on_a_passing_error(tmp_path: Path) -> None:
    made = {"volume": "disk", "vfid": OTHER}
    async with open_world(tmp_path, command_seconds=2) as world:
        await world.make_folder(FOLDER)
        real, first = world.volume.ensure_scope, list[int]()

        async def slow(*args: Any) -> Any:
            if not first:
                first.append(1)
                await anyio.sleep(5)
            return await real(*args)

        world.volume.ensure_scope = slow
        await world.manager("POST", "/folder/create", made)  # 504: it goes on
        key = {"Idempotency-Key": "k"}
        assert (await world.manager("POST", "/folder/delete", made)).status == 202
        assert (await world.manager("POST", "/folder/create", made, headers=key)).status == 504
        await anyio.sleep(3)
        # It was too late when its turn came, and that is told once; then it is begun anew.
        answers = [await world.manager("POST", "/folder/create", made, headers=key) for _ in range(3)]
        assert [answer.status for answer in answers] == [504, 204, 204]
        assert len(world.events("vfolder.created")) == 3


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
