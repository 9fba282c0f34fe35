"""Comparing the catalogue with a volume, and making it say what is.

The volume is the truth about what exists and what limits hold. What it cannot tell, when a folder was made and what
it was counted to hold, comes from the events, of the stream or an archive. Repeat-safe, and safe beside running
actors: what does not differ is not touched.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from backends.contract import Volume
from backends.presence import is_at_place
from bus.contract import Bus
from bus.folder_pages import list_folders
from bus.index_pages import index_pages
from bus.relay import Relays
from bus.usage import ScopeUsage
from domain.catalogue import (
    Change,
    Put,
    UsageRecord,
    folder_member,
    folder_record,
    scope_record,
    scopes_index,
    usage_record,
    volume_index,
)
from domain.envelope import wrap_event
from domain.errors import NotFoundError
from domain.events import (
    QuotaScopeCreated,
    QuotaScopeDeleted,
    QuotaUpdated,
    VFolderCreated,
    VFolderDeleted,
    VFolderPurged,
)
from domain.ids import QuotaScopeId, VFolderId, VolumeName
from domain.messages import Event
from domain.paths import ROOT
from domain.projection import project
from domain.usage import Usage
from domain.view import View

#: How a folder is told of that somebody has taken away.
MISSING: Final = "in the catalogue, but not on the volume"

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Comparison:
    """One pass over volumes.

    Args:
        view: what events tell; empty: they are not asked.
        dry_run: tell differences, change nothing.
        counting: count each folder's usage as well, which takes as long as reading every directory does; by these
            the bus has what was told of before.
    """

    bus: Bus
    view: View
    dry_run: bool
    counting: Relays | None = None

    async def differences(self, volume: Volume) -> AsyncIterator[Row]:
        """Make the catalogue say what the volume holds."""
        members: set[str] = set()
        scopes: set[QuotaScopeId] = set()
        async for folder in volume.folders():
            members.add(folder_member(folder, volume.name))
            if folder.scope is not None:
                scopes.add(folder.scope)
            async for found in self._folder(volume, folder):
                yield found
        async for listed in list_folders(self.bus.catalogue, volume.name, None):
            folder = listed.folder.folder
            if folder_member(folder, volume.name) not in members and await self._is_missing(volume, folder):
                trash = self.bus.clock.new_id()
                await self._tell(VFolderDeleted(volume=volume.name, folder=folder, trash=trash))
                await self._tell(VFolderPurged(volume=volume.name, folder=folder, trash=trash, entries=0))
                yield _row(volume.name, folder, MISSING, "dropped")
        async for found in self._scopes(volume, scopes):
            yield found
        for member in sorted(self.view.indexes[volume_index(volume.name)] - members):
            yield _row(volume.name, member.rpartition("@")[0], "told by events, but not on the volume", "none")

    async def _is_missing(self, volume: Volume, folder: VFolderId) -> bool:
        """Whether a folder that was not found at the walk is nowhere, and nobody has told why."""
        if await is_at_place(volume, folder):
            return False  # it was made meanwhile
        if any(entry.folder == folder and entry.held is not None for entry in await volume.trash()):
            return False  # it is on its way to another place, and may come back
        (known,) = await self.bus.catalogue.fields([folder_record(folder, volume.name)])
        return known is not None

    async def _folder(self, volume: Volume, folder: VFolderId) -> AsyncIterator[Row]:
        try:
            async for found in self._compared(volume, folder):
                yield found
        except NotFoundError:
            if await is_at_place(volume, folder):
                raise

    async def _compared(self, volume: Volume, folder: VFolderId) -> AsyncIterator[Row]:
        names = [folder_record(folder, volume.name), usage_record(folder, volume.name)]
        known, usage = await self.bus.catalogue.fields(names)
        if known is None:
            await self._bring_back(volume, folder)
            yield _row(volume.name, folder, "on the volume, but not in the catalogue", "added")
            usage = self.view.records.get(names[1])
        if self.counting is not None:
            async for found in self._usage(volume, folder, self.counting, usage):
                yield found

    async def _bring_back(self, volume: Volume, folder: VFolderId) -> None:
        """Write the projection of the event that made a folder; the event itself is not published again."""
        stat = await volume.files(folder).stat(ROOT)
        event = VFolderCreated(volume=volume.name, folder=folder, mode=stat.mode & 0o7777)
        for change in project(wrap_event(event, id=self.bus.clock.new_id(), time=stat.changed_ns / 1e9)):
            name = getattr(change, "record", "")
            told = self.view.records.get(name)
            if isinstance(change, Put) and told is not None:
                await self._apply(Put(name, told))
            elif name != usage_record(folder, volume.name):  # it is not empty, only not yet counted
                await self._apply(change)

    async def _usage(
        self, volume: Volume, folder: VFolderId, relays: Relays, fields: Mapping[str, str] | None
    ) -> AsyncIterator[Row]:
        count = partial(volume.usage, staging=False)
        usage: Usage | UsageRecord
        if self.dry_run:
            usage = await count(folder)
        else:
            settle = partial(relays.settle, volume.name)
            known = ScopeUsage(self.bus.catalogue, self.bus.clock, volume.name, count, 0.0, settle)
            usage = await known.measure(folder)
        told = UsageRecord.parse(fields or {})
        before = "unknown" if told is None else f"{told.file_bytes} bytes in {told.files} files"
        after = f"{usage.file_bytes} bytes in {usage.files} files"
        if before != after:
            yield _row(volume.name, folder, f"usage is {after}; in the catalogue {before}", "corrected")

    async def _scopes(self, volume: Volume, found: set[QuotaScopeId]) -> AsyncIterator[Row]:
        pages = index_pages(self.bus.catalogue, scopes_index(volume.name))
        known = {QuotaScopeId.parse(member) async for members in pages for member in members}
        for scope in sorted(found | known, key=str):
            (fields,) = await self.bus.catalogue.fields([scope_record(scope, volume.name)])
            try:
                limit = (await volume.quota(scope)).limit_bytes
            except NotFoundError:
                await self._tell(QuotaScopeDeleted(volume=volume.name, scope=scope))
                yield _row(volume.name, scope, "in the catalogue, but not on the volume", "dropped")
                continue
            if fields is None:
                await self._tell(QuotaScopeCreated(volume=volume.name, scope=scope, limit_bytes=limit))
                yield _row(volume.name, scope, "on the volume, but not in the catalogue", "added")
            elif fields.get("limit_bytes", "") != ("" if limit is None else str(limit)):
                await self._tell(QuotaUpdated(volume=volume.name, scope=scope, limit_bytes=limit))
                told = fields.get("limit_bytes") or "none"
                yield _row(
                    volume.name, scope, f"the limit is {limit or 'none'}; in the catalogue {told}", "corrected"
                )

    async def _tell(self, event: Event) -> None:
        """Project an event that is not published: nothing happened just now."""
        for change in project(wrap_event(event, id=self.bus.clock.new_id(), time=self.bus.clock.now())):
            await self._apply(change)

    async def _apply(self, change: Change) -> None:
        if not self.dry_run:
            await self.bus.catalogue.apply([change])


def _row(volume: VolumeName | str, subject: object, difference: str, action: str) -> Row:
    return {"volume": str(volume), "subject": str(subject), "difference": difference, "action": action}
