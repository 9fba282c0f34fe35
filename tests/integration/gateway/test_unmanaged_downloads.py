"""Downloads of what lies outside of all volumes, in directories the settings name."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import jwt
import pytest
from harness.world import FOLDER, TOKEN_SECRET, Answer, World, digest, open_world

from backends.mounted import beneath
from backends.mounted.helping.resolving import KernelResolver, WalkingResolver
from gateway.express.downloads import ExpressDownloads
from gateway.transfer.offload import OffloadHeader

pytestmark = pytest.mark.anyio

SMALL, LARGE = os.urandom(1000), os.urandom(700_000)


@pytest.fixture
def shared(tmp_path: Path) -> Path:
    """The directory that is named, with a neighbour that is not."""
    directory = tmp_path / "srv" / "shared"
    (directory / "sub").mkdir(parents=True)
    (directory / "small").write_bytes(SMALL)
    (directory / "sub" / "large").write_bytes(LARGE)
    (tmp_path / "srv" / "shared-not").mkdir()
    for place in (tmp_path / "srv", tmp_path / "srv" / "shared-not"):
        (place / "secret").write_bytes(b"secret")
    return directory


@pytest.fixture(params=[KernelResolver, WalkingResolver])
async def world(
    request: pytest.FixtureRequest, tmp_path: Path, shared: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[World]:
    monkeypatch.setattr(beneath, "best_resolver", request.param)
    async with opened(tmp_path, shared) as found:
        yield found


def opened(tmp_path: Path, *named: Path, **settings: Any) -> Any:
    (tmp_path / "disk").mkdir(exist_ok=True)
    return open_world(tmp_path / "disk", unmanaged_paths=named, **settings)


async def asked(world: World, directory: object, relpath: str = "small", **more: Any) -> Answer:
    """Ask for a token as the manager does."""
    body = {"volume": "noop", "vfid": FOLDER, "relpath": relpath, "unmanaged_path": str(directory), **more}
    return await world.manager("POST", "/folder/file/download", body)


def signed(directory: object, relpath: str = "small", **claims: Any) -> str:
    """A token nobody was asked for."""
    said = {"op": "download", "volume": "noop", "vfid": FOLDER, "relpath": relpath, "exp": 1 << 40}
    return jwt.encode({**said, "unmanaged_path": str(directory), **claims}, TOKEN_SECRET)


async def got(world: World, directory: object, relpath: str = "small", method: str = "GET", **more: Any) -> Answer:
    query = more.pop("query", "")
    return await world.client(method, f"/download?token={signed(directory, relpath)}{query}", **more)


async def simply_got(world: World, token: str) -> bytes:
    """The body of an answer to a request on a connection of its own that says nothing else."""
    reader, writer = await asyncio.open_connection("127.0.0.1", world.client_port)
    writer.write(f"GET /download?token={token} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
    head = (await reader.readuntil(b"\r\n\r\n")).decode()
    body = await reader.readexactly(int(head.partition("Content-Length: ")[2].partition("\r\n")[0]))
    writer.close()
    return body


def looks(directory: Path) -> dict[str, Any]:
    """All there is of a tree, but for when it was read."""
    places = [directory, *directory.rglob("*")]
    known = [(place, place.lstat()) for place in places]
    return {
        str(place): (stat.st_ino, stat.st_mode, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_nlink)
        for place, stat in known
    }


# --- what is sent -----------------------------------------------------------------------------------


@pytest.mark.parametrize("volume", ["noop", "disk"])
async def test_the_manager_s_token_is_good_for_a_file(world: World, shared: Path, volume: str) -> None:
    answer = await asked(world, shared, volume=volume)
    assert answer.status == 200
    claims = jwt.decode(answer.json["token"], TOKEN_SECRET, algorithms=["HS256"])
    assert (claims["unmanaged_path"], claims["volume"], claims["perm"]) == (str(shared), volume, "ro")
    sent = await world.client("GET", f"/download?token={answer.json['token']}")
    assert (sent.status, sent.body) == (200, SMALL)
    assert 'filename="small"' in sent.headers["Content-Disposition"]
    assert world.events() == []


async def test_other_tokens_say_nothing_of_it(world: World) -> None:
    token = await world.download_token("a")
    assert "unmanaged_path" not in jwt.decode(token, TOKEN_SECRET, algorithms=["HS256"])


async def test_files_of_any_length_by_ranges_and_conditions(world: World, shared: Path) -> None:
    for directory, relpath, data in (
        (shared, "small", SMALL),
        (shared, "sub/large", LARGE),
        (shared / "sub", "large", LARGE),
    ):
        whole = await got(world, directory, relpath)
        assert (whole.status, whole.body, whole.headers["Accept-Ranges"]) == (200, data, "bytes")
        part = await got(world, directory, relpath, headers={"Range": "bytes=10-99"})
        assert (part.status, part.body) == (206, data[10:100])
        assert part.headers["Content-Range"] == f"bytes 10-99/{len(data)}"
        same = {"If-None-Match": whole.headers["ETag"]}
        assert (await got(world, directory, relpath, headers=same)).status == 304
        head = await got(world, directory, relpath, "HEAD")
        assert (head.status, head.headers["Content-Length"], head.body) == (200, str(len(data)), b"")
    assert (await got(world, shared, "small", query="&dst_dir=sub")).status == 404
    assert (await got(world, shared, "large", query="&dst_dir=sub")).body == LARGE
    assert (await got(world, f"/{shared}//sub/.", "large")).body == LARGE


async def test_it_is_sent_no_faster_than_its_token_says(world: World, shared: Path) -> None:
    token = signed(shared, "sub/large", rate=1 << 40)
    assert (await world.client("GET", f"/download?token={token}")).body == LARGE


async def test_digests(world: World, shared: Path) -> None:
    """One that came with a file from a volume is told; none is kept."""
    wanted = {"Want-Repr-Digest": "sha-256=1"}
    assert "Repr-Digest" not in (await got(world, shared, headers=wanted)).headers
    content = (await got(world, shared, headers={"Want-Content-Digest": "sha-256=1"})).headers["Content-Digest"]
    encoded = base64.b64encode(hashlib.sha256(SMALL).digest()).decode()
    assert content == f"sha-256=:{encoded}:"
    known = (shared / "small").stat()
    os.setxattr(
        shared / "small",
        "user.penstock.sha256",
        f"{digest(SMALL)} {known.st_size} {known.st_mtime_ns}".encode(),
    )
    assert (await got(world, shared, headers=wanted)).headers["Repr-Digest"] == f"sha-256=:{encoded}:"


async def test_names_that_are_no_utf_8(world: World, shared: Path) -> None:
    directory = shared / os.fsdecode(b"d\x80")
    directory.mkdir()
    (directory / os.fsdecode(b"\xff")).write_bytes(b"odd")
    assert (await got(world, f"{shared}/d\U0010ff80", "\U0010ffff")).body == b"odd"
    assert (await got(world, shared, "d\U0010ff80/\U0010ffff")).body == b"odd"


@pytest.mark.parametrize("world", [KernelResolver], indirect=True)
async def test_it_is_no_file_of_a_volume_of_that_name(
    world: World, shared: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A token for both is for what lies outside, also where a file of the volume can be had at once."""
    await world.make_folder()
    await world.upload("small", b"of the volume")
    at_once: list[bool] = []
    answer = ExpressDownloads.answer

    def watched(*arguments: Any) -> bool:
        at_once.append(answer(*arguments))
        return at_once[-1]

    monkeypatch.setattr(ExpressDownloads, "answer", watched)
    assert await simply_got(world, await world.download_token("small")) == b"of the volume"
    assert await simply_got(world, signed(shared, volume="disk")) == SMALL
    assert at_once == [True, False]
    for volume in ("nope", "../x"):
        assert (await world.client("GET", f"/download?token={signed(shared, volume=volume)}")).body == SMALL


