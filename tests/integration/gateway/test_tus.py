"""The tus collection, for stock clients: core, creation, creation-with-upload, termination, expiration."""

from __future__ import annotations

import base64
import os
from email.utils import parsedate_to_datetime
from typing import Any

import pytest
from harness.fields import BODY, TUS
from harness.line import Line
from harness.world import Answer, World

from domain.errors import BusBrokenError
from gateway.uploads.sessions import Sessions

pytestmark = [pytest.mark.anyio, pytest.mark.folder]


async def create(world: World, token: str, length: object, **headers: str) -> Answer:
    fields = {**TUS, "Authorization": f"Bearer {token}", "Upload-Length": str(length), **headers}
    return await world.client("POST", "/files", headers=fields)


async def patch(world: World, url: str, offset: object, data: Any, **headers: str) -> Answer:
    fields = {**BODY, "Upload-Offset": str(offset), **headers}
    return await world.client("PATCH", url, headers=fields, data=data)


async def begun(world: World, name: str, size: int) -> tuple[str, dict[str, str]]:
    """URL and authorization of a new upload."""
    token = await world.upload_token(name, size)
    answer = await create(world, token, size)
    assert answer.status == 201, answer.body
    return "/" + answer.headers["Location"], {"Authorization": f"Bearer {token}"}


# [A1] [B13]
async def test_what_the_collection_can(world: World) -> None:
    answer = await world.client("OPTIONS", "/files", headers={"Tus-Resumable": "9.9.9"})
    assert answer.status == 204
    assert answer.headers["Tus-Version"] == "1.0.0"
    assert answer.headers["Tus-Max-Size"] == str(100 << 30)
    assert set(answer.headers["Tus-Extension"].split(",")) == {
        "creation",
        "creation-with-upload",
        "creation-defer-length",
        "termination",
        "expiration",
        "checksum",
        "concatenation",
        "concatenation-unfinished",
    }
    assert answer.headers["Tus-Checksum-Algorithm"] == "sha1,sha256,sha512,md5,crc32"


# [A4] [A9] [B1] [B11]
async def test_an_upload_from_creation_to_file(world: World) -> None:
    data = os.urandom(50_000)
    url, auth = await begun(world, "a", len(data))
    head = await world.client("HEAD", url, headers={**TUS, **auth})
    assert (head.status, head.headers["Upload-Offset"], head.headers["Upload-Length"]) == (200, "0", "50000")
    assert head.headers["Cache-Control"] == "no-store"
    assert parsedate_to_datetime(head.headers["Upload-Expires"]).timestamp() > world.bus.clock.now() + 3600
    for start in (0, 20_000, 40_000):
        answer = await patch(world, url, start, data[start : start + 20_000], **auth)
        assert answer.status == 204
    assert answer.headers["Upload-Offset"] == "50000"
    assert "Upload-Expires" not in answer.headers
    assert (world.folder / "a").read_bytes() == data
    assert len(world.events("file.uploaded")) == 1
    assert (await world.client("HEAD", url, headers={**TUS, **auth})).headers["Upload-Offset"] == "50000"


# [C3]
async def test_the_location_is_relative_and_keeps_a_token_of_the_query(world: World) -> None:
    token = await world.upload_token("a", 3)
    answer = await world.client("POST", f"/files?token={token}", headers={**TUS, "Upload-Length": "3"})
    assert answer.status == 201
    location = answer.headers["Location"]
    assert location.startswith("files/")
    assert location.endswith(f"?token={token}")
    assert (await patch(world, f"/{location}", 0, b"abc")).status == 204
    assert (world.folder / "a").read_bytes() == b"abc"


# [B1]
async def test_a_creation_asked_for_twice_is_one_upload(world: World) -> None:
    token = await world.upload_token("a", 3)
    first, second = await create(world, token, 3), await create(world, token, 3)
    assert first.headers["Location"] == second.headers["Location"]
    assert second.status == 201


# [B10]
async def test_bytes_may_come_with_the_creation(world: World) -> None:
    token = await world.upload_token("a", 6)
    fields = {
        **TUS,
        "Authorization": f"Bearer {token}",
        "Upload-Length": "6",
        "Content-Type": "application/offset+octet-stream",
    }
    answer = await world.client("POST", "/files", headers=fields, data=b"abc")
    assert (answer.status, answer.headers["Upload-Offset"]) == (201, "3")
    url = "/" + answer.headers["Location"]
    assert (await patch(world, url, 3, b"def", Authorization=f"Bearer {token}")).status == 204
    assert (world.folder / "a").read_bytes() == b"abcdef"
    whole = await world.upload_token("b", 3)
    fields = {**fields, "Authorization": f"Bearer {whole}", "Upload-Length": "3"}
    answer = await world.client("POST", "/files", headers=fields, data=b"xyz")
    assert (answer.status, answer.headers["Upload-Offset"]) == (201, "3")
    assert (world.folder / "b").read_bytes() == b"xyz"
    more = await world.upload_token("c", 3)
    fields = {**fields, "Authorization": f"Bearer {more}"}
    assert (await world.client("POST", "/files", headers=fields, data=b"wxyz")).status == 413
    fields = {**fields, "Content-Type": "text/plain"}
    assert (await world.client("POST", "/files", headers=fields, data=b"xyz")).status == 415


