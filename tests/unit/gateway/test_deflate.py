"""What is packed can be unpacked by everybody, whoever packed it."""

from __future__ import annotations

import gzip
import importlib
import io
import sys
import zlib
from collections.abc import Iterator
from types import ModuleType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.archive import deflate

PIECES = st.lists(st.binary(max_size=3000) | st.binary(max_size=20).map(lambda data: data * 500), max_size=10)


@pytest.fixture(scope="module")
def without_isal() -> Iterator[ModuleType]:
    """The module as it is on a machine for which there is no ISA-L."""
    before = sys.modules["isal"]
    sys.modules["isal"] = None
    try:
        yield importlib.reload(deflate)
    finally:
        sys.modules["isal"] = before
        importlib.reload(deflate)


def check(module: ModuleType, pieces: list[bytes]) -> None:
    data = b"".join(pieces)
    for begin, unpack in (
        (module.deflate, lambda found: zlib.decompress(found, -15)),
        (module.gzip, gzip.decompress),
    ):
        compressor = begin()
        assert unpack(b"".join([compressor.compress(piece) for piece in pieces]) + compressor.flush()) == data
    assert module.gunzipped(io.BytesIO(gzip.compress(data))).read() == data
    check_inflate(module, data)
    broken = bytearray(gzip.compress(data + b"more"))
    broken[10] = 0xFF
    with pytest.raises((*module.DEFLATE_ERRORS, OSError, EOFError)):
        module.gunzipped(io.BytesIO(bytes(broken))).read()
    crc = 0
    for piece in pieces:
        crc = module.crc32(piece, crc)
    assert crc == zlib.crc32(data)


def check_inflate(module: ModuleType, data: bytes) -> None:
    """Whoever unpacks is given no more at once than he asks for."""
    compressor, stream, found = module.deflate(), module.inflate(), []
    packed = compressor.compress(data) + compressor.flush() + b"behind"
    while not stream.eof:
        found.append(stream.decompress(stream.unconsumed_tail or packed, 1000))
        packed = b""
        assert len(found[-1]) <= 1000
    assert b"".join(found) == data


@given(PIECES)
def test_with_isal(pieces: list[bytes]) -> None:
    assert deflate.crc32 is not zlib.crc32
    check(deflate, pieces)


@given(PIECES)
def test_without(without_isal: ModuleType, pieces: list[bytes]) -> None:
    assert without_isal.crc32 is zlib.crc32
    check(without_isal, pieces)


def test_no_time_is_told() -> None:
    """The same bytes make the same archive."""
    compressor = deflate.gzip()
    head = compressor.compress(b"x") + compressor.flush()
    assert head[:8] == bytes.fromhex("1f8b080000000000")
