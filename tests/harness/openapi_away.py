"""Conditions under which what Penstock stands on fails: the storage, Redis, the actors."""

from __future__ import annotations

import inspect
from functools import partial
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import pytest
from harness.openapi_provoked import COMMANDS, Provoked, all_of
from harness.openapi_requests import FOLDER_PATH, HELLO, SCOPE_PATH, barely, changed, filled
from harness.tus import LARGE
from harness.world import FOLDER

from actors.handlers.table import HANDLERS, Handler
from backends.mounted.files import MountedReadHandle
from backends.outside import NOWHERE
from domain import errors
from domain.commands import MigrateVFolder, PurgeVFolder, RequestClone, RestoreVFolder, SetVFolderQuota
from domain.task_commands import CancelTask, StartTask
from gateway.manager import mounts
from gateway.openapi.examples import FILE
from gateway.tokens import DownloadClaims

AWAY = errors.BusBrokenError("Redis is away")
#: More names than a token holds.
MANY = {"files": [f"{number:0100}" for number in range(100)]}
#: What changes a volume's files.
WRITING = {
    *("make_directories", "move", "delete", "sync_names", "place_whole", "expect_whole"),
    *("create_staging", "stage_whole", "sync_staging", "commit_staging"),
}
#: What asks for limits, or counts.
COUNTED = [
    ("manager", "GET", path)
    for path in ("/quota-scope", "/folder/quota", "/folder/usage", "/folder/used-bytes", SCOPE_PATH, FOLDER_PATH)
]
#: What is told by events.
TOLD = [
    ("manager", "POST", f"/folder/file/{name}") for name in ("mkdir", "copy", "verify", "rename", "move", "delete")
]
#: What changes names, and tells of it.
CHANGING = ("make_directories", "move", "sync_names")
#: Commands a backend need not be able to do.
OPTIONAL = (SetVFolderQuota, MigrateVFolder, RestoreVFolder, PurgeVFolder, StartTask, RequestClone)


@runtime_checkable
class Never(Protocol):
    """A power nothing has."""

    def never(self) -> None: ...


async def no_storage(
    path: Path, provoked: Provoked, error: errors.PenstockError, only: set[str] | None = None
) -> None:
    """Everything the storage is asked for fails, or only some; also where an actor asks."""

    async def fail(*_: object, **__: object) -> None:
        raise error

    def broken(part: Any) -> Any:
        names = {name for name in dir(part) if inspect.iscoroutinefunction(getattr(part, name))} - {"health"}
        members = dict.fromkeys(names if only is None else names & only, fail)
        if hasattr(part, "files"):
            extra = {} if only else {"metrics": fail}
            return changed(part, files=lambda _, folder: broken(part.files(folder)), **members, **extra)
        return changed(part, read_at_once=lambda *_: None, **members)

    async with filled(path) as world:
        requests = await all_of(world)
        world.gate.volumes["disk"] = broken(world.volume)
        world.gate.quotas.limits._known.clear()
        with pytest.MonkeyPatch.context() as patch:
            for command in set(HANDLERS) - {CancelTask}:
                patch.setitem(HANDLERS, command, Handler(fail, HANDLERS[command].failed))
            await provoked.send(*requests)


async def no_power(path: Path, provoked: Provoked) -> None:
    """The storage can do no more than it has to."""

    async def fail(command: object, *_: object) -> None:
        raise errors.UnsupportedError(f"the backend cannot do {type(command).__name__}")

    async with filled(path) as world:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(mounts, "Mountable", Never)
            for command in OPTIONAL:
                patch.setitem(HANDLERS, command, Handler(fail, HANDLERS[command].failed))
            mount = barely(world, ("manager", "GET", "/folder/mount"))
            await provoked.send(mount, *await all_of(world, COMMANDS))


