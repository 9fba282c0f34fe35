"""Names inside a folder: mkdir, list, rename, move, fetch, delete."""

from __future__ import annotations

from collections.abc import Awaitable, Iterator, Sequence
from functools import partial
from typing import Final

from aiohttp import web
from pydantic import ConfigDict, Field

from backends.contract import FileAccess, Tell
from domain.commands import DeleteFiles
from domain.errors import ConflictError, InvalidPathError, NotFoundError, PenstockError, Subject
from domain.events import DirectoryCreated, FileDeleted, FileMoved
from domain.foreign_names import read_path, renamed, sendable
from domain.paths import RelativePath
from gateway.download import send_file
from gateway.gate import Gate
from gateway.manager.absent import accept
from gateway.manager.listing import Listings
from gateway.manager.unmanaged import is_unmanaged
from gateway.parameters import Bool, FolderParameters, PathText, PathTexts, Text
from gateway.problems import file_not_found, os_words

#: Paths one bulk request may name.
_BULK: Final = 50
#: Removed paths one event names.
_TOLD_AT_ONCE: Final = 1000


class PathParameters(FolderParameters):
    """A path in a folder."""

    relpath: PathText


class MakeParameters(FolderParameters):
    """Directories to make."""

    relpath: PathTexts = Field(max_length=_BULK)
    parents: Bool = True
    exist_ok: Bool = False


class RenameParameters(PathParameters):
    """A new name."""

    new_name: Text
    is_dir: Bool = False


class MoveParameters(FolderParameters):
    """A new place."""

    src_relpath: PathText
    dst_relpath: PathText


class DeleteParameters(FolderParameters):
    """What to remove."""

    relpaths: PathTexts
    recursive: Bool = False


class DeleteAsyncParameters(DeleteParameters):
    """What to remove in the background; what else is told is passed over."""

    model_config = ConfigDict(extra="ignore", frozen=True)


class FileRoutes:
    """`/folder/file/...`, but for transfers."""

    def __init__(self, gate: Gate) -> None:
        self._gate = gate
        self._listings = Listings(gate.settings.list_limit)

    def routes(self) -> list[web.RouteDef]:
        """What this serves."""
        return [
            web.post("/folder/file/mkdir", self.mkdir),
            web.post("/folder/file/list", self.list),
            web.post("/folder/file/rename", self.rename),
            web.post("/folder/file/move", self.move),
            web.post("/folder/file/fetch", self.fetch),
            web.post("/folder/file/delete", self.delete),
            web.post("/folder/file/delete-async", self.delete_async),
        ]

    async def mkdir(self, request: web.Request) -> web.Response:
        """Make directories; each succeeds or fails by itself."""
        parameters = await self._gate.body(request, MakeParameters)
        making = _Making(parameters.relpath)
        if is_unmanaged(self._gate, parameters.volume):
            return making.answer([None] * len(making.paths))
        files = self._gate.files(parameters.volume, parameters.vfid)
        volume = self._gate.volume(parameters.volume).name

        def made(failures: Sequence[PenstockError | None]) -> DirectoryCreated | None:
            paths = making.made(failures)
            return DirectoryCreated(volume=volume, folder=parameters.vfid, paths=paths) if paths else None

        def make(tell: Tell[Sequence[PenstockError | None]]) -> Awaitable[Sequence[PenstockError | None]]:
            return files.make_directories(
                making.paths, parents=parameters.parents, exist_ok=parameters.exist_ok, tell=tell
            )

        try:
            failures = await self._gate.change(request, volume, make, made)
        except NotFoundError as error:
            failures = [error] * len(making.paths)
        return making.answer(failures)

    async def list(self, request: web.Request) -> web.StreamResponse:
        """List a directory."""
        parameters = await self._gate.body(request, PathParameters)
        volume = self._gate.volume(parameters.volume)
        told = await self._listings.tell(volume, parameters.vfid, read_path(parameters.relpath))
        return await told.send(request)

    async def rename(self, request: web.Request) -> web.Response:
        """Give an entry another name."""
        parameters = await self._gate.body(request, RenameParameters)
        source = _changeable(parameters.relpath)
        await self._move(request, parameters, source, renamed(source, parameters.new_name))
        return web.Response(status=204)

    async def move(self, request: web.Request) -> web.Response:
        """Give an entry another place."""
        parameters = await self._gate.body(request, MoveParameters)
        source, target = _changeable(parameters.src_relpath), read_path(parameters.dst_relpath)
        await self._move(request, parameters, source, target)
        return web.Response(status=204)

    async def _move(
        self, request: web.Request, parameters: FolderParameters, source: RelativePath, target: RelativePath
    ) -> None:
        """Move; onto a directory means into it, as Backend.AI does."""
        if target.is_reserved:
            raise _reserved(target)
        if not target.is_root:
            try:
                await self._move_to(request, parameters, source, target)
                return
            except ConflictError as error:
                if source == target or error.facts.get("reason") != "is-a-directory":
                    raise
        inside = read_path(f"{target}/{sendable(source.name)}")
        if inside.is_reserved:
            raise _reserved(inside)
        await _refuse_existing(self._gate.files(parameters.volume, parameters.vfid), inside)
        await self._move_to(request, parameters, source, inside)

    async def _move_to(
        self, request: web.Request, parameters: FolderParameters, source: RelativePath, target: RelativePath
    ) -> None:
        files = self._gate.files(parameters.volume, parameters.vfid)
        volume = self._gate.volume(parameters.volume).name

        moved = partial(
            FileMoved, volume=volume, folder=parameters.vfid, source=str(source), destination=str(target)
        )
        await self._gate.change(
            request,
            volume,
            lambda tell: files.move(source, target, tell=tell),
            lambda replaced: moved(replaced=replaced) if source != target else None,
        )

    async def fetch(self, request: web.Request) -> web.StreamResponse:
        """Send a file's bytes."""
        parameters = await self._gate.body(request, PathParameters)
        path = read_path(parameters.relpath)
        stock = self._gate.stock(parameters.volume, parameters.vfid)
        try:
            return await send_file(self._gate, request, stock, path, whole=True)
        except NotFoundError as error:
            if error.subject is not Subject.FILE:
                raise
            # The manager tells by the status that a session has left no log.
            return file_not_found().response()

    async def delete(self, request: web.Request) -> web.Response:
        """Remove entries; what is not there counts as removed, a directory without `recursive` is passed over."""
        parameters = await self._gate.body(request, DeleteParameters)
        files = self._gate.files(parameters.volume, parameters.vfid)
        paths = [_changeable(name, root=True) for name in parameters.relpaths]
        deleting = _Deleting(files, recursive=parameters.recursive)
        try:
            for path in paths:
                await deleting.delete(path)
        finally:
            # Told even if a later one failed: these are gone.
            await self._tell_removed(request, parameters, deleting)
        skipped = [str(path) for path in deleting.skipped]
        return web.json_response({"status": "ok", **({"skipped": skipped} if skipped else {})})

    async def _tell_removed(self, request: web.Request, parameters: FolderParameters, deleting: _Deleting) -> None:
        files = self._gate.files(parameters.volume, parameters.vfid)
        told = partial(FileDeleted, volume=self._gate.volume(parameters.volume).name, folder=parameters.vfid)

        async def tell_some(some: Sequence[RelativePath], event: FileDeleted) -> None:
            await self._gate.change(
                request, event.volume, lambda tell: files.sync_names(some, tell=tell), lambda _: event
            )

        for start in range(0, len(deleting.removed), _TOLD_AT_ONCE):
            some = deleting.removed[start : start + _TOLD_AT_ONCE]
            await tell_some(some, told(paths=[str(path) for path in some]))
        if deleting.partly:
            await tell_some(deleting.partly, told(paths=[], partly=[str(path) for path in deleting.partly]))

    async def delete_async(self, request: web.Request) -> web.Response:
        """Have entries removed; the answer comes when that is accepted, not when it is done."""
        parameters = await self._gate.body(request, DeleteAsyncParameters)
        for name in parameters.relpaths:
            _changeable(name, root=True)
        command = DeleteFiles(folder=parameters.vfid, paths=parameters.relpaths, recursive=parameters.recursive)
        accepted = await accept(self._gate, request, command, parameters.volume)
        return web.json_response({"bgtask_id": str(accepted)}, status=202)