async def test_what_is_no_file_is_told_as_in_a_folder(world: World, shared: Path) -> None:
    await world.make_folder()
    for place in (shared, world.folder):
        os.mkfifo(place / "fifo")
        (place / "file").write_bytes(b"1")
        (place / "directory").mkdir()
        (place / "circle").symlink_to("circle")
    for relpath in ("fifo", "file/x", "directory", "circle", "nothing", "nothing/x", ".", "a" * 256, "a\0"):
        answer, other = await got(world, shared, relpath), await world.download(relpath)
        assert (answer.status, answer.body) == (other.status, other.body)
        assert answer.status in (400, 404), relpath


# --- what is not --------------------------------------------------------------------------------------


async def test_what_lies_in_no_directory_that_is_named(world: World, shared: Path, tmp_path: Path) -> None:
    for directory in (
        "/etc",
        "/",
        "",
        ".",
        "srv/shared",
        shared.parent,
        f"{shared}-not",
        f"{shared}/..",
        f"{shared}/../shared",
        f"{shared}/sub/../sub",
        f"{shared}/../../srv/shared",
        f"{shared}\0",
        f"{shared}/{'a' * 256}",
        tmp_path / "disk",
    ):
        answer = await asked(world, directory, "secret")
        assert (answer.status, answer.json["type"][-21:]) == (400, "unsupported-operation"), directory
        refused = await got(world, directory, "secret")
        assert refused.status == 403, directory
        assert list(refused.json["data"]["token"]) == ["unmanaged_path"]


