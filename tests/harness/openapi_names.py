"""Conditions under which what a request names is not there, is something else, or is in the way."""

from __future__ import annotations

import os
import shutil
from itertools import product
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from harness.openapi_provoked import Provoked, all_of
from harness.openapi_requests import (
    DOWNLOADS,
    FOLDER_PATH,
    HELLO,
    OPERATIONS,
    READ_BACK,
    SCOPE_PATH,
    add_volume,
    barely,
    claim,
    filled,
    opened,
    rightly,
)
from harness.world import FOLDER, World

from backends.contract import Operation
from backends.mounted import appending
from backends.mounted.files import MountedReadHandle
from domain import errors
from domain.catalogue import FolderStatus, status_record
from domain.ids import VFolderId, VolumeName
from domain.tasks import TaskState, task_record
from gateway.manager import files as manager_files
from gateway.openapi.examples import CLONE, NEW_FOLDER
from gateway.tokens import ArchiveClaims, DownloadClaims

#: Names in a folder, and what they lead to: nothing, a file, something below one, directories, what is neither, and
#: links that lead out.
NAMES = ("nope", "a.txt", "a.txt/below", "box", "empty", "fifo", "away/x", ".upload/x", "../x")
#: Parameters that are paths in a folder, and those that are several.
PATHS = ("relpath", "relpaths", "src_relpath", "dst_relpath", "files", "subpath", "new_name")
LISTS = ("relpaths", "files")


def empty_folder(world: World) -> None:
    """Take away whatever is in the folder but unfinished uploads."""
    for found in world.folder.iterdir():
        if found.is_dir() and not found.is_symlink() and found.name != ".upload":
            shutil.rmtree(found, ignore_errors=True)
        elif found.name != ".upload":
            found.unlink(missing_ok=True)


def fill(world: World) -> None:
    """Have what `NAMES` say."""
    empty_folder(world)
    (world.folder / "a.txt").write_bytes(HELLO)
    (world.folder / "box" / "a.txt").mkdir(parents=True)
    (world.folder / "empty").mkdir()
    os.mkfifo(world.folder / "fifo")
    (world.folder / "away").symlink_to("/etc")


def leave_empty(path: Path) -> None:
    """Leave a place empty."""


async def nothing_there(path: Path, provoked: Provoked) -> None:
    async with opened(path) as world:
        await provoked.send(*await all_of(world, (key for key in OPERATIONS if key[0] == "manager")))


async def no_folder(path: Path, provoked: Provoked, status: FolderStatus | None = None) -> None:
    """The folder is not at its place; if `status` is told, it will be."""
    moved = {"src_volume": "tape", "dst_volume": "disk"}
    async with filled(path) as world:
        await add_volume(world)
        requests = await all_of(world, tasks={"vfid": FOLDER}, migrate=moved)
        world.folder.rename(world.path / "elsewhere")
        if status is not None:
            record = status_record(VFolderId.parse(FOLDER), VolumeName("disk"))
            world.store.view.records[record] = {"status": status.value, "reason": "it comes", "task": "t"}
        forgotten = claim(world)
        lost = barely(world, READ_BACK).but(Authorization=f"Bearer {forgotten.token}")
        await provoked.send(lost.but(path=f"/files/{forgotten.session}"), *requests)


async def in_the_way(path: Path, provoked: Provoked) -> None:
    async with filled(path, event_streams=0, archive_limit=1) as world:
        for folder in (NEW_FOLDER, CLONE):
            await world.make_folder(folder)
        held = Operation(world.gate.bus.clock.new_id(), await world.volume.epoch())
        await world.volume.withdraw_folder(held, VFolderId.parse(NEW_FOLDER), uuid4())
        await world.make_folder(NEW_FOLDER)
        for key in (
            ("manager", "POST", "/quota-scope"),
            ("manager", "POST", "/folder/create"),
            ("manager", "POST", "/folder/migrate"),
            ("manager", "POST", SCOPE_PATH),
            ("manager", "POST", FOLDER_PATH),
            ("manager", "PUT", f"{FOLDER_PATH}/clone"),
            ("manager", "GET", "/events"),
            ("manager", "GET", "/tasks/{task}/events"),
        ):
            await provoked.send(barely(world, key))
        for name in ("restore", "purge"):
            right = barely(world, ("manager", "POST", f"/folder/{name}"))
            await provoked.send(right.but({"vfid": NEW_FOLDER, "trash": str(held.id)}))
        world.store.view.records[task_record(UUID(world.extra["task"]))]["state"] = TaskState.DONE
        await provoked.send(barely(world, ("manager", "DELETE", "/tasks/{task}")))


