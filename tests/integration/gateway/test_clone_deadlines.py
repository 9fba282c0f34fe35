"""How long the answer to a clone is waited for, whatever it is that takes long."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import anyio
import pytest
from harness.world import OTHER, open_world

from gateway.commands import Commander

pytestmark = pytest.mark.anyio

SCOPE = "/volumes/disk/quota-scope/user/55555555-5555-4555-8555-555555555555"
FOLDER = "aabb0005-0000-4000-8000-000000000005"


async def test_a_clone_that_is_accepted_late_is_not_waited_for_longer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def stuck(*_: object, **__: object) -> None:
        await anyio.sleep_forever()

    ask = Commander.ask

    async def late(*args: Any) -> Any:
        answer = await ask(*args)
        await anyio.sleep(2.5)
        return answer

    async with open_world(tmp_path, command_seconds=3) as world:
        await world.make_folder(f"user:55555555-5555-4555-8555-555555555555/{FOLDER}")
        world.volume.copy_into = stuck
        monkeypatch.setattr(Commander, "ask", late)
        started = time.monotonic()
        answer = await world.manager("PUT", f"{SCOPE}/vfolder/{FOLDER}/clone", {"dst_vfid": OTHER})
        assert (answer.status, answer.json["type"]) == (504, "urn:penstock:problem:deadline-exceeded")
        assert 2.9 < time.monotonic() - started < 5