async def test_nothing_leads_out(world: World, shared: Path) -> None:
    (shared / "file-out").symlink_to("../secret")
    (shared / "file-absolute").symlink_to(shared / "small")
    (shared / "out").symlink_to("..")
    (shared / "sub" / "out").symlink_to("../small")
    (shared / "in").symlink_to("sub/large")
    (shared / "sub" / "same").symlink_to("large")
    for relpath in ("file-out", "file-absolute", "out/secret", "../secret", "sub/../../secret", "/etc/passwd"):
        answer = await got(world, shared, relpath)
        assert (answer.status, b"secret" in answer.body) == (404, False), relpath
    assert (await got(world, shared, "secret", query="&dst_dir=..")).status == 404
    assert (await got(world, shared, "in")).body == LARGE
    # A directory beneath the one that is named is as closed as that one.
    assert (await got(world, shared, "sub/out")).body == SMALL
    assert (await got(world, shared / "sub", "out")).status == 404
    assert (await got(world, shared / "sub", "same")).body == LARGE


async def test_no_link_is_on_the_way_to_a_directory(world: World, shared: Path) -> None:
    (shared / "link").symlink_to("sub")
    (shared / "out").symlink_to("..")
    assert (await got(world, shared / "link", "large")).status == 404
    assert (await got(world, shared / "out", "secret")).status == 404
    assert (await got(world, shared / "out" / "shared", "small")).status == 404


async def test_what_is_named_may_be_a_link_itself(tmp_path: Path, shared: Path) -> None:
    (tmp_path / "named").symlink_to(shared)
    async with opened(tmp_path, tmp_path / "named") as world:
        assert (await got(world, tmp_path / "named")).body == SMALL
        assert (await got(world, tmp_path / "named" / "sub", "large")).body == LARGE
        assert (await got(world, shared)).status == 403, "it is not known by this name"


async def test_nothing_is_named(tmp_path: Path, shared: Path) -> None:
    async with opened(tmp_path) as world:
        assert (await asked(world, shared)).status == 400
        assert (await got(world, shared)).status == 403
        await world.make_folder()
        await world.upload("small", b"of the volume")
        token = signed(shared, volume="disk")
        assert (await world.client("GET", f"/download?token={token}")).status == 403


