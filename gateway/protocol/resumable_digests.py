"""Digest fields of requests (RFC 9530): what a body, or the whole of an upload, is announced to hash to.

Algorithms that are not known here are passed over (section 2); of those that are, all that are told are compared.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from backends.contract import Hasher
from domain.errors import InvalidRequestError
from gateway.protocol.checksum import Checksum
from gateway.protocol.fields import field_value
from gateway.protocol.resumable_fields import Value, read_dictionary

SHA256: Final = "sha-256"
SHA512: Final = "sha-512"
CONTENT: Final = "Content-Digest"
WHOLE: Final = "Repr-Digest"
#: How long a digest is, and what its algorithm is called by who computes it.
_BYTES: Final = {SHA256: 32, SHA512: 64}
_HASHED_BY: Final = {SHA256: "sha256", SHA512: "sha512"}

Digests = Mapping[str, bytes]


class ImpossibleDigestError(InvalidRequestError):
    """What is announced is no digest of its algorithm; `facts` say which, and in which field."""


def read_digests(request: Mapping[str, str], name: str) -> Digests:
    """What a field announces, by algorithm; nothing if it is not there.

    Raises:
        InvalidRequestError: it is no dictionary, or a digest is no byte sequence.
        ImpossibleDigestError: a digest is not as long as those of its algorithm are.
    """
    try:
        found = read_dictionary(field_value(request, name) or "")
    except ValueError as error:
        raise InvalidRequestError(str(error), field=name) from error
    return {key: _digest(name, key, found[key]) for key in sorted(found.keys() & _BYTES.keys())}


def _digest(name: str, key: str, value: Value) -> bytes:
    if not isinstance(value, bytes):
        raise InvalidRequestError(f"{key} is no byte sequence", field=name)
    if len(value) != _BYTES[key]:
        message = f"{len(value)} bytes are no digest of {key}"
        raise ImpossibleDigestError(message, field=name, algorithm=key)
    return value


def byte_sequence(data: bytes) -> str:
    """Bytes as a structured field writes them (RFC 9651 section 4.1.8)."""
    return f":{base64.b64encode(data).decode()}:"


@dataclass(frozen=True, slots=True)
class ContentDigest(Checksum):
    """All that is announced of a body; it remembers what was computed, so that it can be told what differs."""

    announced: Digests
    computed: list[Mapping[str, Hasher]] = field(default_factory=list, compare=False)

    def hasher(self) -> Hasher:
        """Something that computes all of them."""
        parts = {key: Checksum(_HASHED_BY[key], digest).hasher() for key, digest in self.announced.items()}
        self.computed.append(parts)
        return _Several(list(parts.values()))

    def differing(self) -> list[str]:
        """Algorithms by which the body that was hashed last is another one than was announced."""
        found = self.computed[-1] if self.computed else {}
        return [key for key, hasher in found.items() if hasher.digest() != self.announced[key]]


def content_digest(request: Mapping[str, str]) -> ContentDigest | None:
    """What a request's body is announced to hash to; None: nothing to compare with. Raises as `read_digests`."""
    announced = read_digests(request, CONTENT)
    return ContentDigest(" and ".join(announced), b"".join(announced.values()), announced) if announced else None


class _Several:
    """Hashers that see the same bytes, as one."""

    def __init__(self, parts: list[Hasher]) -> None:
        self._parts = parts

    def update(self, data: bytes | memoryview, /) -> None:
        """Take in more bytes."""
        for part in self._parts:
            part.update(data)

    def digest(self) -> bytes:
        """The digests of all, one behind the other."""
        return b"".join(part.digest() for part in self._parts)

    def copy(self) -> _Several:
        """Others that have seen the same bytes."""
        return _Several([part.copy() for part in self._parts])
