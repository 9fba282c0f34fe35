"""`X-HTTP-Method-Override`: the method that is meant, whatever the request line says."""

from __future__ import annotations

from typing import Any

import pytest
from harness.begun import DATA, begin, send
from harness.fields import BODY, metadata
from harness.line import Line
from harness.tus import Collection
from harness.world import Answer, World

pytestmark = [pytest.mark.anyio, pytest.mark.folder]

#: Methods of request lines; those no client would have reason to send included.
METHODS = pytest.mark.parametrize("method", ["POST", "PATCH", "GET", "HEAD", "DELETE", "PUT", "OPTIONS"])


def meaning(method: str, **more: str) -> dict[str, str]:
    dashed = {name.replace("_", "-"): told for name, told in more.items()}
    return {**BODY, "X-HTTP-Method-Override": method, **dashed}


async def answered_in_full(files: Collection, method: str, url: str, fields: dict[str, str], data: bytes) -> Answer:
    """The answer to a request, on a connection that is good for another one behind it."""
    length = {"Content-Length": str(len(data))} if data else {}
    async with Line.open(files.world) as line:
        line.head(method, url, {"Authorization": f"Bearer {files.token}", **fields, **length})
        line.send(data)
        answer = await line.answer(method)
        line.head("GET", "/")
        assert (await line.answer()).status == 200
    return answer


# [A15]
@METHODS
async def test_an_upload_is_used_as_it_is_meant(world: World, files: Collection, method: str) -> None:
    url = await files.begin(6)
    stored = await answered_in_full(files, method, url, meaning("PATCH", Upload_Offset="0"), b"abc")
    assert (stored.status, stored.headers["Upload-Offset"]) == (204, "3")
    head = await answered_in_full(files, method, url, meaning("head"), b"")
    assert (head.status, head.headers["Upload-Offset"], head.headers["Upload-Length"]) == (200, "3", "6")
    assert head.headers["Cache-Control"] == "no-store"
    refused = await answered_in_full(files, method, url, meaning("PATCH", Upload_Offset="1"), b"")
    assert refused.status == 409
    assert bool(refused.body) is (method != "HEAD")
    assert (await answered_in_full(files, method, url, meaning("DELETE"), b"")).status == 204
    assert (await files.head(url)).status == 410


# [A15]
@METHODS
async def test_the_upload_of_a_token_is_used_as_it_is_meant(world: World, method: str) -> None:
    begun = await begin(world, "token")
    more: dict[str, Any] = {"X_HTTP_Method_Override": "HEAD", "Content_Type": "", "Content_Length": ""}
    head = await send(world, begun, b"", method=method, **more)
    assert (head.status, head.headers["Upload-Offset"], head.headers["Upload-Length"]) == (200, "0", str(len(DATA)))
    assert (await send(world, begun, method=method, X_HTTP_Method_Override="PATCH")).status == 204
    assert (world.folder / "new/a").read_bytes() == DATA
    refused = await send(world, begun, b"", method=method, X_HTTP_Method_Override="DELETE")
    assert (refused.status, refused.headers["Allow"]) == (405, "HEAD,OPTIONS,PATCH")


async def asked_for(world: World, method: str, target: str, meant: str, **more: str) -> int:
    """The first answer to a head whose body waits to be asked for."""
    async with Line.open(world) as line:
        line.head(method, target, {**meaning(meant, **more), "Content-Length": "3", "Expect": "100-continue"})
        return (await line.answer(method)).status


# [A15]
@METHODS
async def test_a_body_is_asked_for_as_it_is_meant(world: World, files: Collection, method: str) -> None:
    token = await world.upload_token("a", 6)
    targets = [(f"/upload?token={token}", {}), (await files.begin(6), {"Authorization": f"Bearer {files.token}"})]
    for target, more in targets:
        assert await asked_for(world, method, target, "PATCH", Upload_Offset="5", **more) == 409
        assert await asked_for(world, method, target, "HEAD", **more) == 200
        assert await asked_for(world, method, target, "PUT", **more) == 405
        assert await asked_for(world, method, target, "PATCH", Upload_Offset="0", **more) == 100


