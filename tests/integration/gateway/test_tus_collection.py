"""Collections of uploads: whose they are, how many, and what a creation may ask for."""

from __future__ import annotations

import base64
from pathlib import Path

import anyio
import anyio.lowlevel
import jwt
import pytest
from harness.fields import BODY, TUS, metadata
from harness.tus import LARGE, Collection
from harness.uploads import let_pass
from harness.world import OTHER, TOKEN_SECRET, Answer, World, digest, open_world

from bus.memory.leases import MemoryLeases
from gateway.protocol.tus import Creation
from gateway.tokens import CollectionClaims
from gateway.uploads import admission

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.folder,
    pytest.mark.gateway(uploads_per_owner=5, max_upload_bytes=1 << 20),
]


# --- names and owners -----------------------------------------------------------------------------


# [B4]
@pytest.mark.parametrize(
    ("pairs", "path"),
    [
        ({"filename": "a b.txt"}, "a b.txt"),
        ({"filename": "x", "relativePath": "d/e/한글 résumé.bin"}, "d/e/한글 résumé.bin"),
        ({"relativePath": "null", "name": "n"}, "n"),
    ],
)
async def test_the_uploader_names_its_file(world: World, files: Collection, pairs: dict, path: str) -> None:
    url = await files.begin(3, None, Upload_Metadata=metadata(**pairs))
    assert (await files.patch(url, 0, b"abc")).status == 204
    assert (world.folder / path).read_bytes() == b"abc"
    (event,) = world.events("file.uploaded")
    assert (event.body["path"], event.body["sha256"]) == (path, digest(b"abc"))


# [C4]
async def test_files_stay_below_the_directory_of_the_token(world: World) -> None:
    files = await Collection.open(world, relpath="in/here")
    url = await files.begin(1, "x")
    await files.patch(url, 0, b"1")
    assert (world.folder / "in" / "here" / "x").read_bytes() == b"1"
    for name in ("../x", "/etc/passwd", "../../../../x", "a/../../../b", ".", "", "a\0b", "x" * 300):
        answer = await files.create(1, name)
        assert answer.status == 400, name
    assert (await files.create(1, None)).status == 400


# [C5]
async def test_an_upload_belongs_to_its_owner(world: World, files: Collection) -> None:
    url = await files.begin(3)
    same = await Collection.open(world)
    assert (await same.patch(url, 0, b"a")).status == 204
    other = await Collection.open(world, owner="somebody else")
    for answer in (await other.head(url), await other.patch(url, 1, b"b"), await other.delete(url)):
        assert answer.status == 404
    without = await world.client("HEAD", url, headers=TUS)
    assert without.status == 401
    assert len(url.rpartition("/")[2]) == 32
    await world.make_folder(OTHER)
    body = {"volume": "disk", "vfid": OTHER, "owner": "somebody"}
    token = (await world.manager("POST", "/folder/file/upload-below", body)).json["token"]
    assert (await Collection(world, token).head(url)).status == 404


# [C6]
async def test_an_owner_has_so_many_unfinished_uploads_at_most(world: World, files: Collection) -> None:
    urls = [await files.begin(3, f"f{number}") for number in range(5)]
    answer = await files.create(3, "more")
    assert answer.status == 429
    assert int(answer.headers["Retry-After"]) >= 1
    other = await Collection.open(world, owner="somebody else")
    assert (await other.create(3, "o")).status == 201
    assert (await files.patch(urls[0], 0, b"abc")).status == 204
    assert (await files.delete(urls[1])).status == 204
    assert [(await files.create(3, f"g{number}")).status for number in range(3)] == [201, 201, 429]


# [C6]
async def test_of_many_that_are_begun_together_as_many_get_in_as_may(tmp_path: Path) -> None:
    async with open_world(tmp_path, uploads_per_owner=10) as world:
        await world.make_folder()
        files = await Collection.open(world)
        answers: list[Answer] = []

        async def begin(number: int) -> None:
            answers.append(await files.create(LARGE, f"f{number}"))

        async with anyio.create_task_group() as tasks:
            for number in range(30):
                tasks.start_soon(begin, number)
        assert sorted(answer.status for answer in answers) == [201] * 10 + [429] * 20
        assert all(int(answer.headers["Retry-After"]) >= 1 for answer in answers if answer.status == 429)
        assert len([name for name in world.store.records if name.startswith("upload:")]) == 10
        assert len(list((world.folder / ".upload").iterdir())) == 10
        url = "/" + next(answer for answer in answers if answer.status == 201).headers["Location"]
        assert (await files.delete(url)).status == 204
        assert (await files.create(3, "more")).status == 201
        assert (await files.create(3, "too many")).status == 429


