"""Reading ZIP archives (PKWARE APPNOTE 6.3.10): stored, deflated, packed by bzip2 or LZMA. Blocking, for threads.

The end record is looked at first, then the directory an entry at a time; of each only its name and its numbers are
kept, until all members were read.
"""

from __future__ import annotations

import bz2
import io
import lzma
import stat
import struct
from collections.abc import Iterator
from contextlib import suppress
from enum import IntEnum
from typing import IO, Final, NamedTuple

from domain.errors import Subject, TooLargeError
from gateway.archive.deflate import crc32, inflate
from gateway.archive.inflow import TOO_MUCH_MEMORY, WINDOW_BYTES, BrokenArchiveError, Read, Squeezed

_END, _END_SIGN = struct.Struct("<4sHHHHIIH"), b"PK\5\6"
_LOCATOR, _LOCATOR_SIGN = struct.Struct("<4sIQI"), b"PK\6\7"
_WIDE_END, _WIDE_END_SIGN = struct.Struct("<4sQHHIIQQQQ"), b"PK\6\6"
_ENTRY, _ENTRY_SIGN = struct.Struct("<4sHHHHHHIIIHHHHHII"), b"PK\1\2"
_HEAD, _HEAD_SIGN = struct.Struct("<4sHHHHHIIIHH"), b"PK\3\4"
_FIELD: Final = struct.Struct("<HH")
_WIDE_FIELD: Final = 1
#: A name in UTF-8 (section 4.6.9): the version, and the checksum of the name it stands for, are before it.
_NAME_FIELD, _NAME_HEAD, _NAME_VERSION = 0x7075, struct.Struct("<BI"), 1
_COMMENT_BYTES: Final = 0xFFFF
_WIDE: Final = 0xFFFFFFFF
_WIDE_COUNT: Final = 0xFFFF
_ENCRYPTED, _UTF8 = 0x2041, 0x800
#: Before bytes packed by LZMA: the packer's version, the length of what follows, the coder's numbers, its memory.
_LZMA_HEAD: Final = struct.Struct("<HHBI")
#: Systems by number: Unix, and macOS, which is one; MS-DOS, and mostly Windows.
_UNIX: Final = (3, 19)
_FAT: Final = 0
_MODE_SHIFT: Final = 16
#: Files and directories; of bytes that came through a pipe, Info-ZIP says that they are one.
_PLAIN: Final = (0, stat.S_IFREG, stat.S_IFDIR, stat.S_IFIFO)
#: Packed bytes looked at in one go.
_PACKED_BYTES: Final = 64 << 10


class Method(IntEnum):
    """How bytes of members are packed."""

    STORED = 0
    DEFLATED = 8
    BZIP2 = 12
    LZMA = 14


class ZipEntry(NamedTuple):
    """What the directory says of one entry."""

    name: bytes
    #: By which system it was made.
    system: int
    flags: int
    method: int
    crc: int
    packed: int
    size: int
    #: What its system says of it.
    mode: int
    #: Where its head begins.
    offset: int
    #: Its name once more, in UTF-8, where a field says what letters are meant; else nothing.
    meant: bytes

    @property
    def text(self) -> str:
        """Its name."""
        name = self._decoded
        return name.replace("\\", "/") if self._has_other_slashes else name

    @property
    def _has_other_slashes(self) -> bool:
        """Whether backslashes in it are slashes: names on FAT have none, and old packers of Windows write them."""
        is_sure = self.flags & _UTF8 or self.meant or self.name.isascii()  # else such a byte may be half a letter
        return self.system == _FAT and bool(is_sure) and "/" not in self._decoded

    @property
    def _decoded(self) -> str:
        if self.flags & _UTF8:
            return self.name.decode("utf-8", "surrogateescape")
        if self.meant:
            return self.meant.decode()
        if self.system in _UNIX:
            with suppress(UnicodeDecodeError):
                # Info-ZIP writes names as they are there, and does not say so.
                return self.name.decode()
        return self.name.decode("cp437")

    @property
    def is_directory(self) -> bool:
        """Whether it is a directory."""
        return self.text.endswith("/")

    @property
    def is_encrypted(self) -> bool:
        """Whether it, or what is told of it, can be read only by who has a password."""
        return self.flags & _ENCRYPTED != 0

    @property
    def is_plain(self) -> bool:
        """Whether it is a file or a directory."""
        return stat.S_IFMT(self.mode) in _PLAIN


