"""Names and bytes of a folder, with something around some of the calls."""

from __future__ import annotations

from typing import Any

from harness.mortal import DiedError
from harness.world import World

from backends.contract import FileAccess, Staging, Synced
from backends.patience import Patience
from domain.paths import RelativePath


class Around:
    """Does what it is around."""

    def __init__(self, inner: FileAccess) -> None:
        self._inner = inner

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


class NotingSyncs(Around):
    """Notes which uploads were made durable."""

    def __init__(self, inner: FileAccess, durable: set[str]) -> None:
        super().__init__(inner)
        self._durable = durable

    async def sync_staging(self, session: str, destination: RelativePath) -> Synced:
        synced = await self._inner.sync_staging(session, destination)
        self._durable.add(session)
        return synced

    async def stage_whole(self, session: str, data: bytes, destination: RelativePath) -> Synced:
        synced = await self._inner.stage_whole(session, data, destination)
        self._durable.add(session)
        return synced

    async def open_staging(self, session: str, patience: Patience | None = None) -> _NotingLast:
        return _NotingLast(await self._inner.open_staging(session, patience), session, self._durable)


class _NotingLast:
    """Notes that an upload was made durable with its last bytes."""

    def __init__(self, inner: Staging, session: str, durable: set[str]) -> None:
        self._inner = inner
        self._session = session
        self._durable = durable

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    async def append_last(self, chunks: list[bytes], destination: RelativePath) -> Synced:
        synced = await self._inner.append_last(chunks, destination)
        self._durable.add(self._session)
        return synced


class NotingNames(Around):
    """Notes which names were made durable, and how many events of a type there were just before."""

    def __init__(self, inner: FileAccess, world: World, kind: str, synced: list[tuple[list[str], int]]) -> None:
        super().__init__(inner)
        self._world = world
        self._kind = kind
        self._synced = synced

    async def sync_names(self, paths: list[RelativePath], **more: Any) -> None:
        self._synced.append(([str(path) for path in paths], len(self._world.events(self._kind))))
        await self._inner.sync_names(paths, **more)


class DyingInCommit(Around):
    """For a process that dies when it has renamed an upload, and has not yet made that durable."""

    async def commit_staging(self, *args: Any, **kwargs: Any) -> None:
        await self._inner.commit_staging(*args, **kwargs)
        raise DiedError