# [C6]
async def test_far_from_the_limit_nobody_waits_for_anybody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of those that pass it all the same, because very many came at once, none is taken."""
    monkeypatch.setattr(admission, "_NEAR", 5)
    async with open_world(tmp_path, uploads_per_owner=20) as world:
        await world.make_folder()
        files = await Collection.open(world)
        held: list[str] = []
        hold = MemoryLeases.hold

        def noting(leases: MemoryLeases, name: str, **more: float) -> object:
            held.append(name)
            return hold(leases, name, **more)

        monkeypatch.setattr(MemoryLeases, "hold", noting)
        for number in range(10):
            assert (await files.create(3, f"f{number}")).status == 201
        assert not [name for name in held if name.startswith("uploads-of")]
        statuses: list[int] = []

        async def begin(number: int) -> None:
            statuses.append((await files.create(3, f"g{number}")).status)

        async with anyio.create_task_group() as tasks:
            for number in range(40):
                tasks.start_soon(begin, number)
        assert set(statuses) <= {201, 429}
        assert len([name for name in world.store.records if name.startswith("upload:")]) <= 20
        assert [name for name in held if name.startswith("uploads-of")]


# [C5]
async def test_an_upload_outlives_its_token(
    world: World, files: Collection, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = await files.begin(6)
    claims = jwt.decode(files.token, TOKEN_SECRET, algorithms=["HS256"])
    now = int(world.bus.clock.now())
    later = Collection(world, jwt.encode({**claims, "exp": now + 60}, TOKEN_SECRET, algorithm="HS256"))
    assert (await later.patch(url, 0, b"abc")).status == 204
    let_pass(monkeypatch, 120)
    old = Collection(world, jwt.encode({**claims, "exp": now - 100}, TOKEN_SECRET, algorithm="HS256"))
    assert (await old.patch(url, 3, b"def")).status == 401
    assert (await old.create(3, "b")).status == 401
    assert (await later.patch(url, 3, b"def")).status == 204
    assert (world.folder / "a").read_bytes() == b"abcdef"


async def test_what_was_begun_within_the_skew_of_clocks_goes_on(world: World, files: Collection) -> None:
    claims = jwt.decode(files.token, TOKEN_SECRET, algorithms=["HS256"])
    late = {**claims, "exp": int(world.bus.clock.now()) - 2}
    skewed = Collection(world, jwt.encode(late, TOKEN_SECRET, algorithm="HS256"))
    url = await skewed.begin(3)
    assert (await skewed.patch(url, 0, b"abc")).status == 204


# --- what a creation may ask for ------------------------------------------------------------------


# [A3] [B3] [B6]
@pytest.mark.parametrize(
    "headers",
    [
        {"Upload-Length": "-1"},
        {"Upload-Length": "abc"},
        {"Upload-Length": "1.5"},
        {},
        {"Upload-Length": "1", "Upload-Defer-Length": "1"},
        {"Upload-Defer-Length": "2"},
        {"Upload-Length": "1", "Upload-Metadata": "filename ###"},
        {"Upload-Length": "1", "Upload-Metadata": "filename YQ==,filename Yg=="},
        {"Upload-Length": "1", "Upload-Metadata": metadata(filename="a", sha256="12")},
        {"Upload-Length": "1", "Upload-Metadata": "filename " + "YWFh" * 3000},
    ],
)
async def test_creations_that_make_no_sense(world: World, files: Collection, headers: dict[str, str]) -> None:
    fields = {**TUS, "Upload-Metadata": metadata(filename="a"), **headers}
    answer = await files.ask("POST", "/files", fields)
    assert answer.status == 400, answer.body
    assert answer.headers["Tus-Resumable"] == "1.0.0"
    assert list(world.folder.iterdir()) == []


# [B5]
async def test_an_empty_metadata_field_is_fine_where_the_name_is_known(world: World) -> None:
    token = await world.upload_token("a", 1)
    headers = {**TUS, "Upload-Length": "1", "Upload-Metadata": "", "Authorization": f"Bearer {token}"}
    assert (await world.client("POST", "/files", headers=headers)).status == 201


# [B4]
async def test_metadata_is_repeated_as_it_was_given(files: Collection) -> None:
    text = f"empty,filename {base64.b64encode('한'.encode()).decode()},x eQ=="
    url = await files.begin(1, None, Upload_Metadata=text)
    assert (await files.head(url)).headers["Upload-Metadata"] == text


# [A2]
async def test_a_version_we_do_not_speak(files: Collection) -> None:
    url = await files.begin(3)
    for version in ({}, {"Tus-Resumable": "0.2.2"}):
        for method, target in (("POST", "/files"), ("PATCH", url), ("DELETE", url)):
            headers = {"Upload-Length": "1", "Upload-Offset": "0", **version}
            answer = await files.ask(method, target, headers)
            assert (answer.status, answer.headers["Tus-Version"]) == (412, "1.0.0")
        assert (await files.ask("HEAD", url, version)).status == 200


# [A5] [C4]
@pytest.mark.parametrize("name", ["..%2f..%2fx", "%00", "x" * 4096, "A" * 32, "' OR 1=1", "한글"])
async def test_ids_nobody_gave_out(files: Collection, name: str) -> None:
    for method in ("HEAD", "PATCH", "DELETE"):
        answer = await files.ask(method, f"/files/{name}", {**BODY, "Upload-Offset": "0"})
        assert 400 <= answer.status < 500
        assert "Upload-Offset" not in answer.headers


# [B2]
@pytest.mark.parametrize("data", [None, b""], ids=["bodiless", "empty"])
async def test_an_empty_file_is_there_at_once(world: World, files: Collection, data: bytes | None) -> None:
    assert (await files.create(0, "empty", data)).status == 201
    assert (world.folder / "empty").read_bytes() == b""
    assert [event.body["path"] for event in world.events("file.uploaded")] == ["empty"]


# [A5]
@pytest.mark.parametrize("method", ["GET", "HEAD", "PATCH", "DELETE"])
async def test_an_upload_that_never_began_is_not_there(files: Collection, method: str) -> None:
    answer = await files.ask(method, f"/files/{'0' * 32}", {**BODY, "Upload-Offset": "0"})
    assert (answer.status, answer.headers.get("Upload-Offset")) == (404, None)


# [C5]
@pytest.mark.parametrize("method", ["GET", "HEAD", "PATCH", "DELETE"])
async def test_an_upload_nobody_has_in_hand_is_its_owners_as_well(
    world: World, files: Collection, method: str
) -> None:
    other = await Collection.open(world, "somebody else")
    url = await files.begin(LARGE)
    assert (await files.patch(url, 0, b"abc")).status == 204
    await world.let_go(url)
    answer = await other.ask(method, url, {**BODY, "Upload-Offset": "3"}, b"d" if method == "PATCH" else None)
    assert (answer.status, answer.headers.get("Upload-Offset")) == (404, None)
    assert (await files.head(url)).headers["Upload-Offset"] == "3"


# [C5]
@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
async def test_how_a_token_is_brought_is_said_in_letters_of_any_case(
    world: World, files: Collection, scheme: str
) -> None:
    url = await files.begin(3)
    answer = await world.client("HEAD", url, headers={**TUS, "Authorization": f"{scheme} {files.token}"})
    assert answer.status == 200


# [C5]
async def test_nobody_guesses_an_id(world: World, files: Collection) -> None:
    claims = world.gate.tokens.read(files.token, CollectionClaims)
    creation = Creation(3, "", None, texts={"filename": "a"})
    ids = [world.gate.uploads.beginner.unnamed(claims, creation).id for _ in range(1000)]
    assert len(set(ids)) == 1000
    # Each of 32 digits is any of 16, whatever those before it are.
    assert all(len({one[at : at + 2] for one in ids}) > 200 for at in range(31))


# --- methods --------------------------------------------------------------------------------------


# [A15]
async def test_methods_may_be_overridden(world: World, files: Collection) -> None:
    url = await files.begin(6)

    async def override(method: str, data: bytes | None = None, **headers: str):
        return await files.ask("POST", url, {**BODY, "X-HTTP-Method-Override": method, **headers}, data)

    assert (await override("PATCH", b"abc", **{"Upload-Offset": "0"})).status == 204
    head = await override("HEAD")
    assert (head.status, head.headers["Upload-Offset"], head.body) == (200, "3", b"")
    assert (await override("DELETE")).status == 204
    assert (await files.head(url)).status == 410
    assert (await override("PUT")).status == 405
    assert (await files.ask("POST", url, dict(BODY))).status == 405