# [B2]
async def test_an_empty_upload_is_finished_at_once(world: World) -> None:
    url, auth = await begun(world, "empty", 0)
    assert (world.folder / "empty").read_bytes() == b""
    head = await world.client("HEAD", url, headers={**TUS, **auth})
    assert head.headers["Upload-Offset"] == head.headers["Upload-Length"] == "0"


# [A2]
@pytest.mark.parametrize("version", [None, "0.2.2", "1.0", "", "2.0.0"])
async def test_another_version_is_refused_before_anything_happens(world: World, version: str | None) -> None:
    url, auth = await begun(world, "a", 3)
    other = {} if version is None else {"Tus-Resumable": version}
    token = await world.upload_token("b", 3)
    bearer = {"Authorization": f"Bearer {token}"}
    for method, where, headers in (
        ("POST", "/files", {**bearer, "Upload-Length": "3"}),
        ("PATCH", url, {**auth, "Upload-Offset": "0", "Content-Type": "application/offset+octet-stream"}),
        ("DELETE", url, auth),
    ):
        answer = await world.client(method, where, headers={**headers, **other})
        assert answer.status == 412
        assert answer.headers["Tus-Version"] == "1.0.0"
        assert answer.headers["Tus-Resumable"] == "1.0.0"
    assert (await world.client("HEAD", url, headers={**TUS, **auth})).headers["Upload-Offset"] == "0"


# [B3]
@pytest.mark.parametrize("length", ["-1", "abc", "1.5", "", "4", "9" * 1001])
async def test_lengths_that_make_no_sense(world: World, length: str) -> None:
    token = await world.upload_token("a", 3)
    answer = await create(world, token, length)
    assert answer.status == 400
    assert "Upload-Length" in answer.json["data"]


# [B7]
@pytest.mark.parametrize("digits", [19, 20, 1000])
async def test_lengths_larger_than_anything_may_be(world: World, digits: int) -> None:
    token = await world.upload_token("a", 3)
    answer = await create(world, token, "9" * digits)
    assert (answer.status, answer.json["max_bytes"]) == (413, world.gate.settings.max_upload_bytes)


# [A7]
async def test_an_offset_larger_than_anything_may_be(world: World) -> None:
    url, auth = await begun(world, "a", 10)
    answer = await patch(world, url, "9" * 20, b"x", **auth)
    assert (answer.status, answer.headers["Upload-Offset"]) == (409, "0")


# [B3]
async def test_a_length_must_be_told(world: World) -> None:
    token = await world.upload_token("a", 3)
    auth = {**TUS, "Authorization": f"Bearer {token}"}
    assert (await world.client("POST", "/files", headers=auth)).status == 400
    deferred = {**auth, "Upload-Defer-Length": "1"}
    assert (await world.client("POST", "/files", headers=deferred)).status == 400


# [B4]
async def test_metadata_is_kept_to_the_letter(world: World) -> None:
    name = base64.b64encode("résumé 한글.bin".encode()).decode()
    metadata = f"filename {name},is_confidential,relativePath {base64.b64encode(b'x').decode()}"
    token = await world.upload_token("a", 3)
    answer = await create(world, token, 3)
    assert answer.status == 201
    other = await world.upload_token("b", 3)
    world.store.records.clear()
    answer = await create(world, other, 3, **{"Upload-Metadata": metadata})
    assert answer.status == 201
    head = await world.client(
        "HEAD", "/" + answer.headers["Location"], headers={**TUS, "Authorization": f"Bearer {other}"}
    )
    assert head.headers["Upload-Metadata"] == metadata


# [B6]
@pytest.mark.parametrize(
    "metadata", ["a !!!", "a YQ==,a YQ==", "filename /w==", "relativePath /w==", ",", "a,,b", "a " + "A" * 9000]
)
async def test_metadata_that_makes_no_sense(world: World, metadata: str) -> None:
    token = await world.upload_token("a", 3)
    answer = await create(world, token, 3, **{"Upload-Metadata": metadata})
    assert answer.status == 400
    assert "Upload-Metadata" in answer.json["data"]


