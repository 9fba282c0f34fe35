"""Bodies whose bytes are there already: they are compared, and not stored."""

from __future__ import annotations

import hashlib

from domain.errors import ChecksumMismatchError, TooLargeError
from gateway.protocol.tus import Accept
from gateway.transfer.receive import Body


async def compare(body: Body, accept: Accept, sha256: str) -> None:
    """Read a body to its end and see that it is what it was announced to be.

    Args:
        sha256: of the whole upload, in hexadecimal digits; empty: nobody has said.

    Raises:
        TooLargeError: more bytes than the upload has.
        ChecksumMismatchError: other bytes.
        ConnectionError: the sender is gone or stands still.
    """
    checksum = accept.checksum
    announced = checksum.hasher() if checksum is not None else None
    whole = hashlib.sha256()
    count = 0
    while piece := await body.read():
        count += len(piece)
        if count > accept.limit:
            raise TooLargeError("more bytes than the upload's length")
        whole.update(piece)
        if announced is not None:
            announced.update(piece)
    if checksum is not None and announced is not None and announced.digest() != checksum.digest:
        raise ChecksumMismatchError(f"the body's {checksum.algorithm} is not the one announced", offset=0)
    if sha256 and count == accept.limit and whole.hexdigest() != sha256:
        raise ChecksumMismatchError("the file is not the one its sha256 was announced of", offset=0)
