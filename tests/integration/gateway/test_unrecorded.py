"""Small uploads of which nothing is recorded before their bytes come: their tokens tell all there is to tell."""

from __future__ import annotations

from pathlib import Path

import pytest
from harness.begun import DATA, Begun, begin, look, send, told
from harness.ordered import keep_order
from harness.tus import LARGE
from harness.uploads import claims_of, let_pass, reserved
from harness.world import FOLDER, World, open_world

from bus.codec import decode_document
from gateway.uploads.session import UploadState

pytestmark = [pytest.mark.anyio, pytest.mark.folder]

HOUR = 3600.0
DAY = 24 * HOUR
DROP = {"method": "DELETE", "Content_Type": "", "Upload_Offset": ""}


@pytest.fixture(autouse=True)
def ordered(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the tests run on is taken for a file system that keeps the order of changes."""
    keep_order(monkeypatch)


def recorded(world: World) -> dict[str, str]:
    """States of uploads that are recorded, by their ids."""
    documents = [decode_document(one.data) for name, one in world.store.records.items() if name[:7] == "upload:"]
    return {str(one["id"]): str(one["state"]) for one in documents}


async def limit(world: World, count: int) -> None:
    body = {"volume": "disk", "vfid": FOLDER, "options": {"limit_bytes": count}}
    assert (await world.manager("PUT", "/folder/quota", body)).status == 204


@pytest.mark.parametrize("front", ["token", "named"])
async def test_it_is_recorded_with_its_bytes(world: World, front: str) -> None:
    begun = await begin(world, front)
    assert await look(world, begun) == (200, "0")
    assert recorded(world) == {}
    assert (await send(world, begun)).status == 204
    assert recorded(world) == {begun.session: UploadState.COMMITTED}
    assert (world.folder / "new/a").read_bytes() == DATA
    assert (await send(world, begun)).status == 409
    assert told(world) == [begun.session]


@pytest.mark.parametrize("front", ["token", "named"])
async def test_it_can_be_finished_by_any_gateway_whatever_redis_has_lost(world: World, front: str) -> None:
    begun, other = await begin(world, front, "a"), await begin(world, front, "b")
    assert (await send(world, other, DATA[:100])).status == 204
    await world.let_go(other.session)
    world.store.records.clear()
    async with open_world(world.path, store=world.store) as another:
        assert await look(another, begun) == (200, "0")
        assert (await send(another, begun)).status == 204
        assert await look(another, other) == (200, "100")
        assert (await send(another, other, DATA[100:], Upload_Offset="100")).status == 204
    assert [(world.folder / name).read_bytes() for name in "ab"] == [DATA, DATA]
    assert told(world) == [begun.session, other.session]


async def test_one_that_comes_in_pieces_is_recorded(world: World) -> None:
    begun = await begin(world, "token")
    assert (await send(world, begun, DATA[:100])).status == 204
    assert recorded(world) == {begun.session: UploadState.OPEN}
    assert (await send(world, begun, DATA[100:], Upload_Offset="100")).status == 204
    assert recorded(world) == {begun.session: UploadState.COMMITTED}
    assert told(world) == [begun.session]


async def test_one_that_is_dropped_stays_dropped(world: World) -> None:
    begun = await begin(world, "named")
    assert (await send(world, begun, b"", **DROP)).status == 204
    assert recorded(world) == {begun.session: UploadState.GONE}
    for upload in (begun, Begun(begun.session, f"/upload?token={begun.fields['Authorization'][7:]}", {})):
        assert (await send(world, upload)).status == 410
        assert (await look(world, upload))[0] == 410
    assert not (world.folder / "new").exists()


async def test_where_a_limit_counts_it_its_room_is_reserved(world: World) -> None:
    await limit(world, 10_000)
    begun = await begin(world, "token")
    assert (recorded(world), reserved(world)) == ({begun.session: UploadState.OPEN}, [len(DATA)])


async def test_a_limit_that_is_set_afterwards_holds(world: World) -> None:
    begun, other = await begin(world, "token", "a"), await begin(world, "token", "b")
    await limit(world, len(DATA) + 1)
    assert (await send(world, begun)).status == 204
    assert (await send(world, other)).status == 413
    assert recorded(world) == {begun.session: UploadState.COMMITTED}
    assert (reserved(world), [path.name for path in world.folder.iterdir()]) == ([], ["a"])
    await limit(world, 10_000)
    assert (await send(world, other)).status == 204
    assert reserved(world) == []


@pytest.mark.parametrize("method", ["HEAD", "PATCH"])
async def test_where_its_folder_is_gone(world: World, method: str) -> None:
    begun = await begin(world, "token")
    body = {"volume": "disk", "vfid": FOLDER}
    assert (await world.manager("POST", "/folder/delete", body)).status in (202, 204)
    await world.settled(lambda: not world.folder.exists())
    answer = (await look(world, begun))[0] if method == "HEAD" else (await send(world, begun)).status
    assert answer == 404
    assert recorded(world) == {}


async def test_one_that_is_asked_for_is_kept_for_longer(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    begun = await begin(world, "token")
    let_pass(monkeypatch, 20 * HOUR)
    assert await look(world, begun) == (200, "0")
    assert recorded(world) == {begun.session: UploadState.OPEN}
    let_pass(monkeypatch, 40 * HOUR)
    assert (await send(world, begun)).status == 204
    assert told(world) == [begun.session]


async def test_when_its_time_is_over_it_cannot_be_begun(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    begun = await begin(world, "token")
    let_pass(monkeypatch, DAY + HOUR)
    assert (await send(world, begun)).status == 401
    assert (await look(world, begun))[0] == 401
    assert recorded(world) == {}
    assert not (world.folder / "new").exists()


async def test_it_outlives_its_token(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with open_world(tmp_path, token_seconds=HOUR) as world:
        await world.make_folder()
        begun = await begin(world, "token")
        let_pass(monkeypatch, 2 * HOUR)
        assert await look(world, begun) == (200, "0")
        assert (await send(world, begun)).status == 204
        assert told(world) == [begun.session]


async def test_that_it_is_finished_is_known_for_as_long_as_it_could_be_begun(world: World) -> None:
    begun = await begin(world, "token")
    assert (await send(world, begun)).status == 204
    record = world.store.record(f"upload:{begun.session}")
    assert record is not None
    until = float(str(decode_document(record.data)["expires"]))
    assert record.expires >= until


@pytest.mark.parametrize(
    ("size", "settings"),
    [
        (len(DATA), {"finished_seconds": DAY - 1}),
        (len(DATA), {"finished_seconds": HOUR, "token_seconds": HOUR}),
        (LARGE, {}),
    ],
)
async def test_others_are_recorded_when_they_are_begun(
    tmp_path: Path, size: int, settings: dict[str, float]
) -> None:
    async with open_world(tmp_path, **settings) as world:
        await world.make_folder()
        token = await world.upload_token("a", size)
        assert "begun" not in claims_of(token)
        assert list(recorded(world).values()) == [UploadState.OPEN]


async def test_what_is_refused_when_it_is_begun(tmp_path: Path) -> None:
    """As ever, and nothing is recorded."""
    async with open_world(tmp_path, max_upload_bytes=1000) as world:
        await world.make_folder()
        body = {"volume": "disk", "vfid": FOLDER, "relpath": "a", "size": 1000}
        for wrong, status in (
            ({"size": 1001}, 413),
            ({"vfid": FOLDER.replace("aabb", "eeee")}, 404),
            ({"vfid": FOLDER.replace("1111", "2222")}, 404),
            ({"volume": "nowhere"}, 400),
            ({"relpath": "../a"}, 400),
            ({"relpath": ".upload/a"}, 400),
            ({"permission": "ro"}, 403),
        ):
            answer = await world.manager("POST", "/folder/file/upload", {**body, **wrong})
            assert answer.status == status, answer.body
        assert recorded(world) == {}
