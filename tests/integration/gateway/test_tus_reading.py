"""Reading back what was uploaded, at the URL it was uploaded to."""

from __future__ import annotations

from urllib.parse import quote

import jwt
import pytest
from harness.archives import tar_of
from harness.fields import BODY, TUS, metadata
from harness.tus import Collection
from harness.world import TOKEN_SECRET, World

pytestmark = [pytest.mark.anyio, pytest.mark.folder]

DATA = bytes(range(256)) * 20


async def uploaded(files: Collection, name: str = "a", data: bytes = DATA) -> str:
    answer = await files.create(len(data), name, data or None)
    assert answer.status == 201
    return "/" + answer.headers["Location"]


@pytest.mark.parametrize("name", ["plain.bin", "한글 résumé.bin", "semi;colon.txt", "d/e/f"])
async def test_a_finished_upload_is_a_file(world: World, files: Collection, name: str) -> None:
    url = await uploaded(files, name)
    answer = await files.ask("GET", url, {})
    assert (answer.status, answer.body) == (200, DATA)
    assert f"filename*=UTF-8''{quote(name.rpartition('/')[2])}" in answer.headers["Content-Disposition"]
    assert answer.headers["Content-Disposition"].isascii()
    assert answer.headers["Tus-Resumable"] == "1.0.0"
    assert answer.headers["Cache-Control"] in ("private", "no-store")


async def test_it_can_be_asked_for_in_parts_and_on_conditions(files: Collection) -> None:
    url = await uploaded(files)
    whole = await files.ask("GET", url, {"Want-Repr-Digest": "sha-256=1"})
    assert whole.headers["Repr-Digest"].startswith("sha-256=:")
    part = await files.ask("GET", url, {"Range": "bytes=5-9"})
    assert (part.status, part.body, part.headers["Content-Range"]) == (206, DATA[5:10], f"bytes 5-9/{len(DATA)}")
    assert (await files.ask("GET", url, {"If-None-Match": whole.headers["ETag"]})).status == 304


async def test_an_upload_with_bytes_to_come_is_no_file_yet(world: World, files: Collection) -> None:
    url = await files.begin(6)
    assert (await files.patch(url, 0, b"abc")).status == 204
    answer = await files.ask("GET", url, {})
    assert (answer.status, answer.json["retry"]) == (409, "later")
    assert int(answer.headers["Retry-After"]) >= 1
    assert world.store.leases, "whoever writes to it is not disturbed"
    assert (await files.patch(url, 3, b"def")).status == 204
    assert (await files.ask("GET", url, {})).body == b"abcdef"


async def test_what_there_is_no_file_of(world: World, files: Collection) -> None:
    url = await uploaded(files)
    assert (await files.delete(url)).status == 204
    assert (await files.ask("GET", url, {})).status == 410
    assert (await files.ask("GET", f"/files/{'0' * 32}", {})).status == 404
    part = await files.begin(3, None, Upload_Concat="partial")
    assert (await files.patch(part, 0, b"abc")).status == 204
    assert (await files.ask("GET", part, {})).status == 409
    archive = tar_of({"x": b"y"})
    text = metadata(filename="x.tar", extract="1")
    headers = {**BODY, "Upload-Length": str(len(archive)), "Upload-Metadata": text}
    unpacked = await files.ask("POST", "/files", headers, archive)
    assert (await files.ask("GET", "/" + unpacked.headers["Location"], {})).status == 410


async def test_the_token_is_not_for_what_came_there_later(world: World, files: Collection) -> None:
    """It was given to somebody who may write: what others have put there is not his to read."""
    url = await uploaded(files)
    for data in (DATA[::-1], b"short"):
        (world.folder / "a").write_bytes(data)
        answer = await files.ask("GET", url, {})
        assert (answer.status, b"short" in answer.body) == (410, False)
    (world.folder / "a").unlink()
    assert (await files.ask("GET", url, {})).status == 410
    (world.folder / "a").mkdir()
    assert (await files.ask("GET", url, {})).status == 410


# [C5]
async def test_reading_is_authorised_like_everything_else(world: World, files: Collection) -> None:
    url = await uploaded(files)
    assert (await world.client("GET", url)).status == 401
    other = await Collection.open(world, owner="somebody else")
    assert (await other.ask("GET", url, {})).status == 404
    one = Collection(world, await world.upload_token("b", 3))
    assert (await one.ask("GET", url, {})).status == 404
    claims = jwt.decode(files.token, TOKEN_SECRET, algorithms=["HS256"])
    old = Collection(world, jwt.encode({**claims, "exp": 1}, TOKEN_SECRET, algorithm="HS256"))
    assert (await old.ask("GET", url, {})).status == 401
    location = f"{url}?token={files.token}"
    assert (await world.client("GET", location)).body == DATA


# [B1]
async def test_the_collection_is_there_with_a_slash_as_well(world: World, files: Collection) -> None:
    options = await world.client("OPTIONS", "/files/")
    assert (options.status, options.headers["Tus-Version"]) == (204, "1.0.0")
    fields = {**TUS, "Upload-Length": "3", "Upload-Metadata": metadata(filename="a")}
    answer = await files.ask("POST", "/files/", fields)
    assert answer.status == 201
    assert len(answer.headers["Location"]) == 32, "relative to a URL that ends with a slash"
    assert (await files.patch("/files/" + answer.headers["Location"], 0, b"abc")).status == 204
    answer = await world.client("POST", f"/files/?token={files.token}", headers=fields)
    assert (await world.client("HEAD", "/files/" + answer.headers["Location"])).headers["Upload-Offset"] == "0"
