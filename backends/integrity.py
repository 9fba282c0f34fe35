"""Whether a file's bytes are still those its digest was kept of."""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from anyio import to_thread

from backends.contract import ReadHandle
from backends.powers import ReadsAnew

#: Bytes read at once.
_READ_BYTES: Final = 4 << 20


class Integrity(StrEnum):
    """What was found."""

    #: The bytes are those the kept digest is of.
    INTACT = "intact"
    #: They are not, though neither length nor time of the file say that somebody changed it.
    DAMAGED = "damaged"
    #: There is no digest to compare with: none was kept, or the file was changed since.
    UNKNOWN = "unknown"
    #: The file was changed while it was read.
    CHANGING = "changing"


@dataclass(frozen=True, slots=True)
class Verified:
    """A file that was read."""

    integrity: Integrity
    #: Digest of the bytes that were read.
    sha256: bytes
    #: Digest that was kept.
    kept: bytes | None


async def read_sha256(handle: ReadHandle) -> bytes:
    """Compute the digest of an open file by reading it, in constant memory."""
    hasher, offset = hashlib.sha256(), 0
    while piece := await handle.read(offset, _READ_BYTES):
        offset += len(piece)
        await to_thread.run_sync(hasher.update, piece)
    return hasher.digest()


async def _forget(handle: ReadHandle) -> None:
    if isinstance(handle, ReadsAnew):
        await handle.forget()


async def verify(handle: ReadHandle, *, keep: bool = False) -> Verified:
    """Read a file and compare; its bytes come from the storage, not from memory, and do not stay there.

    Args:
        keep: keep the digest that was found where there is none.
    """
    before = await handle.sha256()
    await _forget(handle)
    found = await read_sha256(handle)
    await _forget(handle)  # others have better use for the memory
    if before is None:
        if not await handle.is_unchanged():
            return Verified(Integrity.CHANGING, found, None)  # some of the bytes are older than others
        if keep:
            await handle.keep_sha256(found)
        return Verified(Integrity.UNKNOWN, found, None)
    if hmac.compare_digest(found, before):
        return Verified(Integrity.INTACT, found, before)
    after = await handle.sha256()
    return Verified(Integrity.DAMAGED if after == before else Integrity.CHANGING, found, before)