class Unzip:
    """Reads one archive.

    Args:
        most: entries it may have.
        most_name_bytes: how long all their names together may be.
    """

    def __init__(self, file: IO[bytes], size: int, most: int, most_name_bytes: int) -> None:
        self._file = file
        self._size = size
        self._most = most
        self._most_name_bytes = most_name_bytes

    def entries(self) -> Iterator[ZipEntry]:
        """What its directory says, in that order.

        Raises:
            BrokenArchiveError: no such archive, or not a whole one.
            TooLargeError: it has too many entries.
        """
        end, count, length, told_begin = self._end()
        if count > self._most:
            raise self._too_many()
        begin = end - length
        # Something may stand before an archive, such as a program that unpacks it.
        before = begin - told_begin
        if begin < 0 or before < 0:
            raise BrokenArchiveError("its directory does not lie in it")
        self._file.seek(begin)
        # Read to its end first: members lie elsewhere, and going to and fro would read all over again.
        entries = list(self._directory(length, before))
        if (len(entries) - count) & _WIDE_COUNT:
            raise BrokenArchiveError("its directory has not as many entries as it says")
        yield from entries

    def opened(self, entry: ZipEntry) -> Read:
        """The bytes of a member. Raises BrokenArchiveError, also when they are read."""
        if entry.offset > self._size:
            raise BrokenArchiveError("its directory tells of members that are not there")
        self._file.seek(entry.offset)
        head = self._exactly(_HEAD.size)
        sign, _, flags, _, _, _, _, _, _, name_length, extra_length = _HEAD.unpack(head)
        if sign != _HEAD_SIGN or self._exactly(name_length) != entry.name:
            raise BrokenArchiveError("its directory tells of members that are not there")
        if flags & _ENCRYPTED:
            raise BrokenArchiveError("its members are encrypted, its directory is not")
        self._file.seek(extra_length, io.SEEK_CUR)
        return _checked(_unpacked(entry, self._file), entry.crc)

    def _end(self) -> tuple[int, int, int, int]:
        """Where the directory ends; its number of entries, its length, and where it says to begin."""
        tail = min(self._size, _END.size + _COMMENT_BYTES)
        self._file.seek(self._size - tail)
        data = self._exactly(tail)
        at = data.rfind(_END_SIGN)
        if at < 0 or len(data) - at < _END.size:
            raise BrokenArchiveError("it has no end")
        _, _, _, _, count, length, begin, _ = _END.unpack_from(data, at)
        end = self._size - tail + at
        # Packers that cannot know how long it will be write these beside numbers of 32 bits that would do.
        return self._wide_end(end) or (end, count, length, begin)

    def _wide_end(self, end: int) -> tuple[int, int, int, int] | None:
        """The same as 64 bits tell it; None: they do not."""
        at = end - _LOCATOR.size - _WIDE_END.size
        if at < 0:
            return None
        self._file.seek(at)
        data = self._exactly(_WIDE_END.size + _LOCATOR.size)
        if data[_WIDE_END.size :][:4] != _LOCATOR_SIGN or data[:4] != _WIDE_END_SIGN:
            return None
        *_, count, length, begin = _WIDE_END.unpack_from(data)
        return at, count, length, begin

    def _directory(self, length: int, before: int) -> Iterator[ZipEntry]:
        found = name_bytes = 0
        while length > 0:
            found += 1
            if found > self._most:
                raise self._too_many()
            entry, used = self._entry(before)
            name_bytes += len(entry.name) + len(entry.meant)
            if name_bytes > self._most_name_bytes:
                raise TooLargeError("its names are too long to be those of files", subject=Subject.UPLOAD)
            length -= used
            yield entry
        if length < 0:
            raise BrokenArchiveError("its directory is longer than it says")

    def _entry(self, before: int) -> tuple[ZipEntry, int]:
        """The next entry of the directory, and its length there."""
        sign, made_by, _, flags, method, _, _, *more = _ENTRY.unpack(self._exactly(_ENTRY.size))
        crc, packed, size, name_length, extra_length, comment_length, _, _, attributes, offset = more
        if sign != _ENTRY_SIGN:
            raise BrokenArchiveError("its directory has something else in it")
        name = self._exactly(name_length)
        extra = self._exactly(extra_length)
        wide = _wide_numbers(extra)
        if wide is not None:
            size, packed, offset = (next(wide) if told == _WIDE else told for told in (size, packed, offset))
        self._file.seek(comment_length, io.SEEK_CUR)
        meant = b"" if flags & _UTF8 else _name_meant(extra, name)
        mode = attributes >> _MODE_SHIFT
        entry = ZipEntry(name, made_by >> 8, flags, method, crc, packed, size, mode, before + offset, meant)
        return entry, _ENTRY.size + name_length + extra_length + comment_length

    def _exactly(self, count: int) -> bytes:
        data = self._file.read(count)
        if len(data) != count:
            raise BrokenArchiveError("it is cut")
        return data

    def _too_many(self) -> TooLargeError:
        return TooLargeError(f"more than {self._most} entries", subject=Subject.UPLOAD)