@pytest.mark.parametrize(
    ("target", "allowed"),
    [
        ("/upload?token=x", "HEAD,OPTIONS,PATCH"),
        ("/files", "OPTIONS,POST"),
        ("/files/", "OPTIONS,POST"),
        ("/files/x", "DELETE,GET,HEAD,OPTIONS,PATCH,POST"),
    ],
)
async def test_methods_that_are_none_are_refused_before_a_body_is_asked_for(
    world: World, target: str, allowed: str
) -> None:
    async with Line.open(world) as line:
        line.head("PUT", target, {**BODY, "Content-Length": "3", "Expect": "100-continue"})
        answer = await line.answer()
    assert (answer.status, answer.headers["Allow"], answer.body) == (405, allowed, b"405: Method Not Allowed")


# [A15]
@pytest.mark.parametrize(
    ("target", "meant", "allowed"),
    [
        ("/upload?token=x", "PUT", "HEAD,OPTIONS,PATCH"),
        ("/files", "PUT", "OPTIONS,POST"),
        ("/files/x", "PUT", "DELETE,GET,HEAD,OPTIONS,PATCH,POST"),
        ("/files/x", "POST", "DELETE,GET,HEAD,OPTIONS,PATCH,POST"),
    ],
)
async def test_told_are_the_methods_there_are(world: World, target: str, meant: str, allowed: str) -> None:
    """RFC 9110 section 15.5.6: those of this URL, and not those that may be meant somewhere."""
    async with Line.open(world) as line:
        line.head("POST", target, {**meaning(meant), "Content-Length": "0"})
        answer = await line.answer()
    assert (answer.status, answer.headers["Allow"]) == (405, allowed)


# [A15]
@pytest.mark.parametrize("meant", ["PATCH", "DELETE", "HEAD", "PUT", ""])
async def test_nothing_is_begun_that_is_not_meant_to_be(world: World, files: Collection, meant: str) -> None:
    fields = {**meaning(meant, Upload_Length="3", Upload_Offset="0"), "Upload-Metadata": metadata(filename="a")}
    for data in (None, b"abc"):
        answer = await files.ask("POST", "/files", fields, data)
        assert answer.status == 405
        assert "Location" not in answer.headers
    assert not (world.folder / "a").exists()
    assert not world.events("file.uploaded")


@METHODS
@pytest.mark.parametrize("meant", ["PUT", "OPTIONS", "", "PATCH, PATCH"])
async def test_what_nobody_can_mean(world: World, files: Collection, method: str, meant: str) -> None:
    url = await files.begin(3)
    answer = await files.ask(method, url, meaning(meant, Upload_Offset="0"))
    if meant == method:
        assert answer.status in (204, 405)
    else:
        assert (answer.status, answer.headers["Allow"]) == (405, "DELETE,GET,HEAD,OPTIONS,PATCH,POST")
    assert (await files.head(url)).headers["Upload-Offset"] == "0"


async def test_no_two_methods_are_meant(world: World, files: Collection) -> None:
    url = await files.begin(3)
    async with Line.open(world) as line:
        fields = [*BODY.items(), ("Authorization", f"Bearer {files.token}")]
        line.head("POST", url, [*fields, *[("X-HTTP-Method-Override", name) for name in ("HEAD", "DELETE")]])
        answer = await line.answer()
    assert (answer.status, list(answer.json["data"])) == (400, ["X-HTTP-Method-Override"])
    assert (await files.head(url)).status == 200


async def test_who_means_what_he_sends(world: World, files: Collection) -> None:
    answer = await files.create(3, data=b"abc", X_HTTP_Method_Override="POST")
    assert (answer.status, answer.headers["Upload-Offset"]) == (201, "3")
    read = await files.ask("GET", "/" + answer.headers["Location"], meaning("GET"))
    assert (read.status, read.body) == (200, b"abc")


async def test_elsewhere_it_means_nothing(world: World) -> None:
    assert (await world.client("GET", "/", headers=meaning("DELETE"))).status == 200
