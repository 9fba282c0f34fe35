"""Archives of some KiB that claim to be very much more."""

from __future__ import annotations

import bz2
import io
import struct
import tarfile
import zipfile
from collections.abc import Callable, Iterable
from typing import Final

import zstandard
from harness.archives import tar_of

#: What they become, for whoever believes them.
BYTES: Final = 600 << 20
_PIECE: Final = 1 << 20


def _zst(pieces: Iterable[bytes]) -> bytes:
    compressor = zstandard.ZstdCompressor().compressobj()
    return b"".join([compressor.compress(piece) for piece in pieces]) + compressor.flush()


def _tar_head(kind: bytes, size: int) -> bytes:
    info = tarfile.TarInfo("x")
    info.type, info.size = kind, size
    return info.tobuf(tarfile.GNU_FORMAT)


def _zeros(count: int = BYTES) -> Iterable[bytes]:
    return (bytes(_PIECE) for _ in range(count // _PIECE))


def long_header(kind: bytes) -> bytes:
    """A tar archive with a header that says it is hundreds of MiB long, and is."""
    return _zst([_tar_head(kind, BYTES), *_zeros()])


def endless_holes() -> bytes:
    """A tar archive whose list of the parts of a file goes on and on."""
    head = bytearray(_tar_head(b"S", 0))
    head[482] = 1
    head[148:156] = b" " * 8
    head[148:156] = b"%06o\0 " % sum(head)
    more = (b"%011o\0" % 1) * 42 + b"\1" + bytes(7)
    return _zst([bytes(head), *(more * (_PIECE // len(more)) for _ in range(BYTES // _PIECE))])


def headers_for_all() -> bytes:
    """A tar archive in which every member comes with other headers that hold for all that follow."""

    def pieces() -> Iterable[bytes]:
        for number in range(9000):
            record = b"k%d=" % number + b"v" * 60_000 + b"\n"
            length = len(record) + 6
            record = b"%d %s" % (length, record)
            yield _tar_head(b"g", len(record)) + record + bytes(-len(record) % 512) + _tar_head(b"0", 0)

    return _zst(pieces())


def fields_for_all() -> bytes:
    """A tar archive in which what holds for all that follow is told by ever more names; at its end is a link."""

    def pieces() -> Iterable[bytes]:
        for number in range(200):
            names = (b"GNU.sparse.%08x.%04x" % (number, field) for field in range(1900))
            records = b"".join(b"%d %s=\n" % (len(name) + 5, name) for name in names)
            yield _tar_head(b"g", len(records)) + records + bytes(-len(records) % 512) + _tar_head(b"0", 0)
        yield _tar_head(b"2", 0)

    return _zst(pieces())


def one_block() -> bytes:
    """A tar archive of which every block of bzip2 is a hundred thousand times as long as it is packed."""
    return bz2.compress(tar_of({"a": bytes(BYTES // 4)}))


def behind_the_end() -> bytes:
    """A tar archive behind whose end very much more comes."""
    return _zst([tar_of({"a": b"1"}), *_zeros()])


def endless_directory() -> bytes:
    """A ZIP archive whose end tells of one entry, and whose directory has very many."""
    entry = struct.pack("<4sHHHHHHIIIHHHHHII", b"PK\1\2", 20, 20, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0) + b"a"
    count = 400_000
    directory = entry * count
    return b"PK\3\4" + directory + struct.pack("<4sHHHHIIH", b"PK\5\6", 0, 0, 1, 1, len(directory), 4, 0)


def squeezed_member() -> bytes:
    """A ZIP archive with a member that says it has ten bytes."""
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_BZIP2) as archive:
        archive.writestr("a", bytes(BYTES // 4))
    data = bytearray(target.getvalue())
    for mark, at in ((b"PK\3\4", 22), (b"PK\1\2", 24)):
        place = data.index(mark) + at
        data[place : place + 4] = (10).to_bytes(4, "little")
    return bytes(data)


BOMBS: Final[dict[str, Callable[[], bytes]]] = {
    "pax": lambda: long_header(b"x"),
    "global pax": lambda: long_header(b"g"),
    "long name": lambda: long_header(b"L"),
    "long link": lambda: long_header(b"K"),
    "holes": endless_holes,
    "headers for all": headers_for_all,
    "fields for all": fields_for_all,
    "bzip2": one_block,
    "behind the end": behind_the_end,
    "directory": endless_directory,
    "member": squeezed_member,
}