class _Making:
    """Directories one request asks for; each is made or not by itself."""

    def __init__(self, names: Sequence[str]) -> None:
        self._asked = [(name, _parsed(name)) for name in names]
        #: Those that can be asked for at all.
        self.paths = [path for _, path in self._asked if isinstance(path, RelativePath)]

    def made(self, failures: Sequence[PenstockError | None]) -> list[str]:
        """What was made, each told once."""
        made = [str(path) for path, failure in zip(self.paths, failures, strict=True) if failure is None]
        return list(dict.fromkeys(made))

    def answer(self, failures: Sequence[PenstockError | None]) -> web.Response:
        """What Backend.AI's manager expects to hear."""
        outcomes = list(self._outcomes(failures))
        made = [name for name, failure in outcomes if failure is None]
        failed = [{"msg": os_words(failure), "item": name} for name, failure in outcomes if failure is not None]
        status = 422 if not made else 207 if failed else 200
        results = {"success": [{"msg": None, "item": name} for name in made], "failed": failed}
        return web.json_response({"results": results}, status=status)

    def _outcomes(self, failures: Sequence[PenstockError | None]) -> Iterator[tuple[str, PenstockError | None]]:
        found = iter(failures)
        for name, path in self._asked:
            yield name, path if isinstance(path, PenstockError) else next(found)


def _parsed(name: str) -> RelativePath | PenstockError:
    try:
        return _changeable(name)
    except PenstockError as error:
        return error


class _Deleting:
    """What one request has removed so far."""

    def __init__(self, files: FileAccess, *, recursive: bool) -> None:
        self._files = files
        self._recursive = recursive
        self.removed: list[RelativePath] = []
        #: A tree of which only something could be removed; that is the last there is.
        self.partly: list[RelativePath] = []
        #: Directories that were not to be removed.
        self.skipped: list[RelativePath] = []

    async def delete(self, path: RelativePath) -> None:
        """Remove an entry, if it is there. Raises as `FileAccess.delete`."""
        try:
            if await self._files.delete(path, recursive=self._recursive):
                self.removed.append(path)
        except PenstockError as error:
            if error.facts.get("reason") == "is-a-directory":
                self.skipped.append(path)
                return
            if error.facts.get("removed"):
                self.partly.append(path)
            raise


def _changeable(text: str, *, root: bool = False) -> RelativePath:
    """A path that may be changed: not the folder itself, not where unfinished uploads are."""
    path = read_path(text)
    if path.is_root and not root:
        raise InvalidPathError("the folder itself cannot be changed this way", subject=Subject.FILE, path=".")
    if path.is_reserved:
        raise _reserved(path)
    return path


def _reserved(path: RelativePath) -> InvalidPathError:
    return InvalidPathError("reserved for unfinished uploads", subject=Subject.FILE, path=str(path))


async def _refuse_existing(files: FileAccess, path: RelativePath) -> None:
    try:
        await files.stat(path)
    except NotFoundError:
        return
    raise ConflictError(f"{path}: exists", subject=Subject.FILE, reason="exists", path=str(path))
