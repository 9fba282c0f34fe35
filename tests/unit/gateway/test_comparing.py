"""Bodies that are read and not stored."""

from __future__ import annotations

import hashlib
from itertools import count

import pytest

from gateway.uploads.comparing import read_through

pytestmark = pytest.mark.anyio


async def test_a_body_without_end_is_read_only_until_it_is_too_long() -> None:
    reads = count()

    async def read() -> bytes:
        assert next(reads) < 100, "it was too long by then"
        return b"x" * 10

    assert await read_through(read, 95) == 100


async def test_a_body_is_hashed_to_its_last_byte() -> None:
    pieces = iter([b"x" * (1 << 20), b"y", b""])
    hasher = hashlib.sha256()

    async def read() -> bytes:
        return next(pieces)

    assert await read_through(read, 2 << 20, [hasher]) == (1 << 20) + 1
    assert hasher.digest() == hashlib.sha256(b"x" * (1 << 20) + b"y").digest()
