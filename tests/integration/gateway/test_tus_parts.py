"""Files put together from parts: who waits for a part, and what becomes of it when nobody does any more."""

from __future__ import annotations

from collections.abc import Callable

import anyio
import pytest
from harness.fields import TUS, metadata
from harness.tus import Collection
from harness.uploads import change
from harness.world import FOLDER, OTHER, World, digest

from domain.errors import BackendUnavailableError, GoneError
from gateway.uploads.finishing import Finisher
from gateway.uploads.session import UploadSession

pytestmark = [pytest.mark.anyio, pytest.mark.folder, pytest.mark.gateway(max_upload_bytes=1000)]


def waiting_for(world: World) -> list[str]:
    """Which final uploads are recorded with parts."""
    from bus.codec import decode_document

    found = [decode_document(record.data) for name, record in world.store.records.items() if "upload:" in name]
    return [str(document["final"]) for document in found if document.get("final")]


# [B7]
async def test_a_whole_is_no_longer_than_any_upload_may_be(world: World, files: Collection) -> None:
    first, second = await files.part(600, b"a" * 600), await files.part(600)
    for urls in (f"{first} {second}", f"{first} {first}"):
        answer = await files.create(None, "whole", Upload_Concat=f"final;{urls}")
        assert answer.status == 413
        assert answer.json["max_bytes"] == 1000
    assert not waiting_for(world)
    assert (await files.head(first)).headers["Upload-Offset"] == "600"
    assert not [name for name in world.store.records if world.store.records[name].revision == 0]


# [B7] [B18]
async def test_a_whole_that_becomes_too_long_is_not_put_together(world: World, files: Collection) -> None:
    """Of a part whose length is told later that is known only then."""
    first, second = await files.part(600, b"a" * 600), await files.part(None)
    url = await files.begin(None, "whole", Upload_Concat=f"final;{first} {second}")
    answer = await files.patch(second, 0, b"b" * 401, Upload_Length="401")
    assert answer.status == 413
    assert (await files.head(url)).status == 413
    assert not (world.folder / "whole").exists()
    assert (await files.delete(url)).status == 204
    assert (await files.head(second)).headers["Upload-Offset"] == "401"


# [B8] [B17]
async def test_a_part_that_comes_many_times_has_to_fit_as_often(world: World, files: Collection) -> None:
    """It has reserved what it is once."""
    limit = {"volume": "disk", "vfid": FOLDER, "options": {"limit_bytes": 500}}
    assert (await world.manager("PUT", "/folder/quota", limit)).status == 204
    url = await files.part(100, b"a" * 100)
    answer = await files.create(None, "whole", Upload_Concat="final;" + " ".join([url] * 6))
    assert (answer.status, answer.json["type"]) == (413, "urn:penstock:problem:quota-exceeded")
    assert [path.name for path in world.folder.iterdir()] == [".upload"]
    answer = await files.create(None, "whole", Upload_Concat="final;" + " ".join([url] * 4))
    assert (answer.status, answer.headers["Upload-Offset"]) == (201, "400")
    assert (world.folder / "whole").read_bytes() == b"a" * 400


# [B14] [B18]
async def test_parts_outlive_a_whole_that_was_dropped(world: World, files: Collection) -> None:
    first, second = await files.part(3, b"abc"), await files.part(3)
    url = await files.begin(None, "whole", Upload_Concat=f"final;{first} {second}")
    assert (await files.delete(url)).status == 204
    answer = await files.patch(second, 0, b"def")
    assert (answer.status, answer.headers["Upload-Offset"]) == (204, "3")
    for part_url in (first, second):
        assert (await files.head(part_url)).headers["Upload-Offset"] == "3"
    assert not waiting_for(world), "what is recorded of it is put right by who meets it"
    again = await files.create(None, "again", Upload_Concat=f"final;{first} {second}")
    assert (again.status, again.headers["Upload-Offset"]) == (201, "6")
    assert (world.folder / "again").read_bytes() == b"abcdef"


# [B11] [B18]
async def test_parts_outlive_a_whole_that_expired(world: World, files: Collection) -> None:
    first = await files.part(3)
    url = await files.begin(None, "whole", Upload_Concat=f"final;{first}")
    change(world, url.rpartition("/")[2], expires=1.0)
    await world.gate.uploads.sweep(10)
    assert (await files.head(url)).status == 410
    assert (await files.patch(first, 0, b"abc")).status == 204
    assert (await files.head(first)).headers["Upload-Offset"] == "3"
    assert not (world.folder / "whole").exists()


# [B17]
async def test_one_whole_waits_for_a_part(world: World, files: Collection) -> None:
    first, second = await files.part(3, b"abc"), await files.part(3)
    url = await files.begin(None, "one", Upload_Concat=f"final;{first} {second}")
    for concat, name in ((f"final;{second}", "two"), (f"final;{first} {second}", "three")):
        answer = await files.create(None, name, Upload_Concat=concat)
        assert (answer.status, answer.json["type"]) == (409, "urn:penstock:problem:conflict")
    assert (await files.patch(second, 0, b"def")).status == 204
    assert (await files.head(url)).headers["Upload-Offset"] == "6"
    assert [path.name for path in world.folder.iterdir()] == ["one"]


# [B14]
async def test_the_last_byte_of_a_part_that_was_dropped_meanwhile_is_told_to_be_lost(
    world: World, files: Collection
) -> None:
    uploads, url = world.gate.uploads, await files.part(3, b"abc")
    async with uploads.opened.use(url.rpartition("/")[2]) as opened:
        await uploads.sessions.bury(opened.session)
        with pytest.raises(GoneError):
            await uploads.finish(opened)


