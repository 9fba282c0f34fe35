"""Reading tar archives, in all forms that are about: POSIX (ustar and pax), GNU, and those before. Blocking.

Only one header is in memory at a time, and only so much of what belongs to it: names of any length and lists of
holes stand in headers of their own, which may claim to be as long as they like.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import IO, Final

from domain.errors import Subject, TooLargeError
from gateway.archive.inflow import BrokenArchiveError, Inflow, Read
from gateway.archive.sparse import Sparse

_BLOCK: Final = 512
_END: Final = bytes(_BLOCK)
#: Bytes of all headers of one member.
_HEADERS_BYTES: Final = 64 << 10
#: Places in a header (POSIX.1-2001, pax, "ustar Interchange Format").
_NAME, _SIZE, _SUM, _MAGIC, _PREFIX = (
    slice(0, 100),
    slice(124, 136),
    slice(148, 156),
    slice(257, 263),
    slice(345, 500),
)
_KIND: Final = 156
_POSIX: Final = b"ustar\0"
#: Kinds of members: files, one of them with holes; directories, as which old packers, and some that are not, write
#: files whose names end on a slash.
_FILES: Final = b"0\0007S"
_HOLED, _DIRECTORY = ord("S"), ord("5")
#: What GNU tar adds: directories with a list of their names behind them, and labels of whole archives.
_LISTED_DIRECTORY, _LABEL = ord("D"), ord("V")
#: Kinds of headers that tell of the next member, or of all that follow.
_LONG_NAME, _LONG_LINK, _OF_NEXT, _OF_ALL = ord("L"), ord("K"), b"xX", ord("g")
_EXTENSIONS: Final = b"LKxXg"
#: Of a GNU file with holes: where its parts are told, whether more of them follow, its length with the holes.
_PARTS, _MORE, _REAL_SIZE = slice(386, 482), 482, slice(483, 495)
_NEXT_PARTS, _NEXT_MORE = slice(0, 504), 504
_PART_NUMBER: Final = 12
_HOLES: Final = b"GNU.sparse."
#: Fields of pax headers that are of use; only so many are remembered of those that hold for all that follow.
_FIELDS: Final = frozenset(
    (b"path", b"size", *(_HOLES + name for name in (b"name", b"realsize", b"size", b"map", b"major")))
)


@dataclass(frozen=True, slots=True)
class TarEntry:
    """One entry of an archive."""

    name: str
    is_file: bool
    is_directory: bool
    size: int
    read: Read


@dataclass(slots=True)
class _Told:
    """What headers tell of a member besides its own."""

    fields: dict[bytes, bytes] = field(default_factory=dict)
    #: Places and lengths of the parts of a file with holes, where each is a field of its own.
    parts: list[int] = field(default_factory=list)

    def take(self, data: bytes) -> None:
        """Take in a pax header: records of a length, a keyword and a value."""
        begin = 0
        while begin < len(data):
            length, space, _ = data[begin : begin + 20].partition(b" ")
            end = begin + _decimal(length)
            behind = begin + len(length) + len(space)
            if not space or not behind < end <= len(data) or data[end - 1] != ord("\n"):
                raise BrokenArchiveError("a header has a record that is none")
            name, _, value = data[behind : end - 1].partition(b"=")
            if name in (_HOLES + b"offset", _HOLES + b"numbytes"):
                self.parts.append(_decimal(value))
            elif name in _FIELDS:
                self.fields[name] = value
            begin = end

    def number(self, name: bytes, otherwise: int = 0) -> int:
        """A field that is a number."""
        return _decimal(self.fields[name]) if name in self.fields else otherwise


class Untar:
    """Reads an archive once, from its begin to its end."""

    def __init__(self, inflow: Inflow) -> None:
        self._inflow = inflow
        #: Fields that hold for all members from here on.
        self._of_all: dict[bytes, bytes] = {}
        #: Bytes the headers of a member may still have.
        self._room = 0

    def entries(self) -> Iterator[TarEntry]:
        """Its entries in their order; each is read before the next is asked for.

        Raises:
            BrokenArchiveError: no such archive, or not a whole one.
            TooLargeError: the headers of a member are longer than they have any reason to be.
        """
        while (found := self._header()) is not None:
            header, told = found
            kind = header[_KIND]
            if kind == _LABEL:
                continue
            name = told.fields.get(_HOLES + b"name") or told.fields.get(b"path") or _name(header)
            is_directory = kind in (_DIRECTORY, _LISTED_DIRECTORY) or (kind in _FILES and name.endswith(b"/"))
            is_file = kind in _FILES and not is_directory
            begin = self._inflow.offset
            sparse = self._sparse(header, told) if is_file else None
            if kind == _HOLED:
                begin = self._inflow.offset  # only the other lists of parts count among the bytes
            has_bytes = is_file or kind == _LISTED_DIRECTORY
            end = begin + (told.number(b"size", _number(header[_SIZE])) if has_bytes else 0)
            stored = end - self._inflow.offset
            if stored < 0 or (sparse is not None and sparse.there != stored):
                raise BrokenArchiveError("a file with holes is not as long as its parts")
            read = self._until(end)
            yield TarEntry(
                name.decode("utf-8", "surrogateescape"),
                is_file,
                is_directory,
                stored if sparse is None else sparse.size,
                read if sparse is None else sparse.filled(read),
            )
            self._inflow.skip(end + -end % _BLOCK - self._inflow.offset)
        self._inflow.drain()

    def _until(self, end: int) -> Read:
        return lambda most: self._inflow.read(min(most, end - self._inflow.offset))

    def _header(self) -> tuple[bytes, _Told] | None:
        """The header of the next member, and what is told of it besides; None: there is none."""
        self._room = _HEADERS_BYTES
        told = _Told(dict(self._of_all))
        is_told = False
        while (block := self._block()) is not None:
            kind = block[_KIND]
            if kind not in _EXTENSIONS:
                return block, told
            data = self._extension(_number(block[_SIZE]))
            is_told = is_told or kind != _OF_ALL
            if kind == _LONG_NAME:
                told.fields[b"path"] = data.partition(b"\0")[0]
            elif kind != _LONG_LINK:
                told.take(data)
            if kind == _OF_ALL:
                _Told(self._of_all).take(data)
        if is_told:
            raise BrokenArchiveError("it is cut")
        return None

    def _block(self) -> bytes | None:
        """The next header; None: here the archive ends."""
        block = self._inflow.read(_BLOCK)
        if block == _END:
            self._see_that_it_ends()
            return None
        if not block and self._inflow.offset:
            return None
        if len(block) != _BLOCK:
            raise BrokenArchiveError("it is cut" if self._inflow.offset > _BLOCK else "it is none that is known")
        self._take_room(_BLOCK)
        if not _is_header(block):
            raise BrokenArchiveError("it is none that is known, or damaged")
        return block

    def _see_that_it_ends(self) -> None:
        """Two blocks of zeros are an end; one may be, where nothing follows it, or be damage that hides members."""
        if self._inflow.read(_BLOCK).strip(b"\0"):
            raise BrokenArchiveError("a lone block of zeros is in it")

    def _extension(self, size: int) -> bytes:
        padded = size + -size % _BLOCK
        self._take_room(padded)
        return self._inflow.exactly(padded)[:size]

    def _take_room(self, count: int) -> None:
        self._room -= count
        if self._room < 0:
            message = f"a member has more than {_HEADERS_BYTES} bytes of headers"
            raise TooLargeError(message, subject=Subject.UPLOAD)

    def _sparse(self, header: bytes, told: _Told) -> Sparse | None:
        """The parts of a file with holes, however that is told; None: it has none."""
        if header[_KIND] == _HOLED:
            return Sparse(self._gnu_parts(header), _number(header[_REAL_SIZE]))
        real_size = told.number(_HOLES + b"realsize", told.number(_HOLES + b"size"))
        if told.parts:
            return Sparse(told.parts, real_size)
        listed = told.fields.get(_HOLES + b"map")
        if listed is not None:
            return Sparse([_decimal(number) for number in listed.split(b",")] if listed else [], real_size)
        if told.fields.get(_HOLES + b"major") == b"1":
            return Sparse(self._parts_before_bytes(), real_size)
        return None

    def _gnu_parts(self, header: bytes) -> list[int]:
        numbers, more = _part_numbers(header[_PARTS]), header[_MORE]
        while more:
            block = self._extension(_BLOCK)
            numbers += _part_numbers(block[_NEXT_PARTS])
            more = block[_NEXT_MORE]
        return numbers

    def _parts_before_bytes(self) -> list[int]:
        """The parts as they are told before a file's bytes: how many there are, and a line for each number."""
        lines, rest = list[bytes](), b""
        while not lines or len(lines) <= 2 * _decimal(lines[0]):
            *found, rest = (rest + self._extension(_BLOCK)).split(b"\n")
            lines += found
        return [_decimal(line) for line in lines[1 : 2 * _decimal(lines[0]) + 1]]