# [B5]
async def test_empty_metadata_is_fine(world: World) -> None:
    token = await world.upload_token("a", 3)
    assert (await create(world, token, 3, **{"Upload-Metadata": ""})).status == 201


# [A3] [A6] [A7] [A8] [A10] [A11]
async def test_wrong_requests_change_nothing(world: World) -> None:
    url, auth = await begun(world, "a", 10)
    await patch(world, url, 0, b"12345", **auth)
    for offset, data, headers, status in (
        (4, b"x", {}, 409),
        (0, b"x", {}, 409),
        ("-1", b"x", {}, 400),
        ("abc", b"x", {}, 400),
        (5, b"x", {"Content-Type": "text/plain"}, 415),
        (5, b"123456", {}, 413),
    ):
        answer = await patch(world, url, offset, data, **auth, **headers)
        assert answer.status == status
        assert answer.headers["Tus-Resumable"] == "1.0.0"
        assert answer.headers["Content-Type"].startswith("application/problem+json")
    assert (await patch(world, url, 5, b"", **auth)).status == 204
    head = await world.client("HEAD", url, headers={**TUS, **auth})
    assert head.headers["Upload-Offset"] == "5"


# [B14]
async def test_an_upload_may_be_dropped(world: World) -> None:
    url, auth = await begun(world, "a", 10)
    await patch(world, url, 0, b"12345", **auth)
    assert (await world.client("DELETE", url, headers={**TUS, **auth})).status == 204
    assert list(world.folder.iterdir()) == []
    for method in ("HEAD", "PATCH", "DELETE"):
        headers = {**BODY, **auth, "Upload-Offset": "0"}
        answer = await world.client(method, url, headers=headers)
        assert answer.status == 410
        assert "Upload-Offset" not in answer.headers
    assert world.events("file.uploaded") == []


# [B14]
async def test_dropping_a_finished_upload_leaves_its_file(world: World) -> None:
    url, auth = await begun(world, "a", 3)
    await patch(world, url, 0, b"abc", **auth)
    assert (await world.client("DELETE", url, headers={**TUS, **auth})).status == 204
    assert (world.folder / "a").read_bytes() == b"abc"


# [C5]
async def test_every_request_has_to_be_authorised_for_this_very_upload(world: World) -> None:
    url, auth = await begun(world, "a", 3)
    _, other = await begun(world, "b", 3)
    patching = {"Upload-Offset": "0", "Content-Type": "application/offset+octet-stream"}
    for headers, status in (
        ({}, 401),
        ({"Authorization": "Bearer x"}, 401),
        ({"Authorization": "Basic eDp5"}, 401),
        (other, 404),
    ):
        for method in ("HEAD", "PATCH", "DELETE"):
            answer = await world.client(method, url, headers={**TUS, **patching, **headers})
            assert answer.status == status, (method, headers)
            if status == 401:
                assert answer.headers["WWW-Authenticate"] == "Bearer"
    assert (await patch(world, url, 0, b"abc", **auth)).status == 204


# [A5] [C4]
@pytest.mark.parametrize("name", ["..%2f..%2fx", "%00", "x" * 4096, "0" * 32, "%ff", "a%2Fb"])
async def test_upload_ids_that_are_none(world: World, name: str) -> None:
    _, auth = await begun(world, "a", 3)
    for method in ("HEAD", "PATCH", "DELETE"):
        answer = await world.client(method, f"/files/{name}", headers={**TUS, **auth})
        assert 400 <= answer.status < 500


ALLOWED = {
    *("Authorization", "Content-Type", "Tus-Resumable", "Upload-Length", "Upload-Offset", "Upload-Metadata"),
    *("Upload-Defer-Length", "Upload-Concat", "Upload-Checksum", "Upload-Complete", "Upload-Draft-Interop-Version"),
    *("X-HTTP-Method-Override", "X-Request-ID", "X-Requested-With", "Idempotency-Key", "Content-Disposition"),
    *("Want-Repr-Digest", "Want-Content-Digest", "Repr-Digest", "Content-Digest", "Range", "If-Range", "If-Match"),
    *("If-None-Match", "If-Modified-Since", "If-Unmodified-Since"),
}
EXPOSED = {
    *(
        "Upload-Offset",
        "Upload-Length",
        "Upload-Metadata",
        "Upload-Expires",
        "Upload-Defer-Length",
        "Upload-Concat",
    ),
    *(
        "Upload-Complete",
        "Upload-Limit",
        "Location",
        "Tus-Resumable",
        "Tus-Version",
        "Tus-Extension",
        "Tus-Max-Size",
    ),
    *("Tus-Checksum-Algorithm", "X-Request-ID", "Repr-Digest", "Content-Digest", "Content-Range", "Accept-Ranges"),
    *(
        "ETag",
        "Retry-After",
        "Content-Disposition",
        "Content-Length",
        "Content-Type",
        "Date",
        "Last-Modified",
        "X-Checksum-Sha256",
        "Server",
    ),
}
ORIGIN = "https://app.example"


