"""Where a file was to be, in as few bytes as can be: they stand in a name on the volume."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Self
from uuid import UUID

from domain.errors import PenstockError
from domain.foreign_names import read_path, sendable
from domain.ids import QuotaScopeId, ScopeKind, VFolderId
from domain.paths import RelativePath

_ID_BYTES: Final = 16
#: How names stand as bytes, as the system has them.
_BYTES: Final = ("utf-8", "surrogateescape")
_KINDS: Final = {ScopeKind.USER: b"u", ScopeKind.PROJECT: b"p", None: b"-"}
_BY_LETTER: Final = {letter: kind for kind, letter in _KINDS.items()}


@dataclass(frozen=True, slots=True)
class Brief:
    """A place in a folder."""

    folder: VFolderId
    path: RelativePath

    def encode(self) -> bytes:
        """As bytes: the kind of scope, its id if there is one, the folder's id, the path."""
        scope = self.folder.scope
        ids = (scope.uuid.bytes if scope else b"") + self.folder.uuid.bytes
        # What is told of a byte that is part of no character takes four.
        return _KINDS[scope.kind if scope else None] + ids + "/".join(self.path.parts).encode(*_BYTES)

    @classmethod
    def decode(cls, data: bytes) -> Self | None:
        """Read what `encode` wrote; None if it is something else."""
        try:
            kind, rest = _BY_LETTER[data[:1]], data[1:]
            scope = None
            if kind is not None:
                scope, rest = QuotaScopeId(kind, UUID(bytes=rest[:_ID_BYTES])), rest[_ID_BYTES:]
            folder = VFolderId(scope, UUID(bytes=rest[:_ID_BYTES]))
            return cls(folder, read_path(sendable(rest[_ID_BYTES:].decode(*_BYTES))))
        except (ValueError, KeyError, PenstockError):
            return None
