"""Limits of the folder and the scope a world has, and uploads that have to fit."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from harness.world import FOLDER, SCOPE, World

from domain.errors import BusBrokenError
from gateway.quotas import Quotas
from gateway.uploads.growing import Reservations


async def limit_folder(world: World, folder: str = FOLDER, **options: int) -> None:
    body = {"volume": "disk", "vfid": folder, "options": options}
    answer = await world.manager("PUT", "/folder/quota", body)
    assert answer.status == 204, answer.body


async def limit_scope(world: World, **options: int) -> None:
    answer = await world.manager("PATCH", "/quota-scope", {"volume": "disk", "qsid": SCOPE, "options": options})
    assert answer.status == 204, answer.body


async def quota_of(world: World, folder: str = FOLDER) -> Any:
    return (await world.manager("GET", "/folder/quota", {"volume": "disk", "vfid": folder})).json


def on_disk(world: World) -> int:
    """Bytes of finished files."""
    paths = [path for path in world.folder.rglob("*") if path.is_file() and ".upload" not in path.parts]
    return sum(path.stat().st_size for path in paths)


async def begin(world: World, name: str, size: int, folder: str = FOLDER) -> int:
    """Begin an upload; tells how that was answered."""
    body = {"volume": "disk", "vfid": folder, "relpath": name, "size": size}
    answer = await world.manager("POST", "/folder/file/upload", body)
    if answer.status != 200:
        return answer.status
    head = {"Tus-Resumable": "1.0.0"}
    return (await world.client("HEAD", f"/upload?token={answer.json['token']}", headers=head)).status


@contextmanager
def dying_before_it_is_judged(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Whoever reserves something meanwhile dies once that is recorded: it is neither judged nor taken back."""
    put, steps = Reservations._put, list[int]()

    async def dying(*args: Any) -> None:
        steps.append(1)
        if len(steps) > 1:
            raise BusBrokenError("dead")
        await put(*args)

    async def died(*_: object) -> None:
        raise BusBrokenError("dead")

    with monkeypatch.context() as patched:
        patched.setattr(Reservations, "_put", dying)
        patched.setattr(Quotas, "judge", died)
        yield
