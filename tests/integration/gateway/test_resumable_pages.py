"""What browsers are told before their pages may upload, and what everybody is who asks for the limits."""

from __future__ import annotations

from pathlib import Path

import pytest
from harness.tus import Collection
from harness.world import Answer, World, open_world
from integration.gateway.resumable_client import MOST, RESUMABLE, append, begin, begun, look, opened

pytestmark = [pytest.mark.anyio, pytest.mark.folder, RESUMABLE]

ORIGIN = "https://app.example"
UPLOAD = f"/uploads/{'0' * 32}"
SENT = {
    *("authorization", "content-type", "upload-complete", "upload-offset", "upload-length"),
    *("upload-draft-interop-version", "content-disposition", "content-digest", "repr-digest"),
    *("want-content-digest", "want-repr-digest"),
}
READ = {
    *("upload-complete", "upload-offset", "upload-length", "upload-limit", "upload-draft-interop-version"),
    *("location", "accept-patch", "retry-after", "repr-digest", "x-request-id"),
}


def listed(answer: Answer, name: str) -> set[str]:
    return {one.strip().lower() for one in answer.headers[f"Access-Control-{name}"].split(",")}


# [R8]
@pytest.mark.parametrize("path", ["/uploads", UPLOAD])
@pytest.mark.parametrize("fields", [{}, {"Upload-Complete": "?1"}])
async def test_the_limits_are_told(world: World, path: str, fields: dict[str, str]) -> None:
    answer = await world.client("OPTIONS", path, headers=fields)
    assert (answer.status, answer.body) == (200, b"")
    assert answer.headers["Upload-Limit"] == f"max-size={MOST}, min-size=0"
    assert answer.headers["Accept-Patch"] == "application/partial-upload"
    assert not [name for name in answer.headers if name.startswith("Access-Control-")]


# [R8]
@pytest.mark.parametrize("path", ["/uploads", UPLOAD])
async def test_a_browser_asks_for_its_page(world: World, path: str) -> None:
    """Nobody has a token then."""
    asking = {"Origin": ORIGIN, "Access-Control-Request-Method": "PATCH"}
    asking["Access-Control-Request-Headers"] = ",".join(sorted(SENT))
    answer = await world.client("OPTIONS", path, headers=asking)
    assert answer.status == 200
    assert answer.headers["Access-Control-Allow-Origin"] == ORIGIN
    assert answer.headers["Access-Control-Allow-Credentials"] == "true"
    assert answer.headers["Access-Control-Max-Age"] == "86400"
    assert answer.headers["Vary"] == "Origin"
    assert listed(answer, "Allow-Methods") == {"get", "head", "post", "put", "patch", "delete", "options"}
    assert listed(answer, "Allow-Headers") >= SENT
    assert listed(answer, "Expose-Headers") >= READ
    assert answer.headers["Accept-Patch"] == "application/partial-upload"
    assert answer.headers["Upload-Limit"] == f"max-size={MOST}, min-size=0"


async def test_a_page_reads_every_answer(world: World, files: Collection) -> None:
    origin = {"Origin": ORIGIN}
    url = await begun(files, b"abc", **origin)
    for status, answer in (
        (204, await files.ask("HEAD", url, origin)),
        (409, await append(files, url, 1, "?0", b"x", **origin)),
        (400, await append(files, url, 3, "yes", b"x", **origin)),
        (415, await append(files, url, 3, "?0", b"x", **{**origin, "Content-Type": "text/plain"})),
        (413, await begin(files, b"", "?0", Upload_Length=str(MOST + 1), **origin)),
        (404, await files.ask("HEAD", UPLOAD, origin)),
        (405, await files.ask("PUT", url, origin)),
        (401, await world.client("POST", "/uploads", headers=origin)),
        (204, await files.ask("DELETE", url, origin)),
        (410, await files.ask("HEAD", url, origin)),
    ):
        assert answer.status == status
        assert answer.headers["Access-Control-Allow-Origin"] == ORIGIN
        assert listed(answer, "Expose-Headers") >= READ


async def test_pages_of_other_origins_may_not(tmp_path: Path) -> None:
    async with opened(tmp_path, allow_origins=(ORIGIN,)) as world:
        asking = {"Origin": "https://other.example", "Access-Control-Request-Method": "POST"}
        answer = await world.client("OPTIONS", "/uploads", headers=asking)
        assert "Access-Control-Allow-Origin" not in answer.headers


async def test_nothing_of_it_is_told_where_it_is_switched_off(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        for path in ("/uploads", UPLOAD):
            answer = await world.client("OPTIONS", path, headers={"Origin": ORIGIN})
            assert answer.status == 404
            assert "Upload-Limit" not in answer.headers


async def test_what_is_said_to_pages_elsewhere_is_as_it_was(world: World) -> None:
    answer = await world.client("OPTIONS", "/files", headers={"Origin": ORIGIN})
    assert "accept-patch" not in listed(answer, "Expose-Headers")
    assert "put" not in listed(answer, "Allow-Methods")


async def test_limits_of_an_upload_say_how_long_it_is_kept(files: Collection) -> None:
    url = await begun(files, b"abc")
    limits = dict(one.split("=") for one in (await look(files, url)).headers["Upload-Limit"].split(", "))
    assert (limits["max-size"], limits["min-size"]) == (str(MOST), "0")
    assert 0 < int(limits["max-age"]) <= 86400
