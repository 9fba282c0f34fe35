"""Several requests of one upload: which of them wins, and what the others are told."""

from __future__ import annotations

import anyio
import pytest
from harness.tus import Collection, is_told_to_try_again, sending
from harness.world import World
from integration.gateway.resumable_client import RESUMABLE, append, begin, begun, look, place, problem

from domain.errors import LockedError
from gateway.uploads import writer
from gateway.uploads.opened import OpenUploads

pytestmark = [pytest.mark.anyio, pytest.mark.folder, RESUMABLE]

MIB = 1 << 20
#: A body that comes in pieces, and one that is taken from its socket.
SIZES = [1000, 4 * MIB]
PATCH = {"Content_Type": "application/partial-upload", "Upload_Offset": "0", "Upload_Complete": "?0"}


# [R3]
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("method", ["HEAD", "GET"])
async def test_who_asks_how_far_it_is_takes_it_over(
    world: World, files: Collection, size: int, method: str
) -> None:
    url = await begun(files, Upload_Length=str(size))
    async with sending(files, "PATCH", url, size, size // 2, **PATCH) as old:
        seen = await files.ask(method, url, {})
        assert place(seen) == (204, str(size // 2), "?0")
        old.send(b"z" * 100)
        evicted = await old.answer()
        assert is_told_to_try_again(evicted)
        assert evicted.headers["Upload-Complete"] == "?0"
        assert evicted.headers["Connection"] == "close"
        rest = b"n" * (size - size // 2)
        assert place(await append(files, url, size // 2, "?1", rest)) == (200, str(size), "?1")
    assert (world.folder / "a").read_bytes() == b"x" * (size // 2) + rest, "not one byte of the old one came behind"


# [R4]
async def test_an_append_takes_over_as_well_if_it_fits(world: World, files: Collection) -> None:
    url = await begun(files, Upload_Length="1000")
    async with sending(files, "PATCH", url, 1000, 500, **PATCH) as old:
        for offset in (0, 499, 1000):
            answer = await append(files, url, offset, "?0", b"n" * 10)
            assert problem(answer) == (409, "mismatching-upload-offset")
            assert (answer.headers["Upload-Offset"], answer.headers["Upload-Complete"]) == ("500", "?0")
            assert (answer.json["expected-offset"], answer.json["provided-offset"]) == (500, offset)
        assert (await append(files, url, "x", "?0", b"n")).status == 400
        assert (await append(files, url, 500, "x", b"n")).status == 400
        assert (await files.ask("PATCH", url, {"Content-Type": "text/plain"}, b"n")).status == 415
        old.send(b"x" * 100)
        await world.settled(lambda: any(p.stat().st_size >= 600 for p in (world.folder / ".upload").iterdir()))
        assert place(await append(files, url, 600, "?1", b"n" * 400)) == (200, "1000", "?1")
        assert is_told_to_try_again(await old.answer())
    assert (world.folder / "a").read_bytes() == b"x" * 600 + b"n" * 400


# [R1]
async def test_a_creation_that_was_cut_goes_on(world: World, files: Collection) -> None:
    """Its client has the Location from the interim answer, and comes back while the old request still stands."""
    fields = {"Content_Disposition": "inline; filename=a", "Upload_Complete": "?1"}
    fields["Upload_Draft_Interop_Version"] = "9"
    async with sending(files, "POST", "/uploads", 1000, 500, **fields) as old:
        interim = await old.answer()
        assert interim.status == 104
        url = "/" + interim.headers["Location"]
        assert place(await look(files, url)) == (204, "500", "?0")
        assert is_told_to_try_again(await old.answer())
        assert (await look(files, url)).headers["Upload-Length"] == "1000"
        assert place(await append(files, url, 500, "?1", b"n" * 500)) == (200, "1000", "?1")
    assert (world.folder / "a").read_bytes() == b"x" * 500 + b"n" * 500


# [R4]
@pytest.mark.parametrize("method", ["POST", "PUT"])
async def test_a_creation_of_what_is_on_its_way_disturbs_nobody(world: World, method: str) -> None:
    one = Collection(world, await world.upload_token("one", 1000))
    async with sending(one, method, "/uploads", 1000, 500, Upload_Complete="?1") as old:
        again = await begin(one, b"n" * 1000, "?1", method, name=None)
        assert problem(again) == (409, "mismatching-upload-offset")
        assert (again.headers["Upload-Offset"], again.headers["Upload-Complete"]) == ("500", "?0")
        old.send(b"x" * 500)
        assert place(await old.answer()) == (200, "1000", "?1")
    assert (world.folder / "one").read_bytes() == b"x" * 1000


# [R9]
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("method", ["PATCH", "POST"])
async def test_dropping_ends_a_running_request_at_once(
    world: World, files: Collection, size: int, method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "SILENCE_SECONDS", 30.0)
    monkeypatch.setattr(writer, "YIELD_SECONDS", 30.0)
    if method == "PATCH":
        url, fields = await begun(files, Upload_Length=str(size)), PATCH
    else:
        fields = {"Content_Disposition": "inline; filename=a", "Upload_Complete": "?1"}
        url, fields = "", {**fields, "Upload_Draft_Interop_Version": "8"}
    async with sending(files, method, url or "/uploads", size, size // 2, **fields) as old:
        if method == "POST":
            url = "/" + (await old.answer()).headers["Location"]
        with anyio.fail_after(15):
            assert (await files.ask("DELETE", url, {})).status == 204
        assert list(world.folder.iterdir()) == []
        old.send(b"z" * (size // 2))
        answer = await old.answer()
        assert (answer.status, answer.headers["Connection"]) == (410, "close")
    for again in ("HEAD", "GET", "DELETE"):
        assert (await files.ask(again, url, {})).status == 410
    assert (await append(files, url, 0, "?1", b"x")).status == 410
    assert list(world.folder.iterdir()) == []
    assert world.events("file.uploaded") == []


# [R9]
async def test_dropping_what_is_complete(world: World, files: Collection) -> None:
    """The file stays; nobody can ask about its upload any more."""
    url = await begun(files, b"abc")
    assert (await append(files, url, 3, "?1")).status == 200
    assert (await files.ask("DELETE", url, {})).status == 204
    assert (await look(files, url)).status == 410
    assert (await append(files, url, 3, "?1")).status == 410
    assert (world.folder / "a").read_bytes() == b"abc"
    assert (await files.ask("DELETE", f"/uploads/{'0' * 32}", {})).status == 404


async def test_who_cannot_get_an_upload_is_told_when_to_come_again(
    files: Collection, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = await begun(files, b"abc")

    def taken(*_: object) -> object:
        raise LockedError("somebody else has it")

    monkeypatch.setattr(OpenUploads, "use", taken)
    answer = await append(files, url, 3, "?0", b"x")
    assert is_told_to_try_again(answer)
    assert answer.headers["Upload-Complete"] == "?0"
    seen = await look(files, url)
    assert (seen.status, int(seen.headers["Retry-After"]) >= 1) == (423, True)