async def other_names(path: Path, provoked: Provoked) -> None:
    """Names that lead to nothing, to something else, or out of the folder."""
    async with filled(path) as world:
        for right in (barely(world, key) for key in OPERATIONS if key[0] == "manager"):
            places = [name for name in right.body or () if name in PATHS]
            for names in product(NAMES, repeat=len(places)) if places else ():
                fill(world)
                chosen = {
                    place: [name] if place in LISTS else name for place, name in zip(places, names, strict=True)
                }
                await provoked.send(right.but(chosen))
        fill(world)
        empty = barely(world, ("manager", "POST", "/folder/file/upload")).but({"size": 0})
        await provoked.send(*(empty.but({"relpath": name}) for name in NAMES))


async def other_files(path: Path, provoked: Provoked) -> None:
    """Tokens for such names."""
    async with filled(path) as world:
        fill(world)
        exp = world.gate.tokens.expiry()
        for method, name in product(("GET", "HEAD"), NAMES):
            one = DownloadClaims(volume="disk", vfid=FOLDER, relpath=name, exp=exp)
            several = ArchiveClaims(volume="disk", virtual_folder_id=FOLDER, files=(name,), exp=exp)
            for place, claims in (("/download", one), ("/download-archive", several)):
                right = barely(world, ("client", method, place))
                await provoked.send(right.but(query={"token": world.gate.tokens.sign(claims)}))


async def in_between(path: Path, provoked: Provoked) -> None:
    """Somebody makes a directory at the new place of a file, between two looks at it."""

    async def nothing_there(*_: object) -> None:
        """Whatever there is."""

    async with filled(path) as world:
        fill(world)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(manager_files, "_refuse_existing", nothing_there)
            rename = barely(world, ("manager", "POST", "/folder/file/rename"))
            move = barely(world, ("manager", "POST", "/folder/file/move"))
            await provoked.send(rename.but({"new_name": "box"}), move.but({"dst_relpath": "box"}))


async def too_much(path: Path, provoked: Provoked) -> None:
    async with filled(path, archive_limit=1) as world:
        for name in ("b.txt", "c.txt"):
            (world.folder / name).write_bytes(HELLO)
        everything = {"files": ["."]}
        selected = barely(world, ("manager", "POST", "/folder/file/archive-download-token")).but(everything)
        tokens = {
            "/download": await world.download_token("."),
            "/download-archive": (await selected.send()).json["token"],
        }
        for method, where in product(("GET", "HEAD"), DOWNLOADS):
            more = {"archive": "1"} if where == "/download" else {}
            right = barely(world, ("client", method, where))
            await provoked.send(right.but(query={"token": tokens[where], **more}))
        for error in (errors.StorageFullError("no room for a digest"), errors.QuotaExceededError("nothing more")):

            async def full(*_: object, error: errors.PenstockError = error) -> None:
                raise error

            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(MountedReadHandle, "keep_sha256", full)
                verify = barely(world, ("manager", "POST", "/folder/file/verify"))
                await provoked.send(verify.but({"relpath": "b.txt", "keep": True}))


async def in_an_archive(path: Path, provoked: Provoked) -> None:
    """Something that an archive which has to be complete cannot have."""
    async with filled(path) as world:
        (world.folder / "box").mkdir()
        (world.folder / "box" / "away").symlink_to("/etc")
        (world.folder / "box" / "file").touch()
        exp = world.gate.tokens.expiry()
        of_path = DownloadClaims(volume="disk", vfid=FOLDER, relpath=".", archive=True, exp=exp)
        several = ArchiveClaims(volume="disk", virtual_folder_id=FOLDER, files=("box",), exp=exp)
        for place, claims in (("/download", of_path), ("/download-archive", several)):
            for method in ("GET", "HEAD"):
                right = barely(world, ("client", method, place))
                await provoked.send(right.but(query={"token": world.gate.tokens.sign(claims), "strict": "1"}))


async def gone_selection(path: Path, provoked: Provoked) -> None:
    async with filled(path) as world:
        exp = world.gate.tokens.expiry()
        claims = ArchiveClaims(volume="disk", virtual_folder_id=FOLDER, selection=uuid4().hex, exp=exp)
        for method in ("GET", "HEAD"):
            right = barely(world, ("client", method, "/download-archive"))
            await provoked.send(right.but(query={"token": world.gate.tokens.sign(claims)}))


async def written_to(path: Path, provoked: Provoked) -> None:
    """A file that is written to each time it is copied."""

    async def is_unchanged(_: MountedReadHandle) -> bool:
        return False

    async with filled(path) as world:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(MountedReadHandle, "is_unchanged", is_unchanged)
            patch.setattr(appending, "share_all", lambda *_: False)
            await provoked.send(await rightly(world, ("manager", "POST", "/folder/file/copy")))
