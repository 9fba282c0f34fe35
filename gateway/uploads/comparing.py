"""Bodies whose bytes are there already: they are compared, and not stored."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, TypeAlias

from anyio import to_thread

from backends.contract import Hasher
from domain.errors import ChecksumMismatchError, TooLargeError
from gateway.protocol.tus import Accept

#: Gives the next bytes of a body; empty at its end. Raises ConnectionError if the sender is gone or stands still.
ReadBody: TypeAlias = Callable[[], Awaitable[bytes]]

#: Bytes gathered before a thread is bothered with them.
_BATCH_BYTES: Final = 1 << 20


async def read_through(read: ReadBody, most: int, hashers: Sequence[Hasher] = ()) -> int:
    """Read a body to its end, or until it is longer than `most`; returns its length then.

    Args:
        hashers: fed with its bytes, on a thread.
    """
    size, batch, waiting = 0, list[bytes](), 0
    while size <= most and (piece := await read()):
        size += len(piece)
        if hashers:
            batch.append(piece)
            waiting += len(piece)
        if waiting >= _BATCH_BYTES:
            await to_thread.run_sync(_feed, hashers, batch)
            batch, waiting = [], 0
    if batch:
        await to_thread.run_sync(_feed, hashers, batch)
    return size


def _feed(hashers: Sequence[Hasher], batch: Sequence[bytes]) -> None:
    for piece in batch:
        for hasher in hashers:
            hasher.update(piece)


async def compare(read: ReadBody, accept: Accept, sha256: str) -> str:
    """Read a body to its end and see that it is what it was announced to be; returns its SHA-256.

    Args:
        sha256: of the whole upload, in hexadecimal digits; empty: nobody has said.

    Raises:
        TooLargeError: more bytes than the upload has.
        ChecksumMismatchError: other bytes.
        ConnectionError: the sender is gone or stands still.
    """
    checksum, whole = accept.checksum, hashlib.sha256()
    announced = None if checksum is None else checksum.hasher()
    count = await read_through(read, accept.limit, [whole] if announced is None else [whole, announced])
    if count > accept.limit:
        raise TooLargeError("more bytes than the upload's length")
    if checksum is not None and announced is not None and announced.digest() != checksum.digest:
        raise ChecksumMismatchError(f"the body's {checksum.algorithm} is not the one announced", offset=0)
    if sha256 and count == accept.limit and whole.hexdigest() != sha256:
        raise ChecksumMismatchError("the file is not the one its sha256 was announced of", offset=0)
    return whole.hexdigest()
