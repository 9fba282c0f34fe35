"""The one error tree.

PenstockError
├── InvalidRequestError        the caller's words make no sense; nothing changed
│   ├── InvalidPathError       a path leaves its folder, is reserved, or no file system could hold it
│   └── ReusedKeyError         an idempotency key stands for another request already
├── UnauthenticatedError       no proof of identity, or one that does not hold
├── ForbiddenError             known, but not allowed to do this
├── NotFoundError              the named thing is not there
│   └── GoneError              it was there, and will not be again
├── ConflictError              the named thing is in the way, or in another state than the caller thinks
│   └── LockedError            nobody can use it now; come back later
├── QuotaExceededError         the owner's limit would be passed
├── StorageFullError           the volume itself has no room left
├── ChecksumMismatchError      the bytes that came are not those that were announced; none of them were kept
├── TooLargeError              more bytes than announced, or than any upload may have
├── UnsupportedError           this backend cannot do that
├── BusyError                  too much waits already; come back after `retry_after_seconds`
│   └── TooManyError           its owner has too many of them already
├── DeadlineExceededError      no answer in time; whether it happened is unknown until asked again
├── BackendUnavailableError    the storage does not answer now
├── BackendFaultError          the storage answered with a fault
├── BusError                   the event bus, not the storage
│   ├── BusBrokenError         Redis is away or refuses
│   ├── BusClosedError         we closed it
│   ├── FencedError            the lease went to another owner
│   └── MalformedEventError    bytes on a stream that are no envelope
└── InternalError              a defect of Penstock

`code` is wire-stable: it appears in replies, events, problem documents and metrics. `retry` tells a caller
whether the same request may succeed later. `facts` are safe to show: never a secret, never a host path.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import ClassVar


class Retry(StrEnum):
    """Whether repeating the same request can help."""

    NEVER = "never"
    LATER = "later"
    UNKNOWN = "unknown"


class ErrorCode(StrEnum):
    """Wire-stable names of what went wrong."""

    INVALID_REQUEST = "invalid-request"
    INVALID_PATH = "invalid-path"
    REUSED_KEY = "reused-key"
    UNAUTHENTICATED = "unauthenticated"
    FORBIDDEN = "forbidden"
    NOT_FOUND = "not-found"
    GONE = "gone"
    CONFLICT = "conflict"
    LOCKED = "locked"
    QUOTA_EXCEEDED = "quota-exceeded"
    STORAGE_FULL = "storage-full"
    CHECKSUM_MISMATCH = "checksum-mismatch"
    TOO_LARGE = "too-large"
    UNSUPPORTED = "unsupported"
    BUSY = "busy"
    TOO_MANY = "too-many"
    DEADLINE_EXCEEDED = "deadline-exceeded"
    BACKEND_UNAVAILABLE = "backend-unavailable"
    BACKEND_FAULT = "backend-fault"
    BUS_BROKEN = "bus-broken"
    BUS_CLOSED = "bus-closed"
    FENCED = "fenced"
    MALFORMED_EVENT = "malformed-event"
    INTERNAL = "internal"


class Subject(StrEnum):
    """What an error is about; decides which words a client sees."""

    VOLUME = "volume"
    QUOTA_SCOPE = "quota-scope"
    VFOLDER = "vfolder"
    FILE = "file"
    UPLOAD = "upload"
    TASK = "task"
    COMMAND = "command"
    NONE = ""


class PenstockError(Exception):
    """Root of the tree. `str(error)` is a sentence for people, `facts` are the same for programs."""

    code: ClassVar[ErrorCode] = ErrorCode.INTERNAL
    retry: ClassVar[Retry] = Retry.UNKNOWN

    def __init__(self, message: str, *, subject: Subject = Subject.NONE, **facts: object) -> None:
        super().__init__(message)
        self.message = message
        self.subject = subject
        self.facts: Mapping[str, object] = facts


class InvalidRequestError(PenstockError, ValueError):
    """The caller's words make no sense. `facts["field"]` names the part, where there is one."""

    code = ErrorCode.INVALID_REQUEST
    retry = Retry.NEVER


