"""Files that are at their place already need not be sent: what says so, and what is compared if they are."""

from __future__ import annotations

import io
import os

import pytest
from harness.fields import BODY, TUS, checksum, metadata
from harness.line import Line
from harness.tus import Collection
from harness.world import Answer, World, digest

pytestmark = [pytest.mark.anyio, pytest.mark.folder]

SMALL = b"the very same"
LARGE = os.urandom(300_000)


@pytest.fixture(params=["upload-below", "upload"])
async def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


async def client(world: World, kind: str, size: int) -> Collection:
    """Whose token is for all uploads of the folder, or for the one of `a`."""
    return await Collection.open(world) if kind == "upload-below" else Collection(world, await token(world, size))


async def token(world: World, size: int) -> str:
    return await world.upload_token("a", size)


async def there(world: World, data: bytes) -> int:
    """Have the file be there; tells which one it is."""
    await world.upload("a", data)
    return (world.folder / "a").stat().st_ino


def is_finished(answer: Answer, data: bytes) -> bool:
    offset = answer.headers["Upload-Offset"]
    return (answer.status, offset, answer.headers["Upload-Length"]) == (201, str(len(data)), str(len(data)))


ANNOUNCED = {
    "metadata": lambda data: {"Upload-Metadata": metadata(filename="a", sha256=digest(data))},
    "checksum": lambda data: {"Upload-Metadata": metadata(filename="a"), "Upload-Checksum": checksum(data)},
    "both": lambda data: {
        "Upload-Metadata": metadata(filename="a", sha256=digest(data)),
        "Upload-Checksum": checksum(data),
    },
}


# [B10] [B12]
@pytest.mark.parametrize("how", sorted(ANNOUNCED))
@pytest.mark.parametrize("data", [SMALL, LARGE])
async def test_what_is_there_is_not_asked_for(world: World, kind: str, how: str, data: bytes) -> None:
    """A request without a body, or one whose body waits to be asked for."""
    inode = await there(world, data)
    for length in ("0", str(len(data))):
        files = await client(world, kind, len(data))
        fields = {**BODY, **ANNOUNCED[how](data), "Upload-Length": str(len(data)), "Content-Length": length}
        async with Line.open(world) as line:
            waiting = {"Expect": "100-continue"} if length != "0" else {}
            line.head("POST", "/files", {**fields, **waiting, "Authorization": f"Bearer {files.token}"})
            answer = await line.answer()
        assert is_finished(answer, data)
        assert (await files.head("/" + answer.headers["Location"])).headers["Upload-Offset"] == str(len(data))
    assert (world.folder / "a").stat().st_ino == inode
    assert [event.body["replaced_bytes"] for event in world.events("file.uploaded")[1:]] == [len(data)] * 2
    assert not (world.folder / ".upload").exists()
    assert not [m for name, found in world.store.view.indexes.items() if ":uploads" in name for m in found]


# [B12]
@pytest.mark.parametrize("how", sorted(ANNOUNCED))
@pytest.mark.parametrize("data", [SMALL, LARGE])
async def test_a_body_that_is_sent_all_the_same_is_compared(world: World, kind: str, how: str, data: bytes) -> None:
    inode = await there(world, data)
    files = await client(world, kind, len(data))
    fields = {**BODY, **ANNOUNCED[how](data), "Upload-Length": str(len(data))}
    wrong = await files.ask("POST", "/files", fields, io.BytesIO(data[:-1] + b"?"))
    assert wrong.status == 460
    assert "Location" not in wrong.headers
    right = await files.ask("POST", "/files", fields, io.BytesIO(data))
    assert is_finished(right, data)
    assert (world.folder / "a").stat().st_ino == inode
    assert len(world.events("file.uploaded")) == 2
    assert not (world.folder / ".upload").exists()


# [B12]
@pytest.mark.parametrize("how", sorted(ANNOUNCED))
async def test_what_is_not_there_is_compared_when_all_of_it_is(world: World, kind: str, how: str) -> None:
    """Without a body, the checksum is that of the whole; where it differs at the end the upload is dropped."""
    await there(world, b"quite another")
    for sent, status in ((b"the very sane", 460), (SMALL, 204)):
        files = await client(world, kind, len(SMALL))
        fields = {**TUS, **ANNOUNCED[how](SMALL), "Upload-Length": str(len(SMALL))}
        answer = await files.ask("POST", "/files", fields)
        assert (answer.status, answer.headers["Upload-Offset"]) == (201, "0")
        url = "/" + answer.headers["Location"]
        assert (await files.patch(url, 0, sent[:5])).status == 204
        assert (await files.patch(url, 5, sent[5:])).status == status
        assert (await files.head(url)).status == (410 if status == 460 else 200)
    assert (world.folder / "a").read_bytes() == SMALL


# [B12]
async def test_a_checksum_of_some_bytes_says_nothing_of_the_whole(world: World, kind: str) -> None:
    await there(world, SMALL)
    files = await client(world, kind, len(SMALL) + 3)
    fields = {"Upload-Metadata": metadata(filename="a"), "Upload-Checksum": checksum(SMALL)}
    answer = await files.ask("POST", "/files", {**BODY, **fields, "Upload-Length": str(len(SMALL) + 3)}, SMALL)
    assert (answer.status, answer.headers["Upload-Offset"]) == (201, str(len(SMALL)))
    assert (await files.patch("/" + answer.headers["Location"], len(SMALL), b"etc")).status == 204
    assert (world.folder / "a").read_bytes() == SMALL + b"etc"


