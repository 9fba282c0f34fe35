"""The manager's port: names inside a folder."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import Any

import pytest
from harness.around import NotingNames
from harness.limits import limit_folder, quota_of
from harness.tus import LARGE
from harness.world import FOLDER, OTHER, World

pytestmark = pytest.mark.anyio


async def call(world: World, operation: str, **body: Any) -> Any:
    return await world.manager("POST", f"/folder/file/{operation}", {"volume": "disk", "vfid": FOLDER, **body})


@pytest.fixture(autouse=True)
async def folder(world: World) -> None:
    await world.make_folder()


# --- mkdir ------------------------------------------------------------------------------------------


async def test_a_directory_is_made_with_its_parents(world: World) -> None:
    answer = await call(world, "mkdir", relpath="p/q/r")
    assert answer.status == 200
    assert answer.json == {"results": {"success": [{"msg": None, "item": "p/q/r"}], "failed": []}}
    assert (world.folder / "p/q/r").is_dir()
    (event,) = world.events("directory.created")
    assert event.body["paths"] == ["p/q/r"]


async def test_paths_are_told_as_they_are_and_answered_as_they_were_asked_for(world: World) -> None:
    asked = ["d/../x/", "./y", "x"]
    answer = await call(world, "mkdir", relpath=asked, exist_ok=True)
    assert [item["item"] for item in answer.json["results"]["success"]] == asked
    (event,) = world.events("directory.created")
    assert event.body["paths"] == ["x", "y"]


async def test_a_directory_that_is_there_is_told_as_backend_ai_does(world: World) -> None:
    await call(world, "mkdir", relpath="d1")
    again = await call(world, "mkdir", relpath="d1")
    assert again.status == 422
    assert again.json["results"]["failed"] == [{"msg": "FileExistsError(17, 'File exists')", "item": "d1"}]
    assert (await call(world, "mkdir", relpath="d1", exist_ok=True)).status == 200


async def test_a_link_is_a_directory_if_it_leads_to_one_in_the_folder(world: World, tmp_path: Path) -> None:
    (world.folder / "d").mkdir()
    (world.folder / "f").touch()
    for name, target in (("in", "d"), ("file", "f"), ("nowhere", "x"), ("out", tmp_path), ("gone", tmp_path / "x")):
        os.symlink(target, world.folder / name)
    answer = await call(world, "mkdir", relpath=["in", "file", "nowhere", "out", "gone"], exist_ok=True)
    assert answer.json["results"] == {
        "success": [{"msg": None, "item": "in"}],
        "failed": [
            {"msg": "FileExistsError(17, 'File exists')", "item": "file"},
            {"msg": "FileExistsError(17, 'File exists')", "item": "nowhere"},
            {"msg": "leads out of the folder", "item": "out"},
            {"msg": "leads out of the folder", "item": "gone"},
        ],
    }


async def test_without_parents_they_must_be_there(world: World) -> None:
    answer = await call(world, "mkdir", relpath="x/y/z", parents=False)
    assert answer.status == 422
    (failed,) = answer.json["results"]["failed"]
    assert failed["msg"] == "FileNotFoundError(2, 'No such file or directory')"


async def test_several_directories_succeed_or_fail_each_by_itself(world: World) -> None:
    assert (await call(world, "mkdir", relpath=["l1", "l2"])).status == 200
    part = await call(world, "mkdir", relpath=["l1", "l3", "../x"])
    assert part.status == 207
    assert part.json["results"]["success"] == [{"msg": None, "item": "l3"}]
    assert [item["item"] for item in part.json["results"]["failed"]] == ["l1", "../x"]
    assert (await call(world, "mkdir", relpath=[])).status == 422
    assert (await call(world, "mkdir", relpath=["a"] * 51)).status == 400


async def test_directories_of_a_missing_folder_are_not_made(world: World) -> None:
    body = {"volume": "disk", "vfid": OTHER, "relpath": "d"}
    answer = await world.manager("POST", "/folder/file/mkdir", body)
    assert answer.status == 422
    assert not list((world.path / "11111111111141118111111111111111/aa/bb").glob("0002*"))


# --- list -------------------------------------------------------------------------------------------


async def test_a_listing_tells_what_backend_ai_tells(world: World) -> None:
    await world.upload("한글 파일.txt", b"123456")
    (world.folder / "d").mkdir()
    os.symlink("한글 파일.txt", world.folder / "in")
    os.symlink("/etc/hostname", world.folder / "out")
    os.symlink("nope", world.folder / "broken")
    os.symlink("../../../..", world.folder / "up")
    for relpath in (".", "", "d/.."):
        answer = await call(world, "list", relpath=relpath)
        assert answer.status == 200
        items = {item["name"]: item for item in answer.json["items"]}
        assert {name: item["type"] for name, item in items.items()} == {
            "한글 파일.txt": "FILE",
            "d": "DIRECTORY",
            "in": "SYMLINK",
            "out": "SYMLINK",
            "broken": "SYMLINK",
            "up": "SYMLINK",
        }
    assert {name: items[name]["symlink_target"] for name in ("in", "out", "broken", "up", "d")} == {
        "in": "한글 파일.txt",
        "out": "",
        "broken": "nope",
        "up": "",
        "d": "",
    }
    stat = items["한글 파일.txt"]["stat"]
    assert (stat["size"], stat["mode"]) == (6, 0o100644)
    assert stat["created"].endswith("+00:00")
    assert len(stat["modified"]) == len("2026-11-20T21:47:20.679869+00:00")


async def test_an_unfinished_upload_shows_and_counts(world: World) -> None:
    token = await world.upload_token("a", 10)
    await world.patch(token, 0, b"12345")
    names = [item["name"] for item in (await call(world, "list", relpath=".")).json["items"]]
    assert names == [".upload"]
    usage = await world.manager("GET", "/folder/usage", {"volume": "disk", "vfid": FOLDER})
    assert usage.json["file_count"] == 2
    await world.patch(token, 5, b"67890")
    names = [item["name"] for item in (await call(world, "list", relpath=".")).json["items"]]
    assert names == ["a"]


async def test_listing_what_is_not_there_or_no_directory(world: World) -> None:
    missing = await call(world, "list", relpath="nope")
    assert missing.status == 400
    assert {key: missing.json[key] for key in ("msg", "errno", "paths")} == {
        "msg": "No such file or directory",
        "errno": 2,
        "paths": ["nope"],
    }
    await world.upload("f", b"x")
    file = await call(world, "list", relpath="f")
    assert (file.status, file.json["errno"], file.json["msg"]) == (400, 20, "Not a directory")


# --- rename and move --------------------------------------------------------------------------------


async def test_an_entry_is_renamed(world: World) -> None:
    await world.upload("d/a", b"1")
    assert (await call(world, "rename", relpath="d/a", new_name="b")).status == 204
    assert (await call(world, "rename", relpath="d", new_name="e", is_dir=True)).status == 204
    assert (world.folder / "e/b").read_bytes() == b"1"
    assert [(e.body["source"], e.body["destination"]) for e in world.events("file.moved")] == [
        ("d/a", "d/b"),
        ("d", "e"),
    ]


async def test_a_rename_replaces_a_file_and_goes_into_a_directory(world: World) -> None:
    await world.upload("a", b"new")
    await world.upload("b", b"old")
    await call(world, "mkdir", relpath="d")
    assert (await call(world, "rename", relpath="a", new_name="b")).status == 204
    assert (world.folder / "b").read_bytes() == b"new"
    assert (await call(world, "rename", relpath="b", new_name="d")).status == 204
    assert (world.folder / "d/b").read_bytes() == b"new"
    await world.upload("b", b"other")
    assert (await call(world, "rename", relpath="b", new_name="d")).status == 400
    assert (world.folder / "d/b").read_bytes() == b"new"


async def test_an_entry_is_moved(world: World) -> None:
    await world.upload("a", b"1")
    await call(world, "mkdir", relpath="p/q")
    assert (await call(world, "move", src_relpath="a", dst_relpath="p/b")).status == 204
    assert (await call(world, "move", src_relpath="p/b", dst_relpath="p/q")).status == 204
    assert (world.folder / "p/q/b").read_bytes() == b"1"
    missing = await call(world, "move", src_relpath="nope", dst_relpath="x")
    assert (missing.status, missing.json["errno"]) == (400, 2)
    parent = await call(world, "move", src_relpath="p", dst_relpath="no/such/p")
    assert (parent.status, parent.json["paths"]) == (400, ["no/such/p"])
    into = await call(world, "move", src_relpath="p", dst_relpath="p/q/s")
    assert (into.status, into.json["errno"]) == (400, None)
    assert (world.folder / "p/q/b").exists()


# --- delete -----------------------------------------------------------------------------------------


async def test_what_is_told_of_as_deleted_stays_so(world: World) -> None:
    """Names are made durable once for all of a request, before its event is there."""
    for name in ("a", "d/b"):
        await world.upload(name, b"x")
    synced = list[tuple[list[str], int]]()
    files = world.volume.files
    world.volume.files = lambda folder: NotingNames(files(folder), world, "file.deleted", synced)
    assert (await call(world, "delete", relpaths=["a", "nope", "d/b"])).status == 200
    assert synced == [(["a", "d/b"], 0)]
    assert (await call(world, "delete", relpaths=["a"])).status == 200
    assert len(synced) == 1, "nothing was changed"
    assert len(world.events("file.deleted")) == 1


async def test_entries_are_deleted(world: World) -> None:
    for name in ("a", "b", "d/c"):
        await world.upload(name, b"1")
    assert (await call(world, "delete", relpaths=["a", "nope"])).json == {"status": "ok"}
    kept = await call(world, "delete", relpaths=["d"])
    assert (kept.status, kept.json) == (200, {"status": "ok", "skipped": ["d"]})
    assert (world.folder / "d/c").exists()
    assert (await call(world, "delete", relpaths=["d", "b"], recursive=True)).status == 200
    assert list(world.folder.iterdir()) == []
    assert (await call(world, "delete", relpaths=[])).status == 200
    assert [event.body["paths"] for event in world.events("file.deleted")] == [["a"], ["d", "b"]]


async def test_a_tree_of_which_only_a_part_is_deleted(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    await limit_folder(world, limit_bytes=1000)
    for name in ("a", "d/b", "d/e/c", "z"):
        await world.upload(name, bytes(100))
    assert (await quota_of(world))["used_bytes"] == 400
    rmdir = os.rmdir

    def refusing(name: str, **more: int) -> None:
        if name == "e":
            raise PermissionError(errno.EPERM, "immutable")
        rmdir(name, **more)

    monkeypatch.setattr(os, "rmdir", refusing)
    answer = await call(world, "delete", relpaths=["d", "z"], recursive=True)
    assert (answer.status, answer.json["removed"]) == (403, 2)
    assert (await quota_of(world))["used_bytes"] == 200
    answer = await call(world, "delete", relpaths=["a", "d"], recursive=True)
    assert (answer.status, "removed" in answer.json) == (403, False)
    told = [(event.body["paths"], event.body["partly"]) for event in world.events("file.deleted")]
    assert told == [([], ["d"]), (["a"], [])]


async def test_very_many_entries_are_deleted(world: World) -> None:
    names = [f"{number:x}" for number in range(2500)]
    for name in names:
        (world.folder / name).touch()
    assert (await call(world, "delete", relpaths=names[:2400])).status == 200
    told = [event.body["paths"] for event in world.events("file.deleted")]
    assert [name for paths in told for name in paths] == names[:2400]
    assert max(map(len, told)) == 1000
    accepted = await call(world, "delete-async", relpaths=names)
    assert accepted.status == 202
    await world.settled(lambda: world.events("files.purged"))
    assert list(world.folder.iterdir()) == []


async def test_deleting_nothing_in_the_background_is_done_at_once(world: World) -> None:
    accepted = await call(world, "delete-async", relpaths=[], whatever=1)
    assert accepted.status == 202
    await world.settled(lambda: world.events("files.purged"))


async def test_deleting_the_folder_itself_empties_it_and_leaves_unfinished_uploads(world: World) -> None:
    await world.upload("a/b", b"1")
    token = await world.upload_token("later", 2)
    await world.patch(token, 0, b"1")
    assert (await call(world, "delete", relpaths=["."], recursive=True)).status == 200
    assert (await world.patch(token, 1, b"2")).status == 204
    assert {entry.name for entry in world.folder.iterdir()} == {"later"}


# --- fetch ------------------------------------------------------------------------------------------


async def test_a_file_is_fetched(world: World) -> None:
    await world.upload("a", b"hello")
    await world.upload("empty", b"")
    answer = await call(world, "fetch", relpath="a")
    assert (answer.status, answer.body) == (200, b"hello")
    assert answer.headers["Content-Type"] == "application/octet-stream"
    assert (await call(world, "fetch", relpath="empty")).body == b""
    missing = await call(world, "fetch", relpath="nope")
    assert (missing.status, missing.json["title"]) == (404, "File not found")
    assert missing.headers["Content-Type"].startswith("application/problem+json")
    for relpath in (".", "../x"):
        assert (await call(world, "fetch", relpath=relpath)).status == 400


# --- paths that lead out ----------------------------------------------------------------------------

ESCAPES = ["..", "../x", "d/../../x", "../../../../../etc/passwd", "a\0b", "x" * 256, "y/" * 2000, "\udc80"]


@pytest.mark.parametrize("path", ESCAPES)
async def test_no_path_leads_out_of_the_folder(world: World, path: str) -> None:
    await world.upload("a", b"1")
    before = sorted(str(entry) for entry in world.path.rglob("*"))
    for operation, body in (
        ("mkdir", {"relpath": path}),
        ("list", {"relpath": path}),
        ("rename", {"relpath": path, "new_name": "n"}),
        ("rename", {"relpath": "a", "new_name": path}),
        ("move", {"src_relpath": path, "dst_relpath": "n"}),
        ("move", {"src_relpath": "a", "dst_relpath": path}),
        ("fetch", {"relpath": path}),
        ("upload", {"relpath": path, "size": 1}),
        ("delete", {"relpaths": [path], "recursive": True}),
    ):
        answer = await call(world, operation, **body)
        assert 400 <= answer.status < 500, (operation, answer.body)
        if operation != "mkdir":
            assert answer.headers["Content-Type"].startswith("application/problem+json")
    assert sorted(str(entry) for entry in world.path.rglob("*")) == before


async def test_links_that_lead_out_are_not_followed(world: World, tmp_path_factory: pytest.TempPathFactory) -> None:
    outside = tmp_path_factory.mktemp("outside")
    (outside / "secret").write_text("secret")
    os.symlink(outside, world.folder / "out")
    os.symlink(outside / "secret", world.folder / "file")
    os.symlink("/proc/self/root", world.folder / "magic")
    await world.upload("a", b"1")
    for operation, body in (
        ("mkdir", {"relpath": "out/x"}),
        ("mkdir", {"relpath": "out", "exist_ok": True}),
        ("list", {"relpath": "out"}),
        ("list", {"relpath": "magic/etc"}),
        ("fetch", {"relpath": "out/secret"}),
        ("fetch", {"relpath": "file"}),
        ("move", {"src_relpath": "a", "dst_relpath": "out/a"}),
        ("move", {"src_relpath": "out/secret", "dst_relpath": "b"}),
        ("delete", {"relpaths": ["out/secret"]}),
    ):
        assert 400 <= (await call(world, operation, **body)).status < 500, operation
    token = await world.upload_token("out/new", 1)
    assert 400 <= (await world.patch(token, 0, b"x")).status < 500
    for relpath in ("out/secret", "file", "magic/etc/passwd"):
        assert (await world.download(relpath)).status == 404
    assert [entry.name for entry in outside.iterdir()] == ["secret"]


async def test_deleting_a_link_removes_the_link(world: World, tmp_path_factory: pytest.TempPathFactory) -> None:
    outside = tmp_path_factory.mktemp("outside")
    (outside / "kept").write_text("kept")
    os.symlink(outside, world.folder / "out")
    (world.folder / "d").mkdir()
    os.symlink(outside, world.folder / "d/out")
    assert (await call(world, "delete", relpaths=["out", "d"], recursive=True)).status == 200
    assert (outside / "kept").exists()
    assert list(world.folder.iterdir()) == []


async def test_what_is_no_file_is_not_opened(world: World) -> None:
    os.mkfifo(world.folder / "fifo")
    for name, kind in (("socket", stat.S_IFSOCK), ("nothing", stat.S_IFCHR)):
        os.mknod(world.folder / name, kind | 0o666, os.makedev(250, 7))
    for name in ("fifo", "socket", "nothing"):
        for answer in (await call(world, "fetch", relpath=name), await world.download(name)):
            assert (answer.status, answer.json["type"]) == (400, "urn:penstock:problem:file-not-a-file")
    listed = (await call(world, "list", relpath=".")).json["items"]
    assert sorted(item["name"] for item in listed) == ["fifo", "nothing", "socket"]


STAGED = [".upload", ".upload/x", "d/../.upload/x", "here/.upload", "here/.upload/x", "up/x"]


@pytest.mark.parametrize("path", STAGED)
async def test_where_uploads_are_staged_is_closed_for_changes(world: World, path: str) -> None:
    await world.upload("a", b"1")
    await world.patch(await world.upload_token("later", 2), 0, b"1")
    (staged,) = (world.folder / ".upload").iterdir()
    staged.rename(world.folder / ".upload/x")
    os.symlink(".", world.folder / "here")
    os.symlink("here/.upload", world.folder / "up")
    for operation, body in (
        ("rename", {"relpath": path, "new_name": "n"}),
        ("move", {"src_relpath": "a", "dst_relpath": path}),
        ("copy", {"relpath": "a", "dst_relpath": path}),
        ("delete", {"relpaths": [path], "recursive": True}),
    ):
        assert (await call(world, operation, **body)).status == 400, operation
    assert (await call(world, "mkdir", relpath=path, exist_ok=True)).status == 422
    for size in (1, LARGE):
        begun = await call(world, "upload", relpath=path, size=size)
        assert begun.status == 400 or (await world.patch(begun.json["token"], 0, bytes(size))).status == 400
    await call(world, "delete-async", relpaths=[path], recursive=True)
    await world.settled(lambda: world.events("files.purged") or path.startswith((".", "d")))
    assert (world.folder / ".upload/x").read_bytes() == b"1"