class InvalidPathError(InvalidRequestError):
    """A path leaves its folder, is reserved, or could not exist on any file system."""

    code = ErrorCode.INVALID_PATH


class ReusedKeyError(InvalidRequestError):
    """An idempotency key stands for another request already."""

    code = ErrorCode.REUSED_KEY


class UnauthenticatedError(PenstockError):
    """No proof of identity, or one that does not hold (signature, expiry)."""

    code = ErrorCode.UNAUTHENTICATED
    retry = Retry.NEVER


class ForbiddenError(PenstockError):
    """The caller is known but may not do this."""

    code = ErrorCode.FORBIDDEN
    retry = Retry.NEVER


class NotFoundError(PenstockError):
    """The named volume, scope, folder, file or upload is not there."""

    code = ErrorCode.NOT_FOUND
    retry = Retry.NEVER


class GoneError(NotFoundError):
    """The named thing was there, and will not be again."""

    code = ErrorCode.GONE


class ConflictError(PenstockError):
    """The named thing exists already, is not empty, is held, or is in another state."""

    code = ErrorCode.CONFLICT
    retry = Retry.NEVER


class LockedError(ConflictError):
    """The named thing is on its way elsewhere, not yet whole, or in use: nobody can use it now."""

    code = ErrorCode.LOCKED
    retry = Retry.LATER


class QuotaExceededError(PenstockError):
    """The owner's limit would be passed. Both EDQUOT and a project-quota ENOSPC mean this."""

    code = ErrorCode.QUOTA_EXCEEDED
    retry = Retry.NEVER


class StorageFullError(PenstockError):
    """The volume has no room left, whoever asks."""

    code = ErrorCode.STORAGE_FULL
    retry = Retry.LATER


class ChecksumMismatchError(PenstockError):
    """The bytes that came are not those that were announced; none of them were kept."""

    code = ErrorCode.CHECKSUM_MISMATCH
    retry = Retry.LATER


class TooLargeError(PenstockError):
    """More bytes than announced, or than any upload may have."""

    code = ErrorCode.TOO_LARGE
    retry = Retry.NEVER


class UnsupportedError(PenstockError):
    """This backend, or this version, cannot do that."""

    code = ErrorCode.UNSUPPORTED
    retry = Retry.NEVER


class BusyError(PenstockError):
    """Too much waits already. Nothing was accepted."""

    code = ErrorCode.BUSY
    retry = Retry.LATER

    def __init__(self, message: str, *, retry_after_seconds: float) -> None:
        super().__init__(message, retry_after_seconds=retry_after_seconds)
        self.retry_after_seconds = retry_after_seconds


class TooManyError(BusyError):
    """One owner has too many of them already. Nothing was accepted."""

    code = ErrorCode.TOO_MANY


class DeadlineExceededError(PenstockError):
    """No answer in time. Ask again with the same command id to learn the outcome."""

    code = ErrorCode.DEADLINE_EXCEEDED


class BackendUnavailableError(PenstockError):
    """The storage does not answer now: time-out, lost mount, 429, 503."""

    code = ErrorCode.BACKEND_UNAVAILABLE
    retry = Retry.LATER


class BackendFaultError(PenstockError):
    """The storage answered with a fault: EIO, a 5xx, an answer nobody understands."""

    code = ErrorCode.BACKEND_FAULT


class BusError(PenstockError):
    """The event bus, not the storage."""


class BusBrokenError(BusError):
    """Redis is away, read-only, loading or refuses; the world did it."""

    code = ErrorCode.BUS_BROKEN
    retry = Retry.LATER


class BusClosedError(BusError):
    """The bus was closed here; we did it."""

    code = ErrorCode.BUS_CLOSED
    retry = Retry.NEVER


class FencedError(BusError):
    """Somebody else is the owner now: stop, change nothing more."""

    code = ErrorCode.FENCED
    retry = Retry.NEVER


class MalformedEventError(BusError):
    """Bytes on a stream that are no envelope, or a body that does not fit its type."""

    code = ErrorCode.MALFORMED_EVENT
    retry = Retry.NEVER


class InternalError(PenstockError):
    """A defect of Penstock itself."""

    code = ErrorCode.INTERNAL
    retry = Retry.UNKNOWN
