"""Collections of uploads: names, owners, deferred lengths, checksums, parts, overrides, limits."""

from __future__ import annotations

import base64
import os
from collections.abc import Callable
from pathlib import Path

import anyio
import anyio.lowlevel
import jwt
import pytest
from harness.bodies import pieces
from harness.fields import BODY, TUS, checksum, metadata
from harness.line import Line
from harness.tus import Collection
from harness.uploads import let_pass
from harness.world import FOLDER, OTHER, TOKEN_SECRET, Answer, World, digest, open_world

from bus.memory.leases import MemoryLeases
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
            answers.append(await files.create(3, f"f{number}"))

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


# --- deferred length ------------------------------------------------------------------------------


# [B7] [B9]
async def test_the_length_may_be_told_later(world: World, files: Collection) -> None:
    url = await files.begin(None, Upload_Defer_Length="1")
    head = await files.head(url)
    assert (head.headers["Upload-Defer-Length"], head.headers.get("Upload-Length")) == ("1", None)
    assert (await files.patch(url, 0, b"abc")).status == 204
    assert (await files.patch(url, 3, b"d", Upload_Length="2")).status == 400
    assert (await files.patch(url, 3, b"d", Upload_Length="x")).status == 400
    assert (await files.patch(url, 3, b"d", Upload_Length=str(2 << 20))).status == 413
    assert (await files.patch(url, 3, b"defg", Upload_Length="5")).status == 413
    assert (await files.patch(url, 3, b"d", Upload_Length="5")).status == 204
    assert (await files.head(url)).headers["Upload-Length"] == "5"
    assert (await files.patch(url, 4, b"e", Upload_Length="6")).status == 400
    assert (await files.patch(url, 4, b"e", Upload_Length="5")).status == 204
    assert (world.folder / "a").read_bytes() == b"abcde"


# [A11] [B9]
async def test_a_deferred_upload_may_end_with_an_empty_request(world: World, files: Collection) -> None:
    url = await files.begin(None, Upload_Defer_Length="1")
    await files.patch(url, 0, b"abc")
    answer = await files.patch(url, 3, b"", Upload_Length="3")
    assert (answer.status, answer.headers["Upload-Offset"]) == (204, "3")
    assert (world.folder / "a").read_bytes() == b"abc"


# [B9] [C6]
async def test_an_upload_whose_length_was_told_is_still_its_owners(world: World, files: Collection) -> None:
    for name in range(5):
        url = await files.begin(None, f"{name}", Upload_Defer_Length="1")
        assert (await files.patch(url, 0, b"1", Upload_Length="3")).status == 204
    assert (await files.create(3, "one more")).status == 429
    assert (await files.patch(url, 1, b"23")).status == 204
    assert (await files.create(3, "one more")).status == 201


# [B8]
async def test_a_deferred_upload_stays_within_the_quota(world: World, files: Collection) -> None:
    scope = {"volume": "disk", "qsid": FOLDER.partition("/")[0], "options": {"limit_bytes": 10}}
    assert (await world.manager("PATCH", "/quota-scope", scope)).status == 204
    url = await files.begin(None, Upload_Defer_Length="1")
    assert (await files.patch(url, 0, b"x" * 8)).status == 204
    assert (await files.patch(url, 8, b"x" * 3)).status == 413
    answer = await files.patch(url, 8, pieces(b"y", b"y", b"y"))
    assert (answer.status, answer.json["type"]) == (413, "urn:penstock:problem:quota-exceeded")
    assert (await files.head(url)).headers["Upload-Offset"] == "10"
    assert (await files.patch(url, 10, b"", Upload_Length="11")).status == 413
    assert (await files.patch(url, 10, b"", Upload_Length="10")).status == 204
    assert (world.folder / "a").read_bytes() == b"x" * 8 + b"yy"
    assert (await files.create(1, "b")).status == 413


# --- checksums ------------------------------------------------------------------------------------


