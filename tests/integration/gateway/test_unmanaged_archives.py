"""Archives of what lies outside of all volumes, in directories the settings name."""

from __future__ import annotations

import io
import os
import tarfile
import zipfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import jwt
import pytest
from harness.world import FOLDER, TOKEN_SECRET, Answer, World, open_world

pytestmark = pytest.mark.anyio

FILES = {"small": os.urandom(1000), "sub/large": os.urandom(700_000), "sub/deep/a": b"a"}


@pytest.fixture
def shared(tmp_path: Path) -> Path:
    """The directory that is named, with links out of it."""
    directory = tmp_path / "srv" / "shared"
    for name, data in FILES.items():
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        (directory / name).write_bytes(data)
    (tmp_path / "srv" / "secret").write_bytes(b"secret")
    (directory / "out").symlink_to(tmp_path / "srv" / "secret")
    return directory


@pytest.fixture
async def world(tmp_path: Path, shared: Path) -> AsyncIterator[World]:
    (tmp_path / "disk").mkdir()
    async with open_world(tmp_path / "disk", unmanaged_paths=[shared], archive_limit=10) as opened:
        yield opened


async def got(world: World, directory: Path, relpath: str = ".", query: str = "", **more: Any) -> Answer:
    said = {"op": "download", "volume": "noop", "vfid": FOLDER, "relpath": relpath, "exp": 1 << 40}
    token = jwt.encode({**said, "unmanaged_path": str(directory), "archive": True}, TOKEN_SECRET)
    return await world.client("GET", f"/download?token={token}{query}", **more)


def unpacked(answer: Answer, query: str) -> dict[str, bytes]:
    assert answer.status == 200, answer.body
    body = io.BytesIO(answer.body)
    if "tar" in query:
        mode = "r:gz" if "gz" in query else "r:"
        with tarfile.open(fileobj=body, mode=mode) as tar:  # type: ignore[call-overload]
            found = {member.name: tar.extractfile(member) for member in tar if member.isfile()}
            return {name: file.read() for name, file in found.items() if file is not None}
    with zipfile.ZipFile(body) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


@pytest.mark.parametrize("query", ["", "&compress=deflate", "&format=tar", "&format=tar.gz"])
async def test_a_directory_is_packed_in_every_format(world: World, shared: Path, query: str) -> None:
    answer = await got(world, shared, query=query)
    found = unpacked(answer, query)
    errors = found.pop("_ERRORS.txt")
    assert b"out: a link" in errors
    assert b"secret" not in b"".join(found.values())
    assert found == FILES
    assert 'filename="shared.' in answer.headers["Content-Disposition"]


async def test_a_directory_beneath_by_ranges(world: World, shared: Path) -> None:
    whole = await got(world, shared, "sub")
    assert set(unpacked(whole, "")) == {"large", "deep/a"}
    tag = {"If-Range": whole.headers["ETag"]}
    parts = [
        await got(world, shared / "sub", headers={**tag, "Range": f"bytes={begin}"})
        for begin in ("0-99999", "100000-")
    ]
    assert [part.status for part in parts] == [206, 206]
    assert b"".join(part.body for part in parts) == whole.body
    assert 'filename="sub.zip"' in whole.headers["Content-Disposition"]


async def test_a_file_a_missing_one_and_too_many(world: World, shared: Path) -> None:
    assert (await got(world, shared, "small")).body == FILES["small"]
    for relpath in ("nothing", "out", "../secret"):
        assert (await got(world, shared, relpath)).status == 404
    assert (await got(world, shared.parent)).status == 403
    for number in range(20):
        (shared / f"f{number}").touch()
    assert (await got(world, shared)).status == 413


async def test_a_folder_and_such_a_directory_are_not_mixed_up(world: World, shared: Path) -> None:
    await world.make_folder()
    (world.folder / "mine").write_bytes(b"mine")
    token = await world.download_token(".")
    answer = await world.client("GET", f"/download?token={token}&archive=1")
    assert unpacked(answer, "") == {"mine": b"mine"}
    assert "aabb0001" in answer.headers["Content-Disposition"]
