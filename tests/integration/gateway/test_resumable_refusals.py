"""Fields that are written another way than one is used to, and those that make no sense (RFC 9651)."""

from __future__ import annotations

import time

import jwt
import pytest
from harness.bodies import pieces
from harness.line import Line
from harness.tus import Collection
from harness.uploads import claims_of
from harness.world import TOKEN_SECRET, World
from integration.gateway.resumable_client import PARTIAL, RESUMABLE, append, begin, begun, look, place

pytestmark = [pytest.mark.anyio, pytest.mark.folder, RESUMABLE]


async def test_fields_with_parameters(world: World, files: Collection) -> None:
    url = await begun(files, b"abc", Upload_Length="6;unit=bytes")
    answer = await append(
        files, url, "3;at;like=this", '?1;x=1;y="a, b";z=:YQ==:', b"def", Upload_Length="06; so;be=it"
    )
    assert place(answer) == (200, "6", "?1")
    assert (world.folder / "a").read_bytes() == b"abcdef"


#: Values of fields that make no sense.
SENSELESS: list[dict[str, str]] = [
    *({"Upload-Complete": value} for value in ("1", "true", "?2", "?", "? 1", "?1;", "?1, ?1", "(?1)", '"?1"', "")),
    *(
        {"Upload-Offset": value}
        for value in ("-1", "+3", "3.0", "3,3", "0x3", "3 3", "1" * 16, ":Mw==:", "", "\uff13")
    ),
    *({"Upload-Length": value} for value in ("-1", "six", "6.", "6,6", "@6", "", "9" * 16)),
]


# [R6]
@pytest.mark.parametrize("fields", SENSELESS, ids=str)
async def test_fields_that_make_no_sense(world: World, files: Collection, fields: dict[str, str]) -> None:
    url = await begun(files, b"abc", name="b")
    answer = await append(files, url, 3, "?1", b"def", **fields)
    assert answer.status == 400
    assert next(iter(fields)) in answer.json["data"]
    assert answer.headers["Upload-Complete"] == "?0"
    assert place(await look(files, url)) == (204, "3", "?0")
    if "Upload-Offset" not in fields:
        assert (await begin(files, b"abc", fields.pop("Upload-Complete", "?1"), **fields)).status == 400
    assert [path.name for path in world.folder.iterdir()] == [".upload"]