# [B12]
@pytest.mark.parametrize("algorithm", ["sha1", "sha256", "sha512", "md5", "crc32"])
async def test_bytes_count_if_they_are_what_was_announced(world: World, files: Collection, algorithm: str) -> None:
    url = await files.begin(6)
    assert (await files.patch(url, 0, b"abc", Upload_Checksum=checksum(b"abc", algorithm))).status == 204
    wrong = await files.patch(url, 3, b"xyz", Upload_Checksum=checksum(b"def", algorithm))
    assert (wrong.status, wrong.headers["Tus-Resumable"]) == (460, "1.0.0")
    assert (await files.head(url)).headers["Upload-Offset"] == "3"
    assert (await files.patch(url, 3, b"def", Upload_Checksum=checksum(b"def", algorithm))).status == 204
    assert (world.folder / "a").read_bytes() == b"abcdef"
    (event,) = world.events("file.uploaded")
    assert event.body["sha256"] == digest(b"abcdef")


# [B12]
@pytest.mark.parametrize("value", ["sha3 YQ==", "sha1", "sha1 ###", "sha1 YQ==", "", "crc32 AAAAAAA="])
async def test_checksums_that_make_no_sense(files: Collection, value: str) -> None:
    url = await files.begin(3)
    assert (await files.patch(url, 0, b"abc", Upload_Checksum=value)).status == 400
    assert (await files.head(url)).headers["Upload-Offset"] == "0"


# [B10] [B12]
async def test_a_checksum_of_a_creation_with_upload(world: World, files: Collection) -> None:
    given = checksum(b"abc", "sha1")
    assert (await files.create(6, "a", b"xyz", Upload_Checksum=given)).status == 460
    answer = await files.create(6, "a", b"abc", Upload_Checksum=given)
    assert (answer.status, answer.headers["Upload-Offset"]) == (201, "3")


# [B12]
async def test_a_broken_off_body_with_a_checksum_counts_for_nothing(world: World, files: Collection) -> None:
    data = os.urandom(600_000)
    url = await files.begin(len(data))
    fields = {**BODY, "Authorization": f"Bearer {files.token}", "Upload-Checksum": checksum(data, "sha1")}
    async with Line.open(world) as line:
        line.head("PATCH", url, {**fields, "Upload-Offset": "0", "Content-Length": str(len(data))})
        line.send(data[:300_000])
        await world.stored(300_000)
    await world.settled(lambda: world.watching.answers[-1].method == "PATCH")
    assert (await files.head(url)).headers["Upload-Offset"] == "0"
    assert (await files.patch(url, 0, data, Upload_Checksum=checksum(data, "sha1"))).status == 204
    assert digest((world.folder / "a").read_bytes()) == digest(data)


# [A16] [B12]
async def test_bytes_not_compared_before_a_crash_do_not_count(world: World, files: Collection) -> None:
    from dataclasses import replace

    url = await files.begin(6)
    await files.patch(url, 0, b"abc")
    await world.let_go(url)
    known = await world.gate.uploads.sessions.require(url.rpartition("/")[2])
    assert await world.gate.uploads.sessions.replace(known, replace(known.session, floor=3))
    staging = await world.volume.files(known.session.folder).open_staging(known.session.id)
    await staging.append([b"xy"])
    await staging.close()
    assert (await files.head(url)).headers["Upload-Offset"] == "3"
    assert (await files.patch(url, 3, b"def")).status == 204
    assert (world.folder / "a").read_bytes() == b"abcdef"


async def test_a_whole_file_is_compared_with_its_digest(world: World, files: Collection) -> None:
    good = metadata(filename="a", sha256=digest(b"abc"))
    url = await files.begin(3, None, Upload_Metadata=good)
    assert (await files.patch(url, 0, b"xyz")).status == 460
    assert (await files.head(url)).status == 410
    assert not (world.folder / "a").exists()
    url = await files.begin(3, None, Upload_Metadata=good)
    assert (await files.patch(url, 0, b"abc")).status == 204
    assert os.getxattr(world.folder / "a", "user.penstock.sha256").startswith(digest(b"abc").encode())


