"""Heads of requests without a body of which it is not clear what they say."""

from __future__ import annotations

import pytest
from harness.fields import TUS
from harness.line import Line
from harness.tus import Collection
from harness.world import World

pytestmark = [pytest.mark.anyio, pytest.mark.folder]


@pytest.mark.parametrize("method", ["HEAD", "DELETE"])
@pytest.mark.parametrize(
    ("name", "value", "status"),
    [("Tus-Resumable", "1.0.0", 400), ("Upload-Offset", "0", 400), ("Transfer-Encoding", "gzip, chunked", 501)],
)
async def test_what_is_said_twice_is_not_said(
    world: World, files: Collection, method: str, name: str, value: str, status: int
) -> None:
    url = await files.begin(6)
    fields = {**TUS, "Authorization": f"Bearer {files.token}"}
    said = [(name, value)] if name == "Transfer-Encoding" else [("Upload-Offset", "0"), (name, value)]
    async with Line.open(world) as line:
        line.head(method, url, [*fields.items(), *said])
        answer = await line.answer(to=method)
    assert answer.status == status
    assert answer.headers["Tus-Resumable"] == "1.0.0"
    assert (await files.head(url)).headers["Upload-Offset"] == "0"