async def outside(path: Path, provoked: Provoked) -> None:
    """What lies outside of all volumes, and what may be read of it."""
    readable = path / "outside"
    readable.mkdir(parents=True)
    async with filled(path / "world", unmanaged_paths=[readable]) as world:
        upload, download = (barely(world, ("manager", "POST", f"/folder/file/{n}")) for n in ("upload", "download"))
        await provoked.send(upload.but({"volume": NOWHERE}), download.but({"unmanaged_path": "/"}))
        claims = DownloadClaims(
            volume=NOWHERE,
            vfid=FOLDER,
            relpath="nope",
            archive=True,
            unmanaged_path=str(readable),
            exp=world.gate.tokens.expiry(),
        )
        for method in ("GET", "HEAD"):
            right = barely(world, ("client", method, "/download"))
            await provoked.send(right.but(query={"token": world.gate.tokens.sign(claims)}))


def have_fail(patch: pytest.MonkeyPatch, error: errors.PenstockError, *parts: object) -> None:
    """Have each coroutine of some parts of the bus fail."""

    async def fail(*_: object, **__: object) -> None:
        raise error

    for part in parts:
        for name in dir(type(part)):
            if inspect.iscoroutinefunction(getattr(part, name)):
                patch.setattr(part, name, fail)


async def no_bus(path: Path, provoked: Provoked) -> None:
    def fail(*_: object, **__: object) -> None:
        raise AWAY

    async with filled(path) as world:
        recorded = {"archive-download-token": MANY, "upload": {"size": LARGE}}
        requests, bus = await all_of(world, **recorded), world.gate.bus
        with pytest.MonkeyPatch.context() as patch:
            have_fail(patch, AWAY, bus.commands, bus.records, bus.catalogue)
            patch.setattr(bus.events, "publish", fail)
            patch.setattr(bus.events, "watch", fail)
            patch.setattr(bus.leases, "hold", fail)
            await provoked.send(*requests)


async def no_bus_behind(path: Path, provoked: Provoked) -> None:
    """Redis is away for who asks it only at times: of limits, of folders that are away, of what was damaged."""

    async def publish(*_: object) -> None:
        raise AWAY

    async def other_digest(*_: object) -> bytes:
        return bytes(32)

    def untold(files: Any) -> Any:
        """The same of a volume without an outbox."""

        async def without_tell(name: str, *args: Any, tell: object = None, **more: Any) -> Any:
            return await getattr(files, name)(*args, **more)

        return changed(files, **{name: partial(without_tell, name) for name in CHANGING})

    async with filled(path, usage_wait_seconds=1e-9) as world:
        requests = await all_of(world, COUNTED + TOLD)
        many = barely(world, ("manager", "POST", "/folder/file/archive-download-token")).but(MANY)
        selected = {"token": (await many.send()).json["token"]}
        for method in ("GET", "HEAD"):
            requests.append(barely(world, ("client", method, "/download-archive")).but(query=selected))
        for key in (("manager", "PATCH", "/quota-scope"), ("manager", "PUT", "/folder/quota")):
            assert (await barely(world, key).send()).status == 204
        volume = world.volume
        world.gate.volumes["disk"] = changed(volume, files=lambda _, folder: untold(volume.files(folder)))
        bus = world.gate.bus
        with pytest.MonkeyPatch.context() as patch:
            have_fail(patch, AWAY, bus.records, bus.catalogue)
            patch.setattr(bus.events, "publish", publish)
            patch.setattr(MountedReadHandle, "sha256", other_digest)
            for request in requests:
                (world.folder / FILE).write_bytes(HELLO)
                await provoked.send(request)
            world.folder.rename(world.path / "elsewhere")
            await provoked.send(barely(world, ("manager", "GET", "/folder/status")))


async def full_queue(path: Path, provoked: Provoked) -> None:
    async with filled(path) as world:
        requests = await all_of(world, COMMANDS)
        with pytest.MonkeyPatch.context() as patch:
            full = errors.BusyError("the queue is full", retry_after_seconds=1)
            have_fail(patch, full, world.gate.bus.commands)
            await provoked.send(*requests)


async def no_answer(path: Path, provoked: Provoked) -> None:
    async with filled(path) as world:
        world.gate.commander._timeout = 1e-6
        await provoked.send(*await all_of(world, COMMANDS))