async def test_what_is_there_already_need_not_be_sent(world: World, files: Collection) -> None:
    text = metadata(filename="a", sha256=digest(b"abc"))
    url = await files.begin(3, None, Upload_Metadata=text)
    await files.patch(url, 0, b"abc")
    again = await files.create(3, None, Upload_Metadata=text)
    assert (again.status, again.headers["Upload-Offset"]) == (201, "3")
    assert [event.body.get("replaced_bytes") for event in world.events("file.uploaded")] == [None, 3]
    (world.folder / "a").write_bytes(b"xyz")
    again = await files.create(3, None, Upload_Metadata=text)
    assert (again.status, again.headers["Upload-Offset"]) == (201, "0")


# --- parts ----------------------------------------------------------------------------------------


def relative(files: Collection, url: str) -> str:
    return url


def absolute(files: Collection, url: str) -> str:
    return f"http://127.0.0.1:{files.world.client_port}{url}?x=y"


# [B15] [B16] [B17]
@pytest.mark.parametrize("spelled", [relative, absolute])
async def test_a_file_is_put_together_from_parts(
    world: World, files: Collection, spelled: Callable[[Collection, str], str]
) -> None:
    first, second = await files.part(3, b"abc"), await files.part(4, b"defg")
    assert (await files.head(first)).headers["Upload-Concat"] == "partial"
    concat = f"final;{spelled(files, first)} {spelled(files, second)} {spelled(files, first)}"
    answer = await files.create(None, "whole", Upload_Concat=concat)
    assert answer.status == 201, answer.body
    url = "/" + answer.headers["Location"]
    head = await files.head(url)
    assert (head.headers["Upload-Offset"], head.headers["Upload-Length"]) == ("10", "10")
    assert head.headers["Upload-Concat"] == concat
    assert (world.folder / "whole").read_bytes() == b"abcdefgabc"
    (event,) = world.events("file.uploaded")
    assert event.body["sha256"] == digest(b"abcdefgabc")
    assert (await files.patch(url, 10, b"")).status == 403
    assert (await files.head(first)).status == 410
    assert [path.name for path in world.folder.iterdir()] == ["whole"]


# [B16] [B18]
async def test_parts_may_still_be_on_their_way(world: World, files: Collection) -> None:
    first = await files.part(3, b"abc")
    second = await files.begin(4, None, Upload_Concat="partial")
    url = await files.begin(None, "whole", Upload_Concat=f"final;{first} {second}")
    head = await files.head(url)
    assert head.status == 200
    assert "Upload-Offset" not in head.headers
    assert head.headers["Upload-Length"] == "7"
    assert (await files.patch(url, 0, b"x")).status == 403
    assert (await files.patch(second, 0, b"de")).status == 204
    assert not (world.folder / "whole").exists()
    assert (await files.patch(second, 2, b"fg")).status == 204
    assert (world.folder / "whole").read_bytes() == b"abcdefg"
    assert (await files.head(url)).headers["Upload-Offset"] == "7"
    assert len(world.events("file.uploaded")) == 1


# [B17]
async def test_parts_that_cannot_be_put_together(world: World, files: Collection) -> None:
    good = await files.part(3, b"abc")
    whole = await files.begin(3, "b")
    other = await Collection.open(world, owner="somebody else")
    foreign = await other.part(3, b"xyz")
    cases = {
        f"final;{good} {whole}": {},
        f"final;{good} {foreign}": {},
        f"final;{good} /files/{'0' * 32}": {},
        "final;": {},
        "final": {},
        f"final;{good} http://[": {},
        "partly": {},
        f"final;{good}": {"Upload_Length": "3"},
        f"final;{good} ": {"Upload_Defer_Length": "1"},
    }
    for concat, more in cases.items():
        answer = await files.create(None, "c", Upload_Concat=concat, **more)
        assert answer.status == 400, concat
        assert "Upload-Concat" in answer.body.decode() or more
    assert (await files.head(good)).headers["Upload-Offset"] == "3"
    single = await world.upload_token("d", 3)
    headers = {**TUS, "Upload-Concat": "partial", "Upload-Length": "3", "Authorization": f"Bearer {single}"}
    assert (await world.client("POST", "/files", headers=headers)).status == 400