# [R6]
@pytest.mark.parametrize("name", ["Upload-Complete", "Upload-Offset", "Upload-Length", "Content-Disposition"])
@pytest.mark.parametrize("same", [True, False])
async def test_fields_that_are_given_twice(world: World, files: Collection, name: str, same: bool) -> None:
    usual = {"Upload-Complete": "?1", "Upload-Offset": "3", "Upload-Length": "6"}
    usual["Content-Disposition"] = "inline; filename=a"
    other = {"Upload-Complete": "?0", "Upload-Offset": "0", "Upload-Length": "7"}
    other["Content-Disposition"] = "inline; filename=b"
    creates = name in ("Upload-Complete", "Upload-Length", "Content-Disposition")
    targets = [("POST", "/uploads")] if creates else []
    if name != "Content-Disposition":
        targets.append(("PATCH", await begun(files, b"abc")))
    for method, url in targets:
        fields = [*usual.items(), (name, usual[name] if same else other[name])]
        if method == "POST":
            fields = [(given, value) for given, value in fields if given != "Upload-Offset"]
        length = "6" if method == "POST" else "3"
        async with Line.open(world) as line:
            head = [("Authorization", f"Bearer {files.token}"), ("Content-Length", length), *PARTIAL.items()]
            line.head(method, url, [*head, *fields])
            line.send(b"def" * (int(length) // 3))
            assert (await line.answer()).status == 400
    assert not (world.folder / "a").exists()


# [R6]
async def test_an_append_that_lacks_something(files: Collection) -> None:
    url = await begun(files, b"abc")
    head = {**PARTIAL, "Upload-Offset": "3", "Upload-Complete": "?0"}
    for missing, status in (("Content-Type", 415), ("Upload-Offset", 400), ("Upload-Complete", 400)):
        fields = {name: value for name, value in head.items() if name != missing}
        answer = await files.ask("PATCH", url, fields, b"x")
        assert answer.status == status
        assert answer.headers["Upload-Complete"] == "?0"
    for kind in ("text/plain", "application/offset+octet-stream", "application/partial-uploads", ""):
        answer = await files.ask("PATCH", url, {**head, "Content-Type": kind}, b"x")
        assert answer.status == 415
        assert answer.headers["Accept-Patch"] == "application/partial-upload"
    assert place(await look(files, url)) == (204, "3", "?0")
    for kind in ("Application/Partial-Upload", "application/partial-upload;v=1"):
        assert (await files.ask("PATCH", url, {**head, "Content-Type": kind}, b"")).status == 204


async def test_a_coding_that_is_not_known(files: Collection, world: World) -> None:
    url = await begun(files, b"abc")
    for method, target in (("POST", "/uploads"), ("PATCH", url)):
        head = {
            **PARTIAL,
            "Upload-Offset": "3",
            "Upload-Complete": "?1",
            "Content-Disposition": "inline; filename=a",
        }
        head |= {"Authorization": f"Bearer {files.token}", "Transfer-Encoding": "gzip, chunked"}
        async with Line.open(world) as line:
            line.head(method, target, head)
            line.send(b"3\r\ndef\r\n0\r\n\r\n")
            assert (await line.answer()).status == 501
    assert place(await look(files, url)) == (204, "3", "?0")


async def test_names(world: World, files: Collection) -> None:
    for field, name in (
        ('inline; filename="b c"', "b c"),
        ("attachment; filename=c", "c"),
        ("inline; filename*=UTF-8''%ED%95%9C", "한"),
        ("inline; filename=plain; filename*=UTF-8''%C3%A9", "é"),
        ('inline; filename="é2"', "é2"),
        ("inline; filename=d/e", "d/e"),
    ):
        answer = await files.ask("POST", "/uploads", {"Upload-Complete": "?1", "Content-Disposition": field}, b"x")
        assert answer.status == 200, field
        assert (world.folder / name).read_bytes() == b"x"
    for field in (
        *(
            "inline",
            "inline; filename=",
            'inline; filename="/x"',
            "inline; filename=../x",
            "inline; filename=.upload/x",
        ),
        *("inline; filename=\xff", "inline; filename*=UTF-8''%00", f"inline; filename={'x' * 300}", ""),
    ):
        async with Line.open(world) as line:
            head = {"Authorization": f"Bearer {files.token}", "Content-Length": "1", "Upload-Complete": "?1"}
            line.head("POST", "/uploads", {**head, "Content-Disposition": field})
            line.send(b"x")
            assert (await line.answer()).status == 400, field
    assert (await begin(files, b"x", "?1", name=None)).status == 400


@pytest.mark.parametrize("name", ["..%2f..%2fx", "%00", "x" * 4096, "0" * 32, "%ff", "a%2Fb"])
async def test_ids_that_are_none(files: Collection, name: str) -> None:
    for method, status in (("HEAD", 404), ("GET", 404), ("DELETE", 404), ("PUT", 405), ("POST", 405)):
        assert (await files.ask(method, f"/uploads/{name}", {})).status == status, method
    assert (await files.ask("OPTIONS", f"/uploads/{name}", {})).status == 200
    assert (await append(files, f"/uploads/{name}", 0, "?1", b"x")).status == 404


@pytest.mark.parametrize("method", ["POST", "PUT"])
async def test_a_token_that_expired_begins_nothing(world: World, files: Collection, method: str) -> None:
    token = files.token if method == "POST" else await world.upload_token("one", 3)
    past = {**claims_of(token), "exp": int(time.time()) - 100}
    late = Collection(world, jwt.encode(past, TOKEN_SECRET, algorithm="HS256"))
    assert (await begin(late, b"abc", "?1", method)).status == 401
    assert not world.events("file.uploaded")


@pytest.mark.parametrize("kept", [True, False], ids=["kept-open", "given-back"])
async def test_uploads_of_somebody_else(world: World, files: Collection, kept: bool) -> None:
    url = await begun(files, b"abc")
    if not kept:
        await world.let_go(url)
    for other in (
        await Collection.open(world, owner="somebody else"),
        Collection(world, await world.upload_token("b", 3)),
    ):
        for method in ("HEAD", "DELETE"):
            assert (await other.ask(method, url, {})).status == 404
        assert (await append(other, url, 3, "?1", b"x")).status == 404
    assert (await world.client("HEAD", url)).status == 401


async def test_parts_of_the_other_protocol_are_nothing_here(files: Collection) -> None:
    part = await files.begin(3, None, Upload_Concat="partial")
    final = await files.begin(None, Upload_Concat=f"final;{part}")
    for url in (part, final):
        there = url.replace("/files/", "/uploads/")
        assert (await look(files, there)).status == 404
        assert (await append(files, there, 0, "?1", b"abc")).status == 404
        assert (await files.ask("DELETE", there, {})).status == 404
        assert (await files.head(url)).status == 200


async def test_what_was_begun_by_the_other_protocol_goes_on(world: World, files: Collection) -> None:
    """An upload is one, whoever goes on with it; when it ends is for who does so to say."""
    there = await files.begin(6)
    url = there.replace("/files/", "/uploads/")
    assert (await files.patch(there, 0, b"abc")).status == 204
    assert place(await look(files, url)) == (204, "3", "?0")
    assert place(await append(files, url, 3, "?0", b"def")) == (204, "6", "?0")
    assert not (world.folder / "a").exists()
    assert place(await append(files, url, 6, "?1")) == (200, "6", "?1")
    assert (await files.head(there)).headers["Upload-Offset"] == "6"
    assert (world.folder / "a").read_bytes() == b"abcdef"


async def test_a_creation_nobody_could_come_back_to_leaves_nothing(world: World, files: Collection) -> None:
    """Its client was not told where it is, because it does not speak the interop version."""
    fields = {"Upload-Complete": "?1", "Content-Disposition": "inline; filename=a"}
    async with Line.open(world) as line:
        line.head("POST", "/uploads", {**fields, "Authorization": f"Bearer {files.token}", "Content-Length": "100"})
        line.send(b"x" * 50)
        await world.stored(50)
    await world.settled(lambda: not list(world.folder.iterdir()))
    await world.settled(lambda: not [name for name in world.store.records if name.startswith("upload:")])
    assert (await begin(files, pieces(b"abc"), "?1")).status == 200
