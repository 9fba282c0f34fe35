"""Checksums of request bodies: `Upload-Checksum` of tus 1.0.0 (extension checksum)."""

from __future__ import annotations

import base64
import binascii
import hashlib
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from backends.contract import Hasher
from domain.errors import ChecksumMismatchError, InvalidRequestError


class Crc32:
    """CRC-32 (ISO 3309) with the interface of `hashlib`; its digest is four bytes, the highest first."""

    def __init__(self, value: int = 0) -> None:
        self._value = value

    def update(self, data: bytes | memoryview, /) -> None:
        """Take in more bytes."""
        self._value = zlib.crc32(data, self._value)

    def digest(self) -> bytes:
        """The checksum of all bytes so far."""
        return self._value.to_bytes(4, "big")

    def copy(self) -> Crc32:
        """Another one that has seen the same bytes."""
        return Crc32(self._value)


#: md5 and sha1 find damage; they prove nothing against malice.
_HASHERS: Final[Mapping[str, Callable[[], Hasher]]] = {
    "sha1": lambda: hashlib.sha1(usedforsecurity=False),
    "sha256": hashlib.sha256,
    "sha512": hashlib.sha512,
    "md5": lambda: hashlib.md5(usedforsecurity=False),
    "crc32": Crc32,
}
#: As `Tus-Checksum-Algorithm` lists them.
ALGORITHMS: Final = tuple(_HASHERS)


@dataclass(frozen=True, slots=True)
class Checksum:
    """What a body is announced to be."""

    algorithm: str
    digest: bytes

    def hasher(self) -> Hasher:
        """Something that computes it."""
        return _HASHERS[self.algorithm]()

    def matches(self, data: bytes) -> bool:
        """Whether a body is what it is announced to be."""
        hasher = self.hasher()
        hasher.update(data)
        return hasher.digest() == self.digest

    def check(self, data: bytes, offset: int) -> None:
        """See that a body that goes to `offset` is what it is announced to be. Raises ChecksumMismatchError."""
        if not self.matches(data):
            raise ChecksumMismatchError(f"the body's {self.algorithm} is not the one announced", offset=offset)


def parse_checksum(request: Mapping[str, str]) -> Checksum | None:
    """Read Upload-Checksum: an algorithm and the Base64 of a digest; None if there is no such field.

    Raises:
        InvalidRequestError: an algorithm not listed, no Base64, or a digest of another length.
    """
    value = request.get("Upload-Checksum")
    if value is None:
        return None
    algorithm, _, encoded = value.strip().partition(" ")
    if algorithm not in _HASHERS:
        raise InvalidRequestError(f"one of {', '.join(ALGORITHMS)} is needed", field="Upload-Checksum")
    try:
        digest = base64.b64decode(encoded.strip(), validate=True)
    except (binascii.Error, ValueError) as error:
        raise InvalidRequestError("no Base64 behind the algorithm", field="Upload-Checksum") from error
    if len(digest) != len(_HASHERS[algorithm]().digest()):
        raise InvalidRequestError(f"{len(digest)} bytes are no {algorithm}", field="Upload-Checksum")
    return Checksum(algorithm, digest)