def _fields(extra: bytes) -> Iterator[tuple[int, bytes]]:
    """The extra fields of an entry, by their kinds."""
    at = 0
    while at + _FIELD.size <= len(extra):
        kind, length = _FIELD.unpack_from(extra, at)
        at += _FIELD.size
        yield kind, extra[at : at + length]
        at += length


def _wide_numbers(extra: bytes) -> Iterator[int] | None:
    """The numbers 32 bits do not hold, in the order of those that say so; None: there are none.

    Then all are what they say: Info-ZIP has 32 bits hold the largest number that fits there as well.
    """
    return next((_numbers(data) for kind, data in _fields(extra) if kind == _WIDE_FIELD), None)


def _numbers(data: bytes) -> Iterator[int]:
    yield from (number for (number,) in struct.iter_unpack("<Q", data[: len(data) // 8 * 8]))
    raise BrokenArchiveError("a number is missing in its directory")


def _name_meant(extra: bytes, name: bytes) -> bytes:
    """The name in UTF-8 a field tells; nothing if there is none, or it was made for another name."""
    for kind, data in _fields(extra):
        if kind == _NAME_FIELD and len(data) > _NAME_HEAD.size:
            version, crc = _NAME_HEAD.unpack_from(data)
            meant = data[_NAME_HEAD.size :]
            if version == _NAME_VERSION and crc == crc32(name) and _is_utf8(meant):
                return meant
    return b""


def _is_utf8(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


def _unpacked(entry: ZipEntry, file: IO[bytes]) -> Read:
    left = entry.packed

    def packed(count: int) -> bytes:
        nonlocal left
        data = file.read(min(count, left))
        left -= len(data)
        return data

    match entry.method:
        case Method.STORED:
            return packed
        case Method.DEFLATED:
            return _inflated(packed)
        case Method.BZIP2:
            return _unsqueezed(packed, bz2.BZ2Decompressor())
        case Method.LZMA:
            return _unsqueezed(packed, _lzma(packed(_LZMA_HEAD.size)))
    raise BrokenArchiveError(f"its members are packed in a way (number {entry.method}) that is not known here")


def _inflated(packed: Read) -> Read:
    stream = inflate()

    def read(count: int) -> bytes:
        while not stream.eof:
            data = stream.unconsumed_tail or packed(_PACKED_BYTES)
            found = stream.decompress(data, count)
            if found or not data:
                return found
        return b""

    return read


def _unsqueezed(packed: Read, stream: Squeezed) -> Read:
    def read(count: int) -> bytes:
        while not stream.eof:
            data = packed(_PACKED_BYTES) if stream.needs_input else b""
            found = stream.decompress(data, count)
            if found or (stream.needs_input and not data):
                return found
        return b""

    return read


def _lzma(head: bytes) -> Squeezed:
    """What unpacks bytes that such a head stands before."""
    if len(head) != _LZMA_HEAD.size:
        raise BrokenArchiveError("it is cut")
    _, _, numbers, memory = _LZMA_HEAD.unpack(head)
    if memory > WINDOW_BYTES:
        raise BrokenArchiveError(TOO_MUCH_MEMORY)
    coder = {"id": lzma.FILTER_LZMA1, "lc": numbers % 9, "lp": numbers // 9 % 5, "pb": numbers // 45}
    return lzma.LZMADecompressor(lzma.FORMAT_RAW, filters=[{**coder, "dict_size": memory}])


def _checked(read: Read, crc: int) -> Read:
    """Bytes that are held against their checksum at their end."""
    so_far = 0

    def checked(count: int) -> bytes:
        nonlocal so_far
        data = read(count)
        if not data and so_far != crc:
            raise BrokenArchiveError("a member is damaged")
        so_far = crc32(data, so_far)
        return data

    return checked
