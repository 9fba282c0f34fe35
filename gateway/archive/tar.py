"""The tar format: POSIX.1-2001 (pax), as `tarfile` of Python writes it."""

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

    def head_length(self, member: Member) -> int:
        """Length of the header: one block, unless something of it does not fit into the old format."""
        name = member.name
        plain = (
            name.isascii() and member.target.isascii() and len(name) < _OLD_NAME and len(member.target) < _OLD_NAME
        )
        if plain and member.size < _OLD_SIZE and 0 <= member.modified < _OLD_SIZE:
            return _BLOCK
        return len(self.head(member))

    def tail_length(self, member: Member) -> int:
        """Length of the padding."""
        return -member.size % _BLOCK

    def entry_length(self, member: Member, offset: int) -> int:
        """Length of an entry of the directory at the end."""
        del member, offset
        return 0

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
