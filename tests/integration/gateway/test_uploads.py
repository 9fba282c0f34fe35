"""Uploads by the token URL, as Backend.AI's clients make them."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import anyio
import jwt
import pytest
from harness.uploads import claims_of, let_pass, session_of
from harness.world import FOLDER, SCOPE, TOKEN_SECRET, World, open_world

from bus.memory.leases import MemoryLease
from domain.errors import FencedError

pytestmark = [pytest.mark.anyio, pytest.mark.folder]


def forged(token: str, **changes: object) -> str:
    claims = {**claims_of(token), **changes}
    return jwt.encode({k: v for k, v in claims.items() if v is not None}, TOKEN_SECRET, algorithm="HS256")


async def head(world: World, token: str, query: str = "") -> tuple[int, int]:
    answer = await world.client("HEAD", f"/upload?token={token}{query}", headers={"Tus-Resumable": "1.0.0"})
    assert answer.status == 200, answer.headers
    assert answer.headers["Cache-Control"] == "no-store"
    return int(answer.headers["Upload-Offset"]), int(answer.headers["Upload-Length"])


async def test_a_token_says_what_backend_ai_says(world: World) -> None:
    claims = claims_of(await world.upload_token("d/한글.bin", 10))
    assert set(claims) == {"op", "volume", "vfid", "relpath", "exp", "size", "session", "perm", "begun"}
    assert claims["vfid"] == f"{SCOPE}/aabb0001000040008000000000000001"
    assert (claims["op"], claims["relpath"], claims["size"]) == ("upload", "d/한글.bin", 10)
    assert len(str(claims["session"])) == 32


async def test_options_needs_no_token(world: World) -> None:
    answer = await world.client("OPTIONS", "/upload")
    assert answer.status == 200
    assert answer.headers["Tus-Version"] == "1.0.0"
    assert answer.headers["Tus-Max-Size"] == str(100 << 30)
    assert answer.headers["Access-Control-Allow-Origin"] == "*"


async def test_an_upload_in_parts(world: World) -> None:
    data = os.urandom(100_000)
    token = await world.upload_token("a.bin", len(data))
    assert await head(world, token) == (0, len(data))
    for start in range(0, len(data), 30_000):
        part = data[start : start + 30_000]
        answer = await world.patch(token, start, part)
        assert answer.status == 204
        assert answer.headers["Upload-Offset"] == str(start + len(part))
        assert answer.headers["Tus-Resumable"] == "1.0.0"
        assert await head(world, token) == (start + len(part), len(data))
    assert (world.folder / "a.bin").read_bytes() == data
    assert not (world.folder / ".upload").exists()
    (event,) = world.events("file.uploaded")
    assert event.body["size_bytes"] == len(data)
    assert event.body["path"] == "a.bin"


# [A11]
async def test_a_finished_upload_says_so_when_it_is_asked_again(world: World) -> None:
    token = await world.upload_token("a", 3)
    await world.patch(token, 0, b"abc")
    assert await head(world, token) == (3, 3)
    assert (await world.patch(token, 3, b"")).status == 204
    assert (await world.patch(token, 0, b"abc")).status == 409
    assert (await world.patch(token, 3, b"d")).status == 413
    assert len(world.events("file.uploaded")) == 1


# [B2]
async def test_an_empty_file_is_there_without_any_request_of_its_uploader(world: World) -> None:
    token = await world.upload_token("d/empty", 0)
    assert (world.folder / "d/empty").read_bytes() == b""
    assert await head(world, token) == (0, 0)
    assert (await world.patch(token, 0, b"")).status == 204
    assert len(world.events("file.uploaded")) == 1


# [A9]
async def test_bytes_of_a_request_without_length_are_taken(world: World) -> None:
    token = await world.upload_token("a", 300_000)

    async def chunks():
        for number in range(30):
            yield bytes([number]) * 10_000

    assert (await world.patch(token, 0, chunks())).status == 204
    assert (world.folder / "a").stat().st_size == 300_000


async def test_the_dialect_of_backend_ai_is_lenient(world: World) -> None:
    token = await world.upload_token("a", 3)
    for offset, headers in ((0, {"Tus-Resumable": "0.2.2"}), (1, {"Content-Type": "text/plain"}), (2, {})):
        answer = await world.client(
            "PATCH", f"/upload?token={token}", headers={"Upload-Offset": str(offset), **headers}, data=b"x"
        )
        assert answer.status == 204


# [A7] [A8]
async def test_wrong_offsets_change_nothing(world: World) -> None:
    token = await world.upload_token("a", 10)
    await world.patch(token, 0, b"12345")
    for offset in (0, 4, 6, 10, 99):
        answer = await world.patch(token, offset, b"x")
        assert answer.status == 409
        assert answer.headers["Upload-Offset"] == "5"
        assert answer.json["type"].endswith("/probs/storage/upload-offset-mismatch")
        assert (answer.json["expected-offset"], answer.json["provided-offset"]) == (5, offset)
    for value in ("", "-1", "abc", "1.5", "0x5", "5 5", "\u0665"):
        answer = await world.client("PATCH", f"/upload?token={token}", headers={"Upload-Offset": value}, data=b"x")
        assert answer.status == 400
    answer = await world.client("PATCH", f"/upload?token={token}", data=b"x")
    assert answer.json["msg"] == "Missing required Upload-Offset header for TUS PATCH request"
    assert await head(world, token) == (5, 10)


# [A10]
async def test_never_more_bytes_than_announced(world: World) -> None:
    token = await world.upload_token("a", 10)
    assert (await world.patch(token, 0, b"x" * 16)).status == 413
    assert await head(world, token) == (0, 10)
    await world.patch(token, 0, b"12345")

    async def chunks():
        yield b"678"
        yield b"90ABCDEF"

    assert (await world.patch(token, 5, chunks())).status == 413
    assert (world.folder / "a").exists() or (await head(world, token)) == (10, 10)
    assert (world.folder / "a").read_bytes() == b"1234567890"


async def test_a_file_is_replaced_whole(world: World) -> None:
    await world.upload("a", b"old old old")
    token = await world.upload_token("a", 3)
    await world.patch(token, 0, b"ne")
    assert (world.folder / "a").read_bytes() == b"old old old"
    await world.patch(token, 2, b"w")
    assert (world.folder / "a").read_bytes() == b"new"
    assert [event.body.get("replaced_bytes") for event in world.events("file.uploaded")] == [None, 11]


async def test_a_directory_in_the_way_keeps_the_upload(world: World) -> None:
    (world.folder / "d").mkdir()
    token = await world.upload_token("d", 3)
    answer = await world.patch(token, 0, b"abc")
    assert answer.status == 400
    assert answer.json["errno"] == 21
    (world.folder / "d").rmdir()
    assert await head(world, token) == (3, 3)
    assert (world.folder / "d").read_bytes() == b"abc"
    assert len(world.events("file.uploaded")) == 1


async def test_a_directory_may_be_added_by_the_request(world: World) -> None:
    token = await world.upload_token("a", 3)
    assert (await world.patch(token, 0, b"abc", dst_dir="x/y")).status == 204
    assert (world.folder / "x/y/a").read_bytes() == b"abc"
    assert world.events("file.uploaded")[0].body["path"] == "x/y/a"


@pytest.mark.parametrize("below", ["..", "../x", "/abs", ".upload", "a/../../b", "%00"])
async def test_no_directory_leads_out(world: World, below: str) -> None:
    token = await world.upload_token("a", 3)
    assert (await world.patch(token, 0, b"abc", dst_dir=below)).status == 400
    assert await head(world, token) == (0, 3)


async def test_an_upload_needs_its_folder(world: World) -> None:
    body = {"volume": "disk", "vfid": FOLDER.replace("aabb0001", "aabb0009"), "relpath": "a", "size": 1}
    assert (await world.manager("POST", "/folder/file/upload", body)).status == 404
    assert not list(world.path.rglob(".upload"))


async def test_tokens_that_do_not_hold(world: World) -> None:
    good = await world.upload_token("a", 3)
    download = await world.download_token("a")
    cases = [
        ("abc", 401),
        (good[:-2] + ("AA" if good[-2:] != "AA" else "BB"), 401),
        (jwt.encode(claims_of(good), "another key, as long as it should be ....", algorithm="HS256"), 401),
        (jwt.encode(claims_of(good), None, algorithm="none"), 401),
        (jwt.encode(claims_of(good), TOKEN_SECRET * 2, algorithm="HS512"), 401),
        (forged(good, exp=1), 401),
        (forged(good, exp=None), 401),
        (download, 403),
        (forged(good, op="download"), 403),
        (forged(good, size=None), 403),
        (forged(good, size=-1), 403),
        (forged(good, size="3"), 403),
        (forged(good, session="../../x"), 403),
        (forged(good, session=None), 403),
        (forged(good, vfid="nonsense"), 403),
        (forged(good, volume="nope"), 400),
        (forged(good, perm="ro"), 403),
        (forged(good, perm="all"), 403),
        (forged(good, aud="somebody else"), 401),
        (forged(good, nbf=1 << 40), 401),
        (forged(good, session="0" * 32, begun=None), 404),
        (forged(good, begun="now"), 403),
        (forged(good, begun=1), 404),
    ]
    for token, status in cases:
        answer = await world.patch(token, 0, b"abc")
        assert answer.status == status, (status, answer.status, answer.body)
        assert answer.headers["Content-Type"].startswith("application/problem+json")
        assert token not in answer.body.decode()
    assert (await world.client("PATCH", "/upload", data=b"x")).json["data"] == {"token": "is required"}
    unknown = await world.client("HEAD", f"/upload?token={good}&x=1")
    assert unknown.status == 400
    assert await head(world, good) == (0, 3)


# [A12]
async def test_what_arrived_before_a_cut_is_kept(world: World) -> None:
    data = os.urandom(1_000_000)
    token = await world.upload_token("a", len(data))
    _, writer = await asyncio.open_connection("127.0.0.1", world.client_port)
    request = (
        f"PATCH /upload?token={token} HTTP/1.1\r\nHost: x\r\nUpload-Offset: 0\r\n"
        f"Content-Length: {len(data)}\r\nTus-Resumable: 1.0.0\r\n\r\n"
    )
    writer.write(request.encode() + data[:600_000])
    await writer.drain()
    await world.stored(600_000)
    writer.transport.abort()
    offset, _ = await head(world, token)
    assert offset == 600_000
    assert (await world.patch(token, offset, data[offset:])).status == 204
    assert (world.folder / "a").read_bytes() == data


# [A13]
async def test_a_silent_sender_gives_way_to_one_who_comes_back(world: World) -> None:
    token = await world.upload_token("a", 10)
    reader, writer = await asyncio.open_connection("127.0.0.1", world.client_port)
    writer.write(
        f"PATCH /upload?token={token} HTTP/1.1\r\nHost: x\r\nUpload-Offset: 0\r\n"
        "Content-Length: 10\r\n\r\n1234".encode()
    )
    await world.stored(4)
    with anyio.fail_after(10):
        assert await head(world, token) == (4, 10)
    assert (await world.patch(token, 4, b"567890")).status == 204
    answer = await reader.read(1000)
    assert b" 423 " in answer.split(b"\r\n")[0]
    writer.write(b"XXXXXX")
    await anyio.sleep(0.1)
    writer.close()
    assert (world.folder / "a").read_bytes() == b"1234567890"


# [A13]
@pytest.mark.parametrize("count", [5, 8])
async def test_who_has_lost_an_upload_stores_no_byte_that_has_come_already(
    world: World, monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    token = await world.upload_token("a", 10)
    assert (await world.patch(token, 0, b"12")).status == 204

    async def lost(lease: object) -> None:
        raise FencedError("somebody else has it")

    with monkeypatch.context() as patch:
        patch.setattr(MemoryLease, "confirm", lost)
        assert (await world.patch(token, 2, b"x" * count)).status == 423
    assert await head(world, token) == (2, 10)
    assert (await world.patch(token, 2, b"34567890")).status == 204
    assert (world.folder / "a").read_bytes() == b"1234567890"


# [A14]
async def test_of_several_at_the_same_offset_one_is_stored(world: World) -> None:
    token = await world.upload_token("a", 2000)
    answers: list[int] = []

    async def send(letter: bytes) -> None:
        async def slowly():
            for _ in range(10):
                yield letter * 100
                await anyio.sleep(0.01)

        answers.append((await world.patch(token, 0, slowly())).status)

    async with anyio.create_task_group() as tasks:
        for letter in (b"a", b"b", b"c", b"d"):
            tasks.start_soon(send, letter)
    offset, _ = await head(world, token)
    # On a machine that stands still for a second, so did the sender, and had to give way.
    assert sorted(answers) == ([204, 409, 409, 409] if offset == 1000 else [409] * 4)
    assert 0 < offset <= 1000
    (staged,) = (world.folder / ".upload").iterdir()
    assert len(set(staged.read_bytes())) == 1


# [A17]
@pytest.mark.parametrize("size", [10, 2 << 20], ids=["in-pieces", "from-its-socket"])
async def test_a_sender_that_stands_still_is_cut_and_its_bytes_kept(tmp_path: Path, size: int) -> None:
    async with open_world(tmp_path, idle_seconds=0.2) as world:
        await world.make_folder()
        token = await world.upload_token("a", size)
        reader, writer = await asyncio.open_connection("127.0.0.1", world.client_port)
        writer.write(
            f"PATCH /upload?token={token} HTTP/1.1\r\nHost: x\r\nUpload-Offset: 0\r\n"
            f"Content-Length: {size}\r\n\r\n123".encode()
        )
        with anyio.fail_after(10):
            assert await reader.read() == b""
        writer.close()
        assert await head(world, token) == (3, size)


async def test_a_body_is_asked_for_only_when_it_is_wanted(world: World) -> None:
    token = await world.upload_token("a", 4)
    for offset, expected in (("9", b"HTTP/1.1 409"), ("0", b"HTTP/1.1 100 Continue")):
        reader, writer = await asyncio.open_connection("127.0.0.1", world.client_port)
        writer.write(
            f"PATCH /upload?token={token} HTTP/1.1\r\nHost: x\r\nUpload-Offset: {offset}\r\n"
            "Content-Length: 4\r\nExpect: 100-continue\r\n\r\n".encode()
        )
        with anyio.fail_after(10):
            assert (await reader.readline()).startswith(expected)
        if expected.endswith(b"Continue"):
            writer.write(b"abcd")
            await reader.readline()
            assert (await reader.readline()).startswith(b"HTTP/1.1 204")
        writer.close()
    assert (world.folder / "a").read_bytes() == b"abcd"


async def test_a_content_encoding_is_stored_as_it_was_sent(world: World) -> None:
    import gzip

    data = gzip.compress(b"x" * 1000)
    token = await world.upload_token("a.gz", len(data))
    assert (await world.patch(token, 0, data, headers={"Content-Encoding": "gzip"})).status == 204
    assert (world.folder / "a.gz").read_bytes() == data


# --- quotas -----------------------------------------------------------------------------------------


async def limit(world: World, limit_bytes: int) -> None:
    body = {"volume": "disk", "qsid": SCOPE, "options": {"limit_bytes": limit_bytes}}
    assert (await world.manager("PATCH", "/quota-scope", body)).status == 204


async def ask(world: World, relpath: str, size: int) -> int:
    body = {"volume": "disk", "vfid": FOLDER, "relpath": relpath, "size": size}
    return (await world.manager("POST", "/folder/file/upload", body)).status


async def test_a_limit_holds_for_uploads(world: World) -> None:
    await world.upload("a", b"x" * 60)
    await limit(world, 100)
    assert await ask(world, "b", 41) == 413
    assert await ask(world, "b", 40) == 200
    assert await ask(world, "c", 1) == 413
    told = await world.manager("GET", "/quota-scope", {"volume": "disk", "qsid": SCOPE})
    assert told.json == {"used_bytes": 60, "limit_bytes": 100}


async def test_unfinished_uploads_count_until_they_are_finished_or_dropped(world: World) -> None:
    await limit(world, 100)
    token = await world.upload_token("a", 80)
    assert await ask(world, "b", 21) == 413
    session = claims_of(token)["session"]
    headers = {"Tus-Resumable": "1.0.0", "Authorization": f"Bearer {token}"}
    assert (await world.client("DELETE", f"/files/{session}", headers=headers)).status == 204
    token = await world.upload_token("b", 90)
    await world.patch(token, 0, b"x" * 90)
    assert await ask(world, "c", 11) == 413
    assert await ask(world, "c", 10) == 200


async def test_two_uploads_at_once_cannot_both_take_the_last_room(world: World) -> None:
    await limit(world, 100)
    answers: list[int] = []

    async def one(number: int) -> None:
        answers.append(await ask(world, str(number), 60))

    async with anyio.create_task_group() as tasks:
        for number in range(5):
            tasks.start_soon(one, number)
    assert answers.count(200) <= 1
    assert set(answers) <= {200, 413}


async def test_replacing_a_file_frees_what_it_took(world: World) -> None:
    await world.upload("a", b"x" * 90)
    await limit(world, 100)
    assert await ask(world, "b", 50) == 413
    await world.upload("a", b"x" * 10)
    assert await ask(world, "b", 50) == 200


# --- ends -------------------------------------------------------------------------------------------


# [B11]
async def test_expired_uploads_are_swept_and_their_bytes_freed(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    await limit(world, 10)
    token = await world.upload_token("a", 10)
    await world.patch(token, 0, b"12345")
    await world.gate.uploads.sweep(100)
    assert await head(world, token) == (5, 10)
    await world.let_go(session_of(token))
    let_pass(monkeypatch, world.gate.settings.upload_seconds + 1)
    await world.gate.uploads.sweep(100)
    assert (await world.client("HEAD", f"/upload?token={token}")).status == 410
    assert list(world.folder.iterdir()) == []
    assert await ask(world, "b", 10) == 200


async def test_an_upload_that_is_being_written_is_not_swept(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    token = await world.upload_token("a", 4)

    async def slowly():
        yield b"12"
        await world.stored(2)
        let_pass(monkeypatch, world.gate.settings.upload_seconds + 1)
        await world.gate.uploads.sweep(100)
        yield b"34"

    assert (await world.patch(token, 0, slowly())).status == 204
    assert (world.folder / "a").read_bytes() == b"1234"


async def test_an_upload_whose_record_was_lost_goes_on_from_its_bytes(world: World) -> None:
    token = await world.upload_token("a", 10)
    await world.patch(token, 0, b"12345")
    await world.let_go(session_of(token))
    world.store.records.clear()
    assert await head(world, token) == (5, 10)
    assert (await world.patch(token, 5, b"67890")).status == 204
    assert (world.folder / "a").read_bytes() == b"1234567890"
