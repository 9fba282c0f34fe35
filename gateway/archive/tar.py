"""The tar format: POSIX.1-2001 (pax), as `tarfile` of Python writes it."""

from __future__ import annotations

import stat
import tarfile
from typing import Final

from backends.contract import EntryKind
from gateway.archive.manifest import Member

_BLOCK: Final = 512
_TYPES: Final = {
    EntryKind.FILE: tarfile.REGTYPE,
    EntryKind.DIRECTORY: tarfile.DIRTYPE,
    EntryKind.SYMLINK: tarfile.SYMTYPE,
}


class Tar:
    """Every byte is known from names, sizes and times: nothing has to be read to know what comes before it."""

    media_type = "application/x-tar"
    needs_crc = False

    def head(self, member: Member) -> bytes:
        """The header before a member's bytes."""
        info = tarfile.TarInfo(member.name.rstrip("/"))
        info.type = _TYPES[member.stat.kind]
        info.size = member.size
        info.mode = stat.S_IMODE(member.stat.mode)
        info.mtime = member.modified
        info.linkname = member.target
        return info.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape")

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
