"""What was found in archives that were looked through, remembered beside their uploads.

An archive that is not unpacked stays where it is, so that its uploader is told the same whenever he asks; looking
through it again could take as long as it did, each time.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Final

from bus.contract import Bus
from domain.errors import BusError, ErrorCode, InvalidRequestError, PenstockError, Subject, TooLargeError
from gateway.archive.unpack import UnpackLimits
from gateway.uploads.session import UploadSession

#: How long it is remembered after the upload may be dropped, in seconds.
_GRACE_SECONDS: Final = 24 * 3600.0
#: How archives are refused for what is in them.
_REFUSALS: Final = (ErrorCode.INVALID_REQUEST, ErrorCode.TOO_LARGE)


class Findings:
    """Remembers for all gateways, as long as the limits and the directory it is for are the same."""

    def __init__(self, bus: Bus, limits: UnpackLimits) -> None:
        self._records = bus.records
        self._clock = bus.clock
        self._limits = [limits.entries, limits.total_bytes, limits.ratio]

    async def total(self, session: UploadSession) -> int | None:
        """Bytes an archive was found to unpack to; None: nobody has looked.

        Raises:
            InvalidRequestError, TooLargeError: it was refused.
        """
        record = await self._records.load(_record(session))
        if record is None or record.document.get("terms") != self._terms(session):
            return None
        _raise_refusal(record.document)
        total = record.document.get("total")
        return total if isinstance(total, int) else None

    async def keep(self, session: UploadSession, found: int | PenstockError) -> None:
        """Remember the bytes it unpacks to, or why it was refused. Where that fails it is looked through again.

        What the storage has against a name may be otherwise the next time, and is not remembered.
        """
        if isinstance(found, PenstockError) and found.code not in _REFUSALS:
            return
        kept: dict[str, object] = {"terms": self._terms(session)}
        if isinstance(found, int):
            kept["total"] = found
        else:
            kept |= {"code": found.code.value, "message": found.message, "field": found.facts.get("field")}
        keep_seconds = max(session.expires - self._clock.now(), 0) + _GRACE_SECONDS
        with suppress(BusError):
            await self._records.remove(_record(session))
            await self._records.create(_record(session), kept, keep_seconds=keep_seconds, due=None)

    def _terms(self, session: UploadSession) -> list[object]:
        return [*self._limits, str(session.destination)]


def _record(session: UploadSession) -> str:
    return f"archive:{session.id}"


def _raise_refusal(document: Mapping[str, Any]) -> None:
    match document.get("code"):
        case ErrorCode.TOO_LARGE:
            raise TooLargeError(str(document["message"]), subject=Subject.UPLOAD)
        case ErrorCode.INVALID_REQUEST:
            raise InvalidRequestError(str(document["message"]), field=document["field"])