# [A16] [B15]
async def test_a_broken_off_concatenation_goes_on(
    world: World, files: Collection, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = await files.part(1000, b"a" * 1000), await files.begin(1000, None, Upload_Concat="partial")
    url = await files.begin(None, "whole", Upload_Concat=f"final;{first} {second}")
    final = await world.gate.uploads.sessions.require(url.rpartition("/")[2])
    staging = await world.volume.files(final.session.folder).open_staging(final.session.id)
    await staging.append([b"a" * 700])
    await staging.close()
    assert (await files.patch(second, 0, b"b" * 1000)).status == 204
    assert (world.folder / "whole").read_bytes() == b"a" * 1000 + b"b" * 1000


# [A16]
async def test_an_upload_whose_record_was_lost_goes_on(world: World, files: Collection) -> None:
    url = await files.begin(6, "d/x")
    await files.patch(url, 0, b"abc")
    await world.let_go(url)
    world.store.records.clear()
    other = await Collection.open(world, owner="somebody else")
    assert (await other.head(url)).status == 404
    assert (await files.head(url)).headers["Upload-Offset"] == "3"
    assert (await files.patch(url, 3, b"def")).status == 204
    assert (world.folder / "d" / "x").read_bytes() == b"abcdef"
    assert os.listxattr(world.folder / "d" / "x") == ["user.penstock.sha256"]
    world.store.records.clear()
    assert (await files.head(url)).status == 404


# --- the rest -------------------------------------------------------------------------------------


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


# [A14]
async def test_of_four_at_the_same_offset_one_is_stored(world: World, files: Collection) -> None:
    url = await files.begin(1000)
    found: list[int] = []

    async def send(letter: bytes) -> None:
        found.append((await files.patch(url, 0, letter * 1000)).status)

    async with anyio.create_task_group() as tasks:
        for letter in (b"a", b"b", b"c", b"d"):
            tasks.start_soon(send, letter)
    assert found.count(204) == 1
    assert set(found) <= {204, 409, 423}, "the others may be wrong, or late, and never too long"
    assert len(set((world.folder / "a").read_bytes())) == 1


# [B11]
async def test_what_expired_is_gone(world: World, files: Collection, monkeypatch: pytest.MonkeyPatch) -> None:
    url = await files.begin(6)
    answer = await files.patch(url, 0, b"abc")
    assert "Upload-Expires" in answer.headers
    keep_seconds = world.gate.settings.upload_seconds
    for ahead, status in ((keep_seconds - 60, 200), (2 * keep_seconds, 410)):
        await world.let_go(url)
        let_pass(monkeypatch, ahead)
        await world.gate.uploads.sweep(10)
        later = await Collection.open(world)
        assert (await later.head(url)).status == status
    assert (await later.patch(url, 3, b"def")).status == 410
    assert list(world.folder.iterdir()) == []


async def test_an_upload_is_given_back_and_taken_again_many_times(world: World, files: Collection) -> None:
    url = await files.begin(200)
    for offset in range(0, 200, 2):
        assert (await files.head(url)).headers["Upload-Offset"] == str(offset)
        assert (await files.patch(url, offset, b"ab")).status == 204
        if offset % 50 == 0:
            await anyio.lowlevel.checkpoint()
    assert (world.folder / "a").read_bytes() == b"ab" * 100
    await world.settled(lambda: not world.store.leases)
