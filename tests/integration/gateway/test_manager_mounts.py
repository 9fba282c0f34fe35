"""Where agents are told to find folders."""

from __future__ import annotations

import os
from pathlib import PurePosixPath

import pytest
from harness.world import FOLDER, OTHER, World

pytestmark = pytest.mark.anyio

BODY = {"volume": "disk", "vfid": FOLDER}
KEYED = "/volumes/disk/quota-scope/user/11111111-1111-4111-8111-111111111111/vfolder"


@pytest.fixture(autouse=True)
async def folder(world: World) -> None:
    await world.make_folder()
    (world.folder / "d/e").mkdir(parents=True)
    (world.folder / "f").write_bytes(b"1")
    (world.folder / "link").symlink_to("d")


def joined(path: str, subpath: str) -> str:
    """What Backend.AI's manager makes of the answer before it tells an agent."""
    return str(PurePosixPath(path) / PurePosixPath(subpath))


def reached(path: str) -> tuple[str, bool]:
    """Where a path leads to, and whether anything is there."""
    return os.path.realpath(path), os.path.exists(path)


@pytest.mark.parametrize(
    ("subpath", "leads"),
    [
        (".", "."),
        ("d", "d"),
        ("d/e", "d/e"),
        ("link", "d"),
        ("f", "f"),
        ("nope", "nope"),
        ("d/../d/e", "d/e"),
    ],
)
async def test_the_manager_s_own_join_leads_to_what_was_asked_for(world: World, subpath: str, leads: str) -> None:
    answer = await world.manager("GET", "/folder/mount", {**BODY, "subpath": subpath})
    assert set(answer.json) == {"path"}
    assert reached(joined(answer.json["path"], subpath)) == reached(str(world.folder / leads))


async def test_the_same_by_its_key(world: World) -> None:
    url = f"{KEYED}/aabb0001-0000-4000-8000-000000000001"
    answer = await world.manager("GET", url, {"subpath": "d"})
    assert joined(answer.json["item"]["mount_path"], "d") == str(world.folder / "d")
    told = (await world.manager("GET", url, {"subpath": "d", "details": True})).json["item"]
    assert (told["subpath_path"], told["subpath_is_directory"]) == (str(world.folder / "d"), True)
    assert (await world.manager("GET", url, {"subpath": "../x"})).status == 400


@pytest.mark.parametrize(
    ("subpath", "there", "directory"),
    [
        (".", True, True),
        ("d/e", True, True),
        ("link", True, True),
        ("f", True, False),
        ("f/x", False, False),
        ("nope", False, False),
    ],
)
async def test_where_a_subpath_leads_is_told_beside_it(
    world: World, subpath: str, there: bool, directory: bool
) -> None:
    answer = (await world.manager("GET", "/folder/mount", {**BODY, "subpath": subpath, "details": True})).json
    assert answer["type"] in ("direct", "nfs", "fuse")
    assert set(answer) == {
        "path",
        "type",
        "export",
        "options",
        "subpath_path",
        "subpath_exists",
        "subpath_is_directory",
    }
    assert answer["path"] == str(world.folder)
    assert answer["subpath_path"] == joined(str(world.folder), subpath)
    assert (answer["subpath_exists"], answer["subpath_is_directory"]) == (there, directory)


@pytest.mark.parametrize("target", ["/etc", "/etc/passwd", "/nowhere", "../../../..", "out2"])
async def test_a_link_that_leads_out_is_not_mounted(world: World, target: str) -> None:
    (world.folder / "out").symlink_to(target)
    (world.folder / "out2").symlink_to("/usr")
    for subpath in ("out", "out/x"):
        answer = await world.manager("GET", "/folder/mount", {**BODY, "subpath": subpath})
        assert (answer.status, answer.json["msg"]) == (400, "Invalid vfolder subpath")
        assert "error_code" not in answer.json


async def test_what_cannot_be_mounted(world: World) -> None:
    for wrong in ({**BODY, "subpath": "../.."}, {"volume": "disk", "vfid": OTHER}):
        answer = await world.manager("GET", "/folder/mount", wrong)
        assert answer.status == 400
        assert {"msg", "vfid"} <= set(answer.json)
        assert "error_code" not in answer.json
