"""Finding what belongs to nothing: on the volume, in the catalogue, among uploads."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, Final

from actors.comparison import MISSING, Comparison
from actors.jobs.doing import Doing, Found
from actors.strays import uploads_without_record
from backends.powers import FindsLeftovers
from bus.contract import Record
from domain.errors import NotFoundError, Subject
from domain.events import VFolderMissing
from domain.ids import VFolderId, VolumeName
from domain.view import View
from domain.work import InspectOptions

#: Upload records looked at, at most; what an operator can look through.
_SESSIONS: Final = 100_000
#: How long gateways have to sweep away an upload that was made to expire, in seconds.
_SWEPT_SECONDS: Final = 24 * 3600.0

Row = dict[str, Any]


async def inspect(doing: Doing) -> Found:
    """Look, and tell; put right only what is asked for."""
    search = _Search(doing, InspectOptions.model_validate(doing.work.options))
    async for finding in search.run():
        doing.tally["found"] += 1
        doing.found(finding)
    return Found(doing.progress.items, result={**doing.tally, "findings": list(doing.findings)})


class _Search:
    def __init__(self, doing: Doing, options: InspectOptions) -> None:
        self._doing = doing
        self._volume = doing.volume
        self._name: VolumeName = doing.task.volume
        self._bus = doing.task.bus
        self._repair = options.repair
        #: What was changed later than this may still be somebody's.
        self._before = self._bus.clock.now() - options.age_seconds

    async def run(self) -> AsyncIterator[Row]:
        """Everything there is to find."""
        if not self._doing.after:  # what an earlier attempt has kept has this in it
            async for found in self._differences():
                yield found
        async for found in self._stagings():
            yield found
        async for found in self._sessions():
            yield found
        async for found in self._leftovers():
            yield found

    async def _differences(self) -> AsyncIterator[Row]:
        """What the catalogue says that is not so."""
        comparison = Comparison(self._bus, View(), dry_run=not self._repair)
        async for row in comparison.differences(self._volume):
            await self._doing.passed(0)
            if row["difference"] == MISSING and not self._repair:
                missing = VFolderMissing(volume=self._name, folder=VFolderId.parse(row["subject"]))
                await self._doing.task.tell(missing)
            yield self._row(row["subject"], row["difference"], row["action"])

    async def _stagings(self) -> AsyncIterator[Row]:
        """Bytes of uploads nobody has a record of."""
        async for folder in self._doing.folders():
            files = self._volume.files(folder)
            await self._doing.passed(1)
            for staged in await uploads_without_record(files, self._bus.records, self._before):
                if self._repair:
                    await files.discard_staging(staged.session)
                what = f"bytes of upload {staged.session}, of which there is no record"
                yield self._row(folder, what, "discarded")

    async def _sessions(self) -> AsyncIterator[Row]:
        """Records of uploads whose bytes are gone."""
        for name in await self._bus.records.due("upload", before=float("inf"), limit=_SESSIONS):
            record = await self._bus.records.load(name)
            if record is None or record.document.get("volume") != self._name:
                continue
            document: dict[str, Any] = dict(record.document)
            await self._doing.passed(0)
            has_bytes = document["state"] == "open" and not document.get("unstaged")
            if not has_bytes or float(document["begun"]) > self._before:
                continue  # it is not said to have any
            folder, session = VFolderId.parse(document["folder"]), str(document["id"])
            try:
                await self._volume.files(folder).staged_bytes(session)
            except NotFoundError as error:
                if error.subject not in (Subject.UPLOAD, Subject.VFOLDER):
                    raise
                if self._repair:
                    await self._expire(name, record)
                yield self._row(folder, f"record of upload {session}, of which there are no bytes", "expired")

    async def _expire(self, name: str, record: Record) -> None:
        """Have a gateway sweep an upload away, with all that is counted for it."""
        now = self._bus.clock.now()
        document = {**record.document, "expires": now}
        await self._bus.records.replace(
            name, document, revision=record.revision, keep_seconds=_SWEPT_SECONDS, due=now
        )

    async def _leftovers(self) -> AsyncIterator[Row]:
        """What lies in the volume's own area."""
        if not isinstance(self._volume, FindsLeftovers):
            return
        for leftover in await self._volume.leftovers():
            await self._doing.passed(1)
            if leftover.modified > self._before:
                continue
            if self._repair:
                await self._volume.discard(leftover)
            yield self._row(leftover.name, leftover.detail, "purged")

    def _row(self, subject: object, difference: str, action: str) -> Row:
        return {"subject": str(subject), "difference": difference, "action": action if self._repair else "none"}
