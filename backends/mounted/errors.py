"""What a POSIX file system raises, in the domain's words. The only place that reads errno."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Final

from domain.errors import (
    BackendFaultError,
    BackendUnavailableError,
    ConflictError,
    ForbiddenError,
    InvalidPathError,
    LockedError,
    NotFoundError,
    PenstockError,
    QuotaExceededError,
    StorageFullError,
    Subject,
    UnsupportedError,
)

_Make = Callable[[str, Subject], PenstockError]


def conflict(reason: str, what: str, subject: Subject = Subject.FILE) -> ConflictError:
    """Something is in the way: `reason` is one of those `FileAccess` lists."""
    return ConflictError(f"{what}: {reason.replace('-', ' ')}", subject=subject, reason=reason, path=what)


def missing(what: str, subject: Subject = Subject.FILE) -> NotFoundError:
    """Nothing of that name."""
    if subject is Subject.VFOLDER:
        return NotFoundError(f"VFolder not found or not a directory: {what}", subject=subject, path=what)
    return NotFoundError(f"{what}: not there", subject=subject, path=what)


def _conflict(reason: str) -> _Make:
    return lambda what, subject: conflict(reason, what, subject)


def _escape(what: str, subject: Subject) -> PenstockError:
    return InvalidPathError("leads out of the folder", subject=subject, path=what)


def _name(what: str, subject: Subject) -> PenstockError:
    return InvalidPathError("no such name can exist here", subject=subject, path=what)


def _forbidden(what: str, subject: Subject) -> PenstockError:
    return ForbiddenError(f"{what}: the storage does not permit it", subject=subject, path=what)


def _unavailable(what: str, subject: Subject) -> PenstockError:
    return BackendUnavailableError("the storage does not answer", subject=subject, path=what)


def _busy(what: str, subject: Subject) -> PenstockError:
    # Only what lies in a folder is for users to free; anything else is tried again.
    if subject is not Subject.FILE:
        return BackendFaultError("the storage failed: EBUSY", subject=subject, path=what)
    return LockedError(f"{what}: is in use by the storage, or mounted there", subject=subject, path=what)


_BY_ERRNO: Final[Mapping[int, _Make]] = {
    errno.ENOENT: missing,
    errno.EEXIST: _conflict("exists"),
    errno.ENOTDIR: _conflict("not-a-directory"),
    errno.EISDIR: _conflict("is-a-directory"),
    errno.ENOTEMPTY: _conflict("not-empty"),
    errno.EBUSY: _busy,
    errno.ELOOP: _escape,
    errno.EXDEV: _escape,
    errno.ENAMETOOLONG: _name,
    errno.EINVAL: _name,
    errno.EILSEQ: _name,
    errno.EACCES: _forbidden,
    errno.EPERM: _forbidden,
    errno.EROFS: _forbidden,
    errno.EDQUOT: lambda what, subject: QuotaExceededError(
        "the owner's storage limit is reached", subject=subject, path=what
    ),
    errno.ENOSPC: lambda what, subject: StorageFullError("the volume is full", subject=subject, path=what),
    errno.EFBIG: lambda what, subject: StorageFullError("the file would be too long", subject=subject, path=what),
    errno.ENOTSUP: lambda what, subject: UnsupportedError("the storage cannot do this", subject=subject, path=what),
    errno.ETIMEDOUT: _unavailable,
    errno.ESTALE: _unavailable,
    errno.EHOSTDOWN: _unavailable,
    errno.EHOSTUNREACH: _unavailable,
    errno.ENOTCONN: _unavailable,
    errno.ECONNREFUSED: _unavailable,
    errno.EMFILE: _unavailable,
    errno.ENFILE: _unavailable,
    errno.EAGAIN: _unavailable,
}


@contextmanager
def translated(what: object, subject: Subject = Subject.FILE) -> Iterator[None]:
    """Turn an OSError into the domain's own; `what` is named to the user, never a host path."""
    try:
        yield
    except OSError as error:
        make = _BY_ERRNO.get(error.errno or 0)
        if make is None:
            code = errno.errorcode.get(error.errno or 0, str(error.errno))
            raise BackendFaultError(f"the storage failed: {code}", subject=subject, path=str(what)) from error
        raise make(str(what), subject) from error
