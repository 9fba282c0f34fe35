"""The tar format: POSIX.1-2001 (pax), as `tarfile` of Python writes it.

Headers of members whose names and numbers fit into one block, which most do, are written here, to the same bytes:
of the time an archive of many small files takes, `tarfile` would have a third.
"""

from __future__ import annotations

import stat
import tarfile
from typing import Final

from backends.contract import EntryKind
from gateway.archive.manifest import Member

_BLOCK: Final = 512
#: Names shorter than this, and numbers less than this, fit into one block.
_OLD_NAME: Final = 100
_OLD_SIZE: Final = 8**11
_TYPES: Final = {
    EntryKind.FILE: tarfile.REGTYPE,
    EntryKind.DIRECTORY: tarfile.DIRTYPE,
    EntryKind.SYMLINK: tarfile.SYMTYPE,
}


#: Where a header's parts begin (POSIX.1-2001, pax, "ustar Interchange Format").
_MODE, _OWNERS, _SIZE, _SUM, _TYPE, _LINK, _MAGIC = 100, 108, 124, 148, 156, 157, 257
_SPACES: Final = b" " * 8


class _Template:
    """What is the same in the headers of all members of a kind, as `tarfile` writes it."""

    def __init__(self, kind: bytes) -> None:
        info = tarfile.TarInfo()
        info.type = kind
        block = info.tobuf(tarfile.PAX_FORMAT)
        self._owners = block[_OWNERS:_SIZE]
        self._kind = block[_TYPE:_LINK]
        self._rest = block[_MAGIC:]
        #: Part of every checksum, which is taken with spaces in its own place.
        self._sum = sum(self._owners) + sum(self._kind) + sum(self._rest) + sum(_SPACES)

    def head(self, member: Member) -> bytes:
        """The header of a member, which fits into one block."""
        name, link = member.name.encode("ascii"), member.target.encode("ascii")
        mode = b"%07o\0" % stat.S_IMODE(member.stat.mode)
        numbers = b"%011o\0%011o\0" % (member.size, member.modified)
        checksum = self._sum + sum(name) + sum(link) + sum(mode) + sum(numbers)
        return b"".join(
            (
                name.ljust(_MODE, b"\0"),
                mode,
                self._owners,
                numbers,
                b"%06o\0 " % checksum,
                self._kind,
                link.ljust(_MAGIC - _LINK, b"\0"),
                self._rest,
            )
        )


_TEMPLATES: Final = {kind: _Template(written) for kind, written in _TYPES.items()}


class Tar:
    """Every byte is known from names, sizes and times: nothing has to be read to know what comes before it."""

    media_type = "application/x-tar"
    needs_crc = False

    def head(self, member: Member) -> bytes:
        """The header before a member's bytes."""
        if _is_plain(member):
            return _TEMPLATES[member.stat.kind].head(member)
        info = tarfile.TarInfo(member.name.rstrip("/"))
        info.type = _TYPES[member.stat.kind]
        info.size = member.size
        info.mode = stat.S_IMODE(member.stat.mode)
        info.mtime = member.modified
        info.linkname = member.target
        return info.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape")

    def lengths(self, member: Member, offset: int) -> tuple[int, int, int]:
        """Lengths of the header, one block unless something of it does not fit there, and of the padding."""
        del offset
        return _BLOCK if _is_plain(member) else len(self.head(member)), -member.size % _BLOCK, 0

    def tail(self, member: Member, crc: int) -> bytes:
        """The padding behind a member's bytes."""
        del crc
        return bytes(-member.size % _BLOCK)

    def entry(self, member: Member, offset: int, crc: int) -> bytes:
        """What a directory at the end says of a member: there is none."""
        del member, offset, crc
        return b""

    def end(self, count: int, begin: int, size: int) -> bytes:
        """The end of the archive."""
        del count, begin, size
        return bytes(2 * _BLOCK)


def _is_plain(member: Member) -> bool:
    """Whether all there is to say of a member fits into one block."""
    name, _, _, size, modified, target, _ = member
    return (
        len(name) < _OLD_NAME
        and len(target) < _OLD_NAME
        and name.isascii()
        and target.isascii()
        and size < _OLD_SIZE
        and 0 <= modified < _OLD_SIZE
    )
