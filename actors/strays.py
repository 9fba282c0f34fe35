"""Uploads on a volume of which Redis has no record."""

from __future__ import annotations

from collections.abc import Sequence

from backends.contract import FileAccess
from backends.powers import ListsStagings, StagedUpload
from bus.contract import Records
from domain.errors import NotFoundError


async def uploads_without_record(files: FileAccess, records: Records, before: float) -> Sequence[StagedUpload]:
    """Uploads into one folder that nobody has a record of, and nobody has written to since a Unix time."""
    if not isinstance(files, ListsStagings):
        return ()
    try:
        stagings = await files.stagings()
    except NotFoundError:
        return ()  # it was deleted meanwhile
    return [
        staged
        for staged in stagings
        if staged.modified <= before and await records.load(f"upload:{staged.session}") is None
    ]
