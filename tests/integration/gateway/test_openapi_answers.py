"""Good answers of every operation are what the documents say."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from uuid import uuid4

import anyio
import pytest
from harness.openapi_requests import (
    FOLDER_PATH,
    OPERATIONS,
    SCOPE_PATH,
    Key,
    Request,
    add_volume,
    barely,
    changed,
    filled,
    rightly,
)
from harness.openapi_told import Told, told_by
from harness.world import MANAGER_SECRET, TOKEN_SECRET, World, open_world

from gateway.openapi.examples import FILE, NEW_FOLDER

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
async def documents(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Told]:
    return await told_by(tmp_path_factory.mktemp("told"))


async def delete_folder(world: World) -> None:
    await barely(world, ("manager", "POST", "/folder/delete")).send()
    await world.settled(lambda: world.events("vfolder.deleted"))


async def add_scope(world: World) -> None:
    request = barely(world, ("manager", "POST", SCOPE_PATH))
    assert (await elsewhere(request).send()).status == 204


async def measure(world: World) -> None:
    async def metrics(_: object) -> dict[str, float]:
        return {"read_bytes": 1.0}

    world.gate.volumes["disk"] = changed(world.volume, metrics=metrics)


def as_it_is(request: Request) -> Request:
    return request


def elsewhere(request: Request) -> Request:
    """In another quota scope."""
    return request.but(path=request.path.replace("11111111-", "22222222-"))


Change = Callable[[Request], Request]
#: What has to be there besides.
BEFORE: dict[Key, Callable[[World], Awaitable[None]]] = {
    ("manager", "GET", "/trash"): delete_folder,
    ("manager", "POST", "/folder/restore"): delete_folder,
    ("manager", "POST", "/folder/purge"): delete_folder,
    ("manager", "POST", "/folder/migrate"): add_volume,
    ("manager", "DELETE", SCOPE_PATH): add_scope,
    ("manager", "GET", "/volume/performance-metric"): measure,
}
#: How it is asked where one request does not get every good answer, or what the example names is there.
ASKED: dict[Key, tuple[Change, ...]] = {
    ("manager", "POST", "/quota-scope"): (lambda right: right.but({"qsid": f"project:{uuid4()}"}),),
    ("manager", "POST", "/folder/migrate"): (
        lambda right: right.but({"src_volume": "tape", "dst_volume": "disk"}),
        lambda right: right.but({"dst_vfid": NEW_FOLDER}),
    ),
    ("manager", "POST", "/folder/file/mkdir"): (as_it_is, lambda right: right.but({"relpath": ["another", FILE]})),
    ("manager", "GET", "/folder/mount"): (as_it_is, lambda right: right.but({"details": True})),
    ("manager", "POST", SCOPE_PATH): (elsewhere,),
    ("manager", "DELETE", SCOPE_PATH): (elsewhere,),
    ("manager", "POST", FOLDER_PATH): (lambda right: right.but(path=f"{right.path[:-1]}9"),),
    ("client", "POST", "/files/{session}"): (lambda right: right.but(X_HTTP_Method_Override="HEAD"), as_it_is),
    ("client", "POST", "/uploads"): (as_it_is, lambda right: right.but(b"h", Upload_Complete="?0")),
    ("client", "PUT", "/uploads"): (lambda right: right.but(b"h", Upload_Complete="?0"), as_it_is),
    ("client", "PATCH", "/uploads/{session}"): (
        lambda right: right.but(b"h", Upload_Complete="?0"),
        lambda right: right.but(b"hello"),
    ),
    **{
        ("client", method, path): (
            lambda right: right.but(Range="bytes=0-0", Want_Repr_Digest="sha-256=1"),
            lambda right: right.but(Range="bytes=0-0,2-2"),
            lambda right: right.but(If_None_Match="*"),
            as_it_is,
        )
        for method in ("GET", "HEAD")
        for path in ("/download", "/download-archive", "/files/{session}")
        if (method, path) != ("HEAD", "/files/{session}")
    },
}
GOOD = [key for key, operation in OPERATIONS.items() if any(reply.status < 400 for reply in operation.replies)]


@pytest.mark.parametrize("key", GOOD, ids=" ".join)
async def test_good_answers_are_as_told(tmp_path: Path, documents: dict[str, Told], key: Key) -> None:
    seen = set()
    async with filled(tmp_path, workers=key[2] == f"{FOLDER_PATH}/clone") as world:
        if key in BEFORE:
            await BEFORE[key](world)
        for change in ASKED.get(key, (as_it_is,)):
            answer = await change(await rightly(world, key)).send()
            documents[key[0]].check(key, answer)
            seen.add(answer.status)
    assert seen == {status for status in documents[key[0]].statuses(key) if status < 400}


async def test_streamed_events_are_as_told(tmp_path: Path, documents: dict[str, Told]) -> None:
    secret = {"X-BackendAI-Storage-Auth-Token": MANAGER_SECRET}
    async with open_world(tmp_path) as world:
        url = f"http://127.0.0.1:{world.manager_port}/events"
        async with world.session.get(url, headers=secret) as stream:
            await world.make_folder()
            with anyio.fail_after(10):
                while not (line := await stream.content.readline()).startswith(b"data: "):
                    pass
            world.gate.stopping.set()
    content = documents["manager"].paths["/events"]["get"]["responses"]["200"]["content"]
    documents["manager"].validate(content["text/event-stream"]["x-event-data"], json.loads(line[6:]))


async def test_what_a_port_says_of_itself_needs_no_secret(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        for path in ("/openapi.json", "/docs"):
            async with world.session.get(f"http://127.0.0.1:{world.manager_port}{path}") as answer:
                assert answer.status == 200, path
                text = await answer.text()
            assert (await world.manager("GET", path)).body.decode() == text
            assert MANAGER_SECRET not in text
            assert TOKEN_SECRET not in text
        async with world.session.get(f"http://127.0.0.1:{world.manager_port}/volumes") as answer:
            assert answer.status == 403


@pytest.mark.parametrize(
    "key", [("client", "POST", "/files"), ("client", "POST", "/uploads"), ("client", "PUT", "/uploads")]
)
async def test_what_stands_in_the_query_beside_a_token_is_not_repeated(
    tmp_path: Path, documents: dict[str, Told], key: Key
) -> None:
    async with filled(tmp_path) as world:
        for told in ("x%0d%0aSet-Cookie:%20a=b", "x%26y", "%c3%a4"):
            right = (await rightly(world, key)).but(query={"token": told}, Upload_Draft_Interop_Version="8")
            answer = await right.send()
            documents["client"].check(key, answer)
            assert answer.status < 300
            assert "?" not in answer.headers["Location"]
            assert "Set-Cookie" not in answer.headers