def begins_tar(file: IO[bytes]) -> bool:
    """Whether a file is a plain tar archive, by the block it begins with; leaves it at its begin."""
    file.seek(0)
    block = file.read(_BLOCK)
    file.seek(0)
    try:
        return len(block) == _BLOCK and _is_header(block)
    except BrokenArchiveError:
        return False


def _name(header: bytes) -> bytes:
    name = header[_NAME].partition(b"\0")[0]
    prefix = header[_PREFIX].partition(b"\0")[0] if header[_MAGIC] == _POSIX else b""
    return prefix + b"/" + name if prefix else name


def _is_header(block: bytes) -> bool:
    """Whether a block's checksum is right; some programs take bytes for signed numbers."""
    told, summed = _number(block[_SUM]), block[: _SUM.start] + b" " * 8 + block[_SUM.stop :]
    plain = sum(summed)
    return told == plain or told == plain - 256 * sum(byte >= 128 for byte in summed)


def _part_numbers(data: bytes) -> list[int]:
    fields = [data[at : at + _PART_NUMBER] for at in range(0, len(data), _PART_NUMBER)]
    used = [number for number, told in enumerate(fields) if told.strip(b"\0 ")]
    return [_number(told) for told in fields[: used[-1] + 1 if used else 0]]


def _number(told: bytes) -> int:
    """A number of a header: octal digits or, where those are too few, its bytes."""
    if told[0] == 0x80:
        return int.from_bytes(told[1:], "big")
    digits = told.partition(b"\0")[0].strip(b" ")
    if digits.strip(b"01234567"):
        raise BrokenArchiveError("a header has a number that is none")
    return int(digits or b"0", 8)


def _decimal(digits: bytes) -> int:
    if not digits.isdigit() or len(digits) > 20:
        raise BrokenArchiveError("a header has a number that is none")
    return int(digits)
