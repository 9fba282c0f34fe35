"""Identifiers of volumes, quota scopes and virtual folders, and the ids of commands and events.

Rules: a value that exists is valid; `X.parse(str(x)) == x` for every x.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import StrEnum
from functools import lru_cache
from typing import Final, Self, final
from uuid import UUID, uuid5

from domain.errors import InvalidRequestError
from domain.parsed import TextForm

_VOLUME_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
#: Shape of a quota scope id on the wire of Backend.AI, checked before its parts.
SCOPE_PATTERN: Final = r"^[A-Za-z0-9]+(?:[_-][A-Za-z0-9]+)*:[A-Za-z0-9]+(?:[_-][A-Za-z0-9]+)*$"
_SCOPE: Final = re.compile(SCOPE_PATTERN)
#: Ids whose texts need not be read again: the same folders are asked for over and over.
_REMEMBERED: Final = 4096


class VolumeName(TextForm, str):
    """Name of a configured volume: 1 to 64 of letters, digits, `.`, `_`, `-`, not starting with a sign.

    It is part of Redis keys and of index members, hence no braces, `@`, `/` or spaces.
    """

    __slots__ = ()

    def __new__(cls, text: str) -> Self:
        if not _VOLUME_NAME.fullmatch(text):
            raise InvalidRequestError(f"not a volume name: {text[:80]!r}", field="volume")
        return super().__new__(cls, text)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a volume name; raises InvalidRequestError."""
        return cls(text)


class ScopeKind(StrEnum):
    """Who owns a quota scope."""

    USER = "user"
    PROJECT = "project"


def _uuid(text: str, field: str) -> UUID:
    """Accept 32 hexadecimal digits or the dashed form; nothing else UUID() would swallow."""
    if len(text) not in (32, 36) or not re.fullmatch(r"[0-9A-Fa-f-]+", text):
        raise InvalidRequestError(f"not a UUID: {text[:80]!r}", field=field)
    try:
        return UUID(text)
    except ValueError as error:
        raise InvalidRequestError(f"not a UUID: {text[:80]!r}", field=field) from error


@final
@dataclass(frozen=True, slots=True, order=True)
class QuotaScopeId(TextForm):
    """Owner of folders and bearer of a quota: `user:<uuid>` or `project:<uuid>`."""

    kind: ScopeKind
    uuid: UUID
    _text: str = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_text", f"{self.kind.value}:{self.uuid}")

    @classmethod
    def parse(cls, text: str) -> QuotaScopeId:
        """Read `user:<uuid>` or `project:<uuid>`; raises InvalidRequestError."""
        return _scope_of(text)

    def __str__(self) -> str:
        return self._text

    @property
    def directory(self) -> str:
        """Name of the scope's directory on a volume: 32 hexadecimal digits, without the kind."""
        return self.uuid.hex


@lru_cache(_REMEMBERED)
def _scope_of(text: str) -> QuotaScopeId:
    if not _SCOPE.fullmatch(text):
        raise InvalidRequestError(f"does not match pattern {SCOPE_PATTERN}", field="qsid")
    kind, _, identifier = text.partition(":")
    if kind not in list(ScopeKind):
        raise InvalidRequestError(f"quota scope must be user or project, not {kind[:40]!r}", field="qsid")
    return QuotaScopeId(ScopeKind(kind), _uuid(identifier, "qsid"))


@final
@dataclass(frozen=True, slots=True)
class VFolderId(TextForm):
    """A virtual folder: `<scope>/<32 hex digits>`, or the digits alone for folders from before scopes."""

    scope: QuotaScopeId | None
    uuid: UUID
    _text: str = field(init=False, repr=False, compare=False)
    #: Path of the folder below the volume's root, as Backend.AI lays it out.
    directory: tuple[str, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        digits = self.uuid.hex
        parts = (digits[0:2], digits[2:4], digits[4:])
        object.__setattr__(self, "_text", f"{self.scope}/{digits}" if self.scope else digits)
        object.__setattr__(self, "directory", (self.scope.directory, *parts) if self.scope else parts)

    @classmethod
    def parse(cls, text: str) -> VFolderId:
        """Read `<scope>/<folder>` or `<folder>`; dashes in the folder's UUID are accepted.

        Raises:
            InvalidRequestError: not a folder id.
        """
        return _folder_of(text)

    def __str__(self) -> str:
        return self._text


@lru_cache(_REMEMBERED)
def _folder_of(text: str) -> VFolderId:
    scope, slash, folder = text.rpartition("/")
    if slash and not scope:
        raise InvalidRequestError(f"not a folder id: {text[:120]!r}", field="vfid")
    return VFolderId(_scope_of(scope) if slash else None, _uuid(folder, "vfid"))


def uuid7(milliseconds: int, entropy: bytes) -> UUID:
    """Build a UUID version 7 (RFC 9562 section 5.7) from a Unix time and 10 random bytes."""
    if not 0 <= milliseconds < 1 << 48:
        raise ValueError(f"time out of range for a UUIDv7: {milliseconds}")
    value = milliseconds << 80 | int.from_bytes(entropy[:10], "big")
    value = value & ~(0xF << 76) | 0x7 << 76
    value = value & ~(0x3 << 62) | 0x2 << 62
    return UUID(int=value)


def derived_id(parent: UUID, number: int) -> UUID:
    """Id of the n-th event of a command: always the same, so re-emission can be recognised."""
    return uuid5(parent, str(number))
