"""Quota scopes on a mounted volume: a directory each, and a small file with what the directory cannot say.

Rules: a scope exists when its directory does, so volumes written by Backend.AI are served as they are; every
method is repeat-safe by operation id. Blocking; one lock serialises changes within the process, the volume's
lease keeps other processes away.
"""

from __future__ import annotations

import errno
import os
import threading
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from typing import Any, Self
from uuid import UUID

from backends.contract import EnsuredScope, Operation
from backends.mounted.area import DONE, SCOPES, Area
from backends.mounted.beneath import names_in
from backends.mounted.durable import completing, rename_exclusive, sync_directory
from backends.mounted.errors import conflict, missing, translated
from domain.errors import Subject
from domain.ids import QuotaScopeId, ScopeKind
from domain.paths import RelativePath
from domain.usage import Quota

_MODE = 0o755


@dataclass(frozen=True, slots=True)
class ScopeState:
    """What the small file says."""

    scope: str
    limit_bytes: int | None = None
    soft_bytes: int | None = None
    #: Operation that made the scope; empty: it was there before Penstock.
    made_by: str = ""
    #: Operation that is about to remove it.
    removed_by: str = ""

    @property
    def quota(self) -> Quota:
        """Its limits."""
        return Quota(limit_bytes=self.limit_bytes, soft_bytes=self.soft_bytes)

    @classmethod
    def parse(cls, document: dict[str, Any]) -> Self:
        """Read the file's contents; unknown keys of later versions are passed over."""
        return cls(**{name: document[name] for name in cls.__slots__ if name in document})


class Scopes:
    """The quota scopes of one mounted volume."""

    def __init__(self, area: Area) -> None:
        self._area = area
        self._lock = threading.Lock()

    def ensure(self, op: Operation, scope: QuotaScopeId) -> EnsuredScope:
        """Make a scope if it is not there."""
        with self._lock, translated(scope, Subject.QUOTA_SCOPE):
            if self.exists(scope):
                state = self._state(scope)
                return EnsuredScope(self._made_before(op, state), state.quota)
            self._make(op, ScopeState(str(scope), made_by=str(op.id)), scope)
            return EnsuredScope(made=True, quota=Quota())

    def create(
        self, op: Operation, scope: QuotaScopeId, limit_bytes: int | None, soft_bytes: int | None = None
    ) -> None:
        """Make a scope."""
        with self._lock, translated(scope, Subject.QUOTA_SCOPE):
            if not self.exists(scope):
                self._make(op, ScopeState(str(scope), limit_bytes, soft_bytes, made_by=str(op.id)), scope)
            elif not self._made_before(op, self._state(scope)):
                raise conflict("exists", str(scope), Subject.QUOTA_SCOPE)

    def _made_before(self, op: Operation, state: ScopeState) -> bool:
        """Whether this operation has made a scope that is there."""
        if state.made_by != str(op.id):
            return False
        sync_directory(self._area.mount.fd)  # that may be what failed before
        return True

    def delete(self, op: Operation, scope: QuotaScopeId) -> None:
        """Remove an empty scope."""
        with self._lock, translated(scope, Subject.QUOTA_SCOPE):
            if self._area.exists(DONE, str(op.id)):
                return
            state = self._state(scope)
            if self.exists(scope):
                self._write(op, replace(state, removed_by=str(op.id)), scope)
                self._remove_empty(op, scope)
            elif state.removed_by != str(op.id):
                raise missing(str(scope), Subject.QUOTA_SCOPE)
            with completing():
                self._area.write_json(DONE, str(op.id), {"removed": str(scope)})
                self._area.remove(SCOPES, _file(scope))

    def set_limits(
        self, op: Operation, scope: QuotaScopeId, limit_bytes: int | None, soft_bytes: int | None = None
    ) -> None:
        """Set or remove the limits."""
        with self._lock, translated(scope, Subject.QUOTA_SCOPE):
            self._require(scope)
            state = replace(self._state(scope), limit_bytes=limit_bytes, soft_bytes=soft_bytes)
            self._write(op, state, scope)

    def limits(self, scope: QuotaScopeId) -> Quota:
        """Its limits."""
        with translated(scope, Subject.QUOTA_SCOPE):
            self._require(scope)
            return self._state(scope).quota

    def exists(self, scope: QuotaScopeId) -> bool:
        """Whether the scope's directory is there."""
        try:
            with self._area.mount.below((scope.directory,)):
                return True
        except FileNotFoundError:
            return False

    def known(self) -> list[QuotaScopeId]:
        """Every scope on the volume. Whose directory alone is there is taken for a user's."""
        found = []
        for name in names_in(self._area.mount):
            if len(name) != 32:
                continue
            try:
                guess = QuotaScopeId(ScopeKind.USER, UUID(name))
            except ValueError:
                continue
            found.append(QuotaScopeId.parse(self._state(guess).scope))
        return found

    def _require(self, scope: QuotaScopeId) -> None:
        if not self.exists(scope):
            raise missing(str(scope), Subject.QUOTA_SCOPE)

    def _make(self, op: Operation, state: ScopeState, scope: QuotaScopeId) -> None:
        self._write(op, state, scope, more_follows=True)
        mount, staged = self._area.mount, self._area.fence.path(op.epoch, f"scope.{scope.directory}")
        with self._area.fence.guarded(op.epoch):
            with suppress(FileExistsError):
                os.mkdir(staged, _MODE, dir_fd=mount.fd)
            rename_exclusive(mount.fd, staged, mount.fd, scope.directory)
        sync_directory(mount.fd)

    def _remove_empty(self, op: Operation, scope: QuotaScopeId) -> None:
        mount = self._area.mount
        try:
            with mount.below((scope.directory,)) as directory:
                for first in names_in(directory):
                    prune(self._area, (scope.directory, first))
            self._take_away(op, scope)
        except OSError as error:
            if error.errno in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR):
                raise conflict("not-empty", str(scope), Subject.QUOTA_SCOPE) from error
            raise
        sync_directory(mount.fd)

    def _take_away(self, op: Operation, scope: QuotaScopeId) -> None:
        """Remove an empty directory by a step only the owner of the epoch can do."""
        mount, taken = self._area.mount, self._area.fence.path(op.epoch, f"gone.{scope.directory}")
        with self._area.fence.guarded(op.epoch):
            os.rename(scope.directory, taken, src_dir_fd=mount.fd, dst_dir_fd=mount.fd)
            try:
                os.rmdir(taken, dir_fd=mount.fd)
            except OSError:
                rename_exclusive(mount.fd, taken, mount.fd, scope.directory)
                raise

    def _state(self, scope: QuotaScopeId) -> ScopeState:
        document = self._area.read_json(SCOPES, _file(scope))
        return ScopeState.parse(document) if document else ScopeState(str(scope))

    def _write(self, op: Operation, state: ScopeState, scope: QuotaScopeId, *, more_follows: bool = False) -> None:
        document = asdict(state)
        self._area.write_json(SCOPES, _file(scope), document, epoch=op.epoch, more_follows=more_follows)


def prune(area: Area, parts: tuple[str, ...]) -> None:
    """Remove a directory and the empty ones just below it; ENOTEMPTY if something is left."""
    with area.mount.below(parts) as directory:
        for name in names_in(directory):
            os.rmdir(name, dir_fd=directory.fd)
    with area.mount.directory(RelativePath(parts[:-1])) as parent:
        os.rmdir(parts[-1], dir_fd=parent)


def _file(scope: QuotaScopeId) -> str:
    return f"{scope.directory}.json"