def listed(answer: Answer, name: str) -> list[str]:
    return sorted(answer.headers[f"Access-Control-{name}"].split(", "))


# [C1]
@pytest.mark.parametrize("path", ["/files", "/files/", f"/files/{'0' * 32}"])
async def test_what_a_page_of_another_origin_may_ask(world: World, path: str) -> None:
    asking = {"Origin": ORIGIN, "Access-Control-Request-Method": "PATCH"}
    preflight = await world.client("OPTIONS", path, headers=asking)
    assert preflight.status == 204
    assert preflight.headers["Access-Control-Allow-Origin"] == ORIGIN
    assert preflight.headers["Access-Control-Allow-Credentials"] == "true"
    assert preflight.headers["Access-Control-Max-Age"] == "86400"
    assert preflight.headers["Vary"] == "Origin"
    assert listed(preflight, "Allow-Methods") == ["DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST"]
    assert listed(preflight, "Allow-Headers") == sorted(ALLOWED)
    assert listed(preflight, "Expose-Headers") == sorted(EXPOSED)
    assert "Access-Control-Allow-Methods" not in (await world.client("OPTIONS", path)).headers


# [C2]
async def test_what_a_page_of_another_origin_may_read(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    origin = {"Origin": ORIGIN}
    token = await world.upload_token("a", 3)
    created = await create(world, token, 3, **origin)
    url, auth = "/" + created.headers["Location"], {**origin, "Authorization": f"Bearer {token}"}
    await patch(world, url, 0, b"abc", **auth)
    link = f"/download?token={await world.download_token('a')}"
    answers = [
        (201, created),
        (200, await world.client("HEAD", url, headers={**TUS, **auth})),
        (200, await world.client("GET", url, headers=auth)),
        (413, await patch(world, url, 3, b"d", **auth)),
        (409, await patch(world, url, 2, b"c", **auth)),
        (412, await world.client("PATCH", url, headers=auth)),
        (415, await world.client("PATCH", url, headers={**TUS, **auth})),
        (401, await create(world, "bad", 3, **origin)),
        (404, await world.client("HEAD", f"/files/{'0' * 32}", headers=auth)),
        (405, await world.client("PUT", url, headers=auth)),
        (404, await world.client("GET", "/nowhere", headers=origin)),
        (417, await world.client("POST", "/files", headers={**origin, "Expect": "much"})),
        (200, await world.client("GET", link, headers=origin)),
        (206, await world.client("GET", link, headers={**origin, "Range": "bytes=1-"})),
        (416, await world.client("GET", link, headers={**origin, "Range": "bytes=9-"})),
        (404, await world.client("GET", f"/download?token={await world.download_token('b')}", headers=origin)),
    ]

    async def away(*_: object) -> None:
        raise BusBrokenError("away")

    monkeypatch.setattr(Sessions, "load", away)
    answers.append((503, await world.client("HEAD", url, headers={**TUS, **auth})))
    for status, answer in answers:
        assert answer.status == status
        assert answer.headers["Access-Control-Allow-Origin"] == ORIGIN
        assert answer.headers["Access-Control-Allow-Credentials"] == "true"
        assert listed(answer, "Expose-Headers") == sorted(EXPOSED), status


# [C1] [C2]
async def test_at_the_url_of_a_token_any_page_may_ask(world: World) -> None:
    """Without credentials: there the token is all there is."""
    token = await world.upload_token("a", 3)
    for answer in (
        await world.client("OPTIONS", "/upload"),
        await world.client("HEAD", f"/upload?token={token}"),
        await world.client("PATCH", "/upload?token=x"),
    ):
        assert (
            answer.headers["Access-Control-Allow-Origin"] == answer.headers["Access-Control-Allow-Methods"] == "*"
        )
        assert "Access-Control-Allow-Credentials" not in answer.headers
        assert listed(answer, "Allow-Headers") == sorted(ALLOWED)
        assert listed(answer, "Expose-Headers") == sorted(EXPOSED)


# [C2]
@pytest.mark.parametrize("origin", ["https://x\xff", "é"])
async def test_an_origin_that_is_none(world: World, origin: str) -> None:
    async with Line.open(world) as line:
        line.head("OPTIONS", "/files", {"Origin": origin})
        assert "Access-Control-Allow-Origin" not in (await line.answer()).headers