# [B12]
@pytest.mark.parametrize("given", [checksum(b""), checksum(SMALL, "sha1"), checksum(b"", "md5")])
async def test_checksums_of_no_body(world: World, kind: str, given: str) -> None:
    """That of nothing is that of the body that is not there, and no other algorithm is kept with files."""
    await there(world, SMALL)
    files = await client(world, kind, len(SMALL))
    fields = {"Upload-Metadata": metadata(filename="a"), "Upload-Checksum": given}
    answer = await files.ask("POST", "/files", {**TUS, **fields, "Upload-Length": str(len(SMALL))})
    assert (answer.status, answer.headers["Upload-Offset"]) == (201, "0")
    assert (await files.patch("/" + answer.headers["Location"], 0, SMALL)).status == 204


async def test_two_announcements_that_differ(world: World, kind: str) -> None:
    files = await client(world, kind, len(SMALL))
    fields = {"Upload-Metadata": metadata(filename="a", sha256=digest(SMALL)), "Upload-Checksum": checksum(b"x")}
    answer = await files.ask("POST", "/files", {**TUS, **fields, "Upload-Length": str(len(SMALL))})
    assert (answer.status, list(answer.json["data"])) == (400, ["Upload-Checksum"])


async def test_a_file_that_was_changed_is_not_what_was_announced(world: World, kind: str) -> None:
    await there(world, SMALL)
    (world.folder / "a").write_bytes(SMALL[::-1])
    files = await client(world, kind, len(SMALL))
    fields = {"Upload-Metadata": metadata(filename="a"), "Upload-Checksum": checksum(SMALL)}
    answer = await files.ask("POST", "/files", {**TUS, **fields, "Upload-Length": str(len(SMALL))})
    assert (answer.status, answer.headers["Upload-Offset"]) == (201, "0")


async def test_a_link_to_such_a_file_is_none(world: World, kind: str) -> None:
    """What is uploaded takes its place, as it does where nothing is announced; it is no name of another file."""
    await there(world, SMALL)
    (world.folder / "a").rename(world.folder / "other")
    (world.folder / "a").symlink_to("other")
    files = await client(world, kind, len(SMALL))
    fields = {**BODY, **ANNOUNCED["metadata"](SMALL), "Upload-Length": str(len(SMALL))}
    answer = await files.ask("POST", "/files", fields, io.BytesIO(SMALL))
    assert is_finished(answer, SMALL)
    assert not (world.folder / "a").is_symlink()
    assert (world.folder / "a").read_bytes() == SMALL


async def test_an_archive_that_is_to_be_unpacked_is_not_there_as_a_file(world: World) -> None:
    await there(world, SMALL)
    files = await Collection.open(world)
    fields = {"Upload-Metadata": metadata(filename="a", sha256=digest(SMALL), extract="1")}
    answer = await files.ask("POST", "/files", {**TUS, **fields, "Upload-Length": str(len(SMALL))})
    assert (answer.status, answer.headers["Upload-Offset"]) == (201, "0")
    assert world.events("archive.unpacked") == []


async def test_an_upload_that_has_begun_goes_on(world: World) -> None:
    """What the token's upload has is not thrown away for what its client says now."""
    files = Collection(world, await token(world, len(SMALL)))
    first = await files.ask("POST", "/files", {**BODY, "Upload-Length": str(len(SMALL))}, SMALL[:5])
    assert first.headers["Upload-Offset"] == "5"
    await there(world, SMALL)
    fields = {"Upload-Metadata": metadata(sha256=digest(SMALL)), "Upload-Length": str(len(SMALL))}
    again = await files.ask("POST", "/files", {**TUS, **fields})
    assert (again.status, again.headers["Upload-Offset"]) == (201, "5")


# [B10] [B12]
@pytest.mark.parametrize("data", [SMALL, LARGE])
async def test_of_an_upload_that_is_finished_a_body_is_compared(world: World, data: bytes) -> None:
    """Who sends all of it again, because an answer was lost, is told so; who sends other bytes is not."""
    files = Collection(world, await token(world, len(data)))
    fields = {**BODY, "Upload-Length": str(len(data))}
    assert is_finished(await files.ask("POST", "/files", fields, io.BytesIO(data)), data)
    assert is_finished(await files.ask("POST", "/files", fields, io.BytesIO(data)), data)
    for other in (data[:-1] + b"?", data[:-1]):
        answer = await files.ask("POST", "/files", fields, io.BytesIO(other))
        assert (answer.status, "Location" in answer.headers, "Upload-Offset" in answer.headers) == (
            409,
            False,
            False,
        )
    wrong = {**fields, "Upload-Checksum": checksum(b"?")}
    assert (await files.ask("POST", "/files", wrong, io.BytesIO(data))).status == 460
    assert (world.folder / "a").read_bytes() == data
    assert len(world.events("file.uploaded")) == 1


async def test_of_an_upload_that_is_finished_a_body_is_asked_for(world: World) -> None:
    files = Collection(world, await token(world, len(SMALL)))
    fields = {**BODY, "Upload-Length": str(len(SMALL)), "Authorization": f"Bearer {files.token}"}
    assert is_finished(await files.ask("POST", "/files", fields, SMALL), SMALL)
    async with Line.open(world) as line:
        line.head("POST", "/files", {**fields, "Content-Length": str(len(SMALL)), "Expect": "100-continue"})
        assert (await line.answer()).status == 100
        line.send(b"?" * len(SMALL))
        assert (await line.answer()).status == 409


# [B4]
async def test_what_is_said_of_the_upload_of_a_token_is_repeated(world: World) -> None:
    """It was begun by the manager, without a word."""
    files = Collection(world, await token(world, 3))
    text = metadata(filename="résumé", filetype="text/plain")
    answer = await files.ask("POST", "/files", {**TUS, "Upload-Length": "3", "Upload-Metadata": text})
    assert answer.headers["Upload-Metadata"] == text
    assert (await files.head("/" + answer.headers["Location"])).headers["Upload-Metadata"] == text


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