# [B17]
@pytest.mark.parametrize("more", [{"extract": "1"}, {"sha256": "0" * 64}], ids=["to-unpack", "announced"])
async def test_another_whole_of_the_same_name_is_not_taken_for_the_same(
    files: Collection, more: dict[str, str]
) -> None:
    concat = f"final;{await files.part(3)}"
    await files.begin(None, "whole", Upload_Concat=concat)
    said = metadata(filename="whole", **more)
    assert (await files.create(None, None, Upload_Concat=concat, Upload_Metadata=said)).status == 409


# [B17]
async def test_parts_in_another_folder_are_none_of_a_whole(world: World, files: Collection) -> None:
    await world.make_folder(OTHER)
    body = {"volume": "disk", "vfid": OTHER, "owner": "somebody"}
    token = (await world.manager("POST", "/folder/file/upload-below", body)).json["token"]
    part = await Collection(world, token).part(3, b"abc")
    assert (await files.create(None, "whole", Upload_Concat=f"final;{part}")).status == 400


# [B15]
async def test_a_whole_that_is_asked_for_twice_is_one(world: World, files: Collection) -> None:
    """Its client did not hear of the first one, and knows no other way to have the parts put together."""
    first, second = await files.part(3, b"abc"), await files.part(3)
    concat = f"final;{first} {second}"
    urls = [await files.begin(None, "whole", Upload_Concat=concat) for _ in range(3)]
    assert len(set(urls)) == 1
    assert (await files.patch(second, 0, b"def")).status == 204
    assert (await files.head(urls[0])).headers["Upload-Offset"] == "6"
    assert len(world.events("file.uploaded")) == 1


# [B15]
@pytest.mark.parametrize("freed", [2, 1])
async def test_a_whole_that_is_finished_is_told_who_asks_again(
    world: World, files: Collection, monkeypatch: pytest.MonkeyPatch, freed: int
) -> None:
    """All parts were there when it was begun, so it was finished at once, and the answer was lost.

    Args:
        freed: how many of its parts were freed before the process died.
    """
    first, second = await files.part(3, b"abc"), await files.part(3, b"def")
    concat, discard, left = f"final;{first} {second}", Finisher.discard, freed

    async def dies(finisher: Finisher, session: UploadSession) -> None:
        nonlocal left
        left -= 1
        if left < 0:
            raise BackendUnavailableError("dead")
        await discard(finisher, session)

    with monkeypatch.context() as patched:
        patched.setattr(Finisher, "discard", dies)
        assert (await files.create(None, "whole", Upload_Concat=concat)).status == (201 if freed == 2 else 503)
    again = [await files.create(None, "whole", Upload_Concat=concat) for _ in range(2)]
    assert [(answer.status, answer.headers["Upload-Offset"]) for answer in again] == [(201, "6")] * 2
    assert len({answer.headers["Location"] for answer in again}) == 1
    assert [path.name for path in world.folder.iterdir()] == ["whole"]
    assert len(world.events("file.uploaded")) == 1
    assert (await files.create(None, "other", Upload_Concat=concat)).status == 400
    assert (await files.delete("/" + again[0].headers["Location"])).status == 204
    assert (await files.create(None, "whole", Upload_Concat=concat)).status == 400


# [B17]
async def test_of_many_wholes_at_once_one_gets_the_parts(world: World, files: Collection) -> None:
    urls = [await files.part(3, b"abc"), await files.part(3)]
    statuses: list[int] = []

    async def begin(number: int) -> None:
        order = urls if number % 2 else urls[::-1]
        answer = await files.create(None, f"f{number}", Upload_Concat="final;" + " ".join(order))
        statuses.append(answer.status)

    async with anyio.create_task_group() as tasks:
        for number in range(8):
            tasks.start_soon(begin, number)
    assert sorted(statuses) == [201] + [409] * 7
    assert (await files.patch(urls[1], 0, b"def")).status == 204
    assert len(world.events("file.uploaded")) == 1
    assert len([path for path in world.folder.iterdir() if path.name != ".upload"]) == 1


# [B17]
async def test_a_whole_that_cannot_be_put_together_leaves_its_parts(world: World, files: Collection) -> None:
    first = await files.part(3, b"abc")
    (world.folder / "d").mkdir()
    assert (await files.create(None, "d", Upload_Concat=f"final;{first}")).status == 400
    assert not [path for path in (world.folder / ".upload").iterdir() if path.name not in first]
    answer = await files.create(None, "e", Upload_Concat=f"final;{first}")
    assert (answer.status, (world.folder / "e").read_bytes()) == (201, b"abc")


# [B16]
async def test_a_whole_takes_no_bytes_with_its_creation(world: World, files: Collection) -> None:
    first = await files.part(3, b"abc")
    before = len(world.store.records)
    headers = {"Upload-Concat": f"final;{first}", "Upload-Metadata": metadata(filename="a")}
    fields = {**TUS, **headers, "Content-Type": "application/offset+octet-stream"}
    assert (await files.ask("POST", "/files", fields, b"x")).status == 403
    assert len(world.store.records) == before
    assert not (world.folder / "a").exists()


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
    assert (answer.status, "Upload-Concat" in answer.headers) == (201, False), answer.body
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
    begun = await files.create(None, "whole", Upload_Concat=f"final;{first} {second}")
    assert (begun.status, begun.headers.get("Upload-Offset")) == (201, None)
    url = "/" + begun.headers["Location"]
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
@pytest.mark.gateway(max_upload_bytes=2000)
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
