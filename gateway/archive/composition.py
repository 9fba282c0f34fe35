"""What is packed of what was found, and how it is named."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import msgpack

from backends.contract import EntryKind, FileStat
from domain.paths import ROOT
from gateway.archive.manifest import Manifest, Member, member_of
from gateway.archive.names import safe_names, shown

#: Name of the member that tells what could not be put in, unless another one has it.
_ERRORS, _TEXT = "_ERRORS", ".txt"
#: Members of which a tag is computed in one go.
_ROWS: Final = 1000


@dataclass(frozen=True, slots=True)
class Composition:
    """Members in the order of their names, and what could not be put in."""

    members: Sequence[Member]
    errors: Sequence[str]

    @classmethod
    def of(cls, manifest: Manifest, *, portable: bool) -> Composition:
        """What is packed of a manifest. Takes its time where there are many members.

        Args:
            portable: whatever program unpacks it must know what to do with all of it: there are no links, which not
                all programs agree on, and names are safe.
        """
        members = sorted(manifest.members, key=lambda member: member.name)
        # Whoever looks again may come upon them in another order, and is to make the same of it.
        errors = sorted({shown(line) for line in manifest.errors})
        if not portable:
            return cls(members, errors)
        links = [member for member in members if member.stat.kind is EntryKind.SYMLINK]
        if links:
            members = [member for member in members if member.stat.kind is not EntryKind.SYMLINK]
            errors += [f"{shown(member.name)}: a link to {shown(member.target)}" for member in links]
        safe = safe_names(member.name for member in members)
        if safe:
            members = [
                member._replace(name=safe[member.name]) if member.name in safe else member for member in members
            ]
        return cls(members, errors)

    def whole(self) -> Sequence[Member]:
        """The members and, if something could not be put in, the one that tells what."""
        return [*self.members, self.telling(self.errors)] if self.errors else self.members

    def telling(self, errors: Sequence[str]) -> Member:
        """The member that tells what could not be put in. Its name is no other one's."""
        data = "".join(f"{line}\n" for line in errors).encode()
        known = FileStat(EntryKind.FILE, len(data), 0o100644, 0, 0, 0)
        return member_of(self._free_name(), ROOT, known, data=data)

    def _free_name(self) -> str:
        # Not every file system tells large letters from small ones.
        taken = {member.name.partition("/")[0].casefold() for member in self.members}
        name, number = _ERRORS + _TEXT, 1
        while name.casefold() in taken:
            name = f"{_ERRORS}-{number}{_TEXT}"
            number += 1
        return name


def tag(members: Sequence[Member], salt: str) -> str:
    """Text that changes with anything that would change an archive's bytes. Takes its time.

    The time of the last change of attributes is part of it: it tells of bytes that were changed by somebody who set
    the other time back.
    """
    digest = hashlib.sha256(salt.encode())
    for start in range(0, len(members), _ROWS):
        rows = [
            (name, size, modified_ns, changed_ns, identity, mode, target, data)
            for name, _, (_, _, mode, modified_ns, changed_ns, identity), size, _, target, data in members[
                start : start + _ROWS
            ]
        ]
        # Times may be longer than any number of msgpack: there they are text.
        digest.update(msgpack.packb(rows, unicode_errors="surrogateescape", default=str))
    return digest.hexdigest()[:32]
