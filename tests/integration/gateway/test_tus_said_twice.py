"""Heads of requests without a body of which it is not clear what they say."""

from __future__ import annotations

import pytest
from harness.fields import BODY, TUS
from harness.line import Line
from harness.tus import Collection
from harness.world import World
from integration.gateway.resumable_client import RESUMABLE

from gateway.app import client_app

pytestmark = [pytest.mark.anyio, pytest.mark.folder, RESUMABLE]

#: Routes that do nothing but tell what can be done, or that this method cannot.
TELLING = {
    ("OPTIONS", "/upload"),
    ("OPTIONS", "/uploads"),
    ("OPTIONS", "/uploads/{session}"),
    ("POST", "/files/{session}"),
}


@pytest.mark.parametrize(
    ("method", "collection"),
    [
        ("HEAD", "files"),
        ("GET", "files"),
        ("DELETE", "files"),
        ("OPTIONS", "files"),
        ("HEAD", "uploads"),
        ("GET", "uploads"),
        ("DELETE", "uploads"),
        ("HEAD", "upload"),
    ],
)
@pytest.mark.parametrize(
    ("name", "value", "status"),
    [("Tus-Resumable", "1.0.0", 400), ("Upload-Offset", "0", 400), ("Transfer-Encoding", "gzip, chunked", 501)],
)
async def test_what_is_said_twice_is_not_said(
    world: World, files: Collection, method: str, collection: str, name: str, value: str, status: int
) -> None:
    url = await files.begin(6)
    asked = f"/upload?token={await world.upload_token('n', 5)}"
    asked = asked if collection == "upload" else url.replace("files", collection)
    fields = {**TUS, "Authorization": f"Bearer {files.token}"}
    said = [(name, value)] if name == "Transfer-Encoding" else [("Upload-Offset", "0"), (name, value)]
    async with Line.open(world) as line:
        line.head(method, asked, [*fields.items(), *said])
        answer = await line.answer(to=method)
    assert answer.status == status
    assert answer.headers.get("Tus-Resumable") == (None if collection == "uploads" else "1.0.0")
    assert (await files.head(url)).headers["Upload-Offset"] == "0"


async def test_no_route_of_uploads_takes_what_is_not_clear(world: World, files: Collection) -> None:
    routes = {(route.method, route.resource.canonical) for route in client_app(world.gate).router.routes()}
    asked = {(method, path) for method, path in routes if "/upload" in path or "/files" in path} - TELLING
    token, url = await world.upload_token("n", 5), await files.begin(6)
    session = url.rpartition("/")[2]
    for method, path in sorted(asked):
        if method == "*":
            continue
        bearer = token if path == "/upload" or method == "PUT" else files.token
        target = f"{path.replace('{session}', session)}?token={bearer}"
        async with Line.open(world) as line:
            line.head(method, target, {**BODY, "Upload-Length": "5", "Transfer-Encoding": "gzip, chunked"})
            assert (await line.answer(to=method)).status == 501, (method, path)
    assert len(asked) > 14
    assert (await files.head(url)).headers["Upload-Offset"] == "0"
