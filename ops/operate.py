"""What the command line does with a running system."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

from actors.comparison import Comparison
from actors.scrub import Scrub, see_folder
from backends.contract import Volume
from backends.observer import SilentObserver
from backends.powers import outboxes
from backends.registry import open_volumes
from bus.contract import Bus, Gap, Position
from bus.filters import Filter
from bus.folder_pages import ListedFolder, list_folders
from bus.relay import Relays
from bus.streams import open_streams_bus
from domain.catalogue import FolderStatus
from domain.errors import NotFoundError, Subject
from domain.ids import QuotaScopeId, VFolderId, VolumeName
from ops.rebuild import view_of
from ops.replay import Execution, Range, copy, differences, printed, told
from ops.settings import Settings
from ops.uploads_back import UploadsBack

#: Name of the command line among the bus's members; it owns nothing, so it need not be unique.
_NODE = "operator"
_PAGE = 500


async def list_rows(
    settings: Settings, volume: VolumeName | None, owner: QuotaScopeId | None
) -> list[dict[str, Any]]:
    """Folders of the catalogue, a row each."""
    async with open_streams_bus(settings.bus, _NODE) as bus:
        return [_row(listed, bus.clock.now()) async for listed in list_folders(bus.catalogue, volume, owner)]


def _row(listed: ListedFolder, now: float) -> dict[str, Any]:
    folder, usage = listed.folder, listed.usage
    return {
        "volume": str(folder.volume),
        "vfid": str(folder.folder),
        "status": (listed.status.status if listed.status else FolderStatus.READY).value,
        "created": datetime.fromtimestamp(folder.created, UTC).isoformat(timespec="seconds"),
        "files": usage.files if usage else None,
        "used_bytes": usage.file_bytes if usage else None,
        "usage_age_seconds": round(now - usage.measured) if usage else None,
    }


async def lane_rows(settings: Settings) -> list[dict[str, Any]]:
    """How the queue of each configured volume stands, a row each."""
    async with open_streams_bus(settings.bus, _NODE) as bus:
        return [asdict(await bus.inspection.lane(volume)) for volume in settings.volumes]


async def reader_rows(settings: Settings) -> list[dict[str, Any]]:
    """How far each registered reader is, a row each."""
    async with open_streams_bus(settings.bus, _NODE) as bus:
        return [
            {"reader": found.reader, "position": found.position.entry, "silent_seconds": found.silent_seconds}
            for found in await bus.inspection.readers()
        ]


async def rebuild(
    settings: Settings,
    volume: VolumeName | None,
    archive: Path | None,
    show: Callable[[Mapping[str, Any]], None],
    *,
    count: bool,
    dry_run: bool,
) -> None:
    """Rebuild the catalogue, showing each difference as it is found.

    Raises:
        NotFoundError: no such volume is configured.
    """
    chosen = settings.chosen(volume)
    async with open_volumes(chosen, SilentObserver()) as volumes, open_streams_bus(settings.bus, _NODE) as bus:
        relays = Relays(bus.outboxes, outboxes(volumes))
        if not dry_run:
            # What was told of before the catalogue says what it is would be counted in once more afterwards.
            for name in volumes:
                await relays.settle(name)
        view = await view_of(bus, Range("events", Filter(volume=volume or ""), list(chosen), archive=archive))
        comparison = Comparison(bus, view, dry_run=dry_run, counting=relays if count else None)
        for opened in volumes.values():
            async for difference in comparison.differences(opened):
                show(difference)
        lease = settings.bus.upload_lease_seconds
        uploads = UploadsBack(bus, volumes, relays, settings.gateway, lease, dry_run=dry_run)
        for opened in volumes.values():
            async for difference in uploads.differences(opened):
                show(difference)


async def scrub(
    settings: Settings,
    volume: VolumeName | None,
    folder: VFolderId | None,
    show: Callable[[Mapping[str, Any]], None],
    *,
    keep: bool,
    quiet: bool,
) -> str:
    """Scrub volumes, showing what is damaged or cannot be read as it is found; returns a summary.

    Raises:
        NotFoundError: no such volume is configured, or the folder is on none of them.
    """
    chosen = settings.chosen(volume)
    async with AsyncExitStack() as stack:
        volumes = await stack.enter_async_context(open_volumes(chosen, SilentObserver()))
        if folder is not None:
            volumes = await _with_folder(volumes, folder)
        bus = None if quiet else await stack.enter_async_context(open_streams_bus(settings.bus, _NODE))
        work = Scrub(bus, keep=keep)
        for opened in volumes.values():
            async for row in work.volume(opened, folder):
                show(row)
    counts = ", ".join(f"{count} {found}" for found, count in sorted(work.found.items()))
    return f"{work.read_bytes} bytes read; files: {counts or 'none'}"


async def _with_folder(volumes: Mapping[VolumeName, Volume], folder: VFolderId) -> dict[VolumeName, Volume]:
    """The volumes a folder is on. Raises NotFoundError if there are none."""
    found = {}
    for name, volume in volumes.items():
        with suppress(NotFoundError):
            await see_folder(volume, folder)
            found[name] = volume
    if not found:
        raise NotFoundError(f"no folder {folder} is there", subject=Subject.VFOLDER)
    return found


async def tail(
    settings: Settings, wanted: Filter, after: str, count: int | None, show: Callable[[Mapping[str, Any]], None]
) -> None:
    """Show events as they happen; for ever, or until so many were shown."""
    start = Position.parse(after, "after") if after else None
    async with open_streams_bus(settings.bus, _NODE) as bus, bus.events.watch(start) as subscription:
        async for item in subscription:
            if isinstance(item, Gap):
                show({"position": item.position.entry, "type": "gap"})
            elif wanted.matches(item.envelope):
                show({"position": item.position.entry, **told(item.envelope)})
                count = None if count is None else count - 1
                if count == 0:
                    return


@dataclass(frozen=True, slots=True)
class Replay:
    """A replay from the command line."""

    settings: Settings
    what: str
    wanted: Filter
    id: UUID | None
    archive: Path | None

    async def run(self, mode: str, run: str, rate: float, show: Callable[[Mapping[str, Any]], None]) -> int:
        """Do it, showing each row; tells how many commands would change something (dry run)."""
        changes = 0
        async with AsyncExitStack() as stack:
            bus = await stack.enter_async_context(open_streams_bus(self.settings.bus, _NODE))
            volumes: Mapping[VolumeName, Volume] = {}
            if mode == "dry-run":
                opened = open_volumes(self.settings.volumes, SilentObserver())
                volumes = await stack.enter_async_context(opened)
            chosen = Range(
                "events" if self.what == "events" else "commands",
                self.wanted,
                [name for name in self.settings.volumes if self.wanted.volume in ("", name)],
                self.id,
                self.archive,
            )
            async for found in self._rows(mode, run, rate, bus, chosen, volumes):
                changes += bool(found.get("difference"))
                show(found)
        return changes

    @staticmethod
    def _rows(
        mode: str, run: str, rate: float, bus: Bus, chosen: Range, volumes: Mapping[VolumeName, Volume]
    ) -> AsyncIterator[dict[str, Any]]:
        match mode:
            case "dry-run":
                return differences(bus, chosen, volumes)
            case "side":
                return copy(bus, chosen, run)
            case "execute":
                return Execution(bus, run, rate).all(chosen)
            case _:
                return printed(bus, chosen)