async def test_a_directory_that_is_not_there_now(tmp_path: Path) -> None:
    late, other = tmp_path / "late", tmp_path / "file"
    other.write_bytes(b"x")
    async with opened(tmp_path, late, other) as world:
        for directory in (late, late / "sub", other):
            assert (await asked(world, directory)).status == 200
            answer = await got(world, directory)
            assert (answer.status, answer.json["title"]) == (404, "File not found"), answer.body
            assert str(tmp_path).encode() not in answer.body
        late.mkdir()
        (late / "small").write_bytes(SMALL)
        assert (await got(world, late)).body == SMALL
        late.rename(tmp_path / "gone")
        assert (await got(world, late)).status == 404


async def test_tokens_that_are_not_good(world: World, shared: Path) -> None:
    for claims, status in (
        ({"exp": 1}, 401),
        ({"op": "upload"}, 403),
        ({"perm": "none"}, 403),
        ({"unmanaged_path": 5}, 403),
        ({"unmanaged_path": [str(shared)]}, 403),
        ({"perm": "ro"}, 200),
        ({"perm": "wd"}, 200),
        ({"unmanaged_path": None}, 400),
    ):
        answer = await world.client("GET", f"/download?token={signed(shared, **claims)}")
        assert answer.status == status, claims
    forged = jwt.encode({"unmanaged_path": str(shared)}, "another secret, as long as it should be")
    assert (await world.client("GET", f"/download?token={forged}")).status == 401
    for body in ({"volume": "nope"}, {"volume": "no/pe"}, {"permission": "none"}, {"rate": 1}):
        assert (await asked(world, shared, **body)).status == 400, body


async def test_nothing_is_uploaded_there(world: World, shared: Path) -> None:
    body = {"volume": "noop", "vfid": FOLDER, "relpath": "a", "size": 1, "unmanaged_path": str(shared)}
    assert (await world.manager("POST", "/folder/file/upload", body)).status == 400
    claims = {"op": "upload", "size": 1, "session": "0" * 32, "volume": "noop"}
    assert (await world.patch(signed(shared, "a", **claims), 0, b"1")).status == 400


# --- what becomes of the directory, and of this process -----------------------------------------------


async def test_nothing_is_written_and_nothing_stays_open(world: World, shared: Path) -> None:
    (shared / "link").symlink_to("nowhere")
    before = looks(shared)
    await got(world, shared)
    descriptors = len(os.listdir("/proc/self/fd"))
    for _ in range(5):
        for relpath in ("small", "sub/large", "nothing", "link", "sub"):
            for headers in ({}, {"Want-Repr-Digest": "sha-256=1"}, {"Range": "bytes=0-1,5-6"}):
                await got(world, shared, relpath, headers=headers)
        await got(world, shared / "nothing")
        await got(world, shared / "link")
    assert looks(shared) == before
    assert os.listxattr(shared / "small") == []
    assert len(os.listdir("/proc/self/fd")) <= descriptors + 2


async def test_its_bytes_are_counted_as_the_manager_calls_its_place(
    world: World, shared: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever a token says of a volume makes no names of its own among the metrics."""
    counted: list[tuple[str, int]] = []
    monkeypatch.setattr(world.watching, "sent", lambda volume, count: counted.append((volume, count)))
    for volume in ("noop", "disk", "made up"):
        for relpath in ("small", "sub/large"):
            await world.client("GET", f"/download?token={signed(shared, relpath, volume=volume)}")
    expected = 3 * (len(SMALL) + len(LARGE))
    # A client may have its bytes before they are counted.
    await world.settled(lambda: sum(count for _, count in counted) >= expected)
    assert sum(count for _, count in counted) == expected
    assert {volume for volume, _ in counted} == {"noop"}


async def test_a_server_in_front_has_no_part_in_it(tmp_path: Path, shared: Path) -> None:
    async with opened(tmp_path, shared, offload=OffloadHeader.ACCEL) as world:
        await world.make_folder()
        await world.upload("large", LARGE)
        assert "X-Accel-Redirect" in (await world.download("large")).headers
        for volume in ("noop", "disk"):
            sent = await world.client("GET", f"/download?token={signed(shared, 'sub/large', volume=volume)}")
            assert (sent.body, "X-Accel-Redirect" in sent.headers) == (LARGE, False)
