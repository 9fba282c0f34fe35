"""Why operations refuse, in the words of the one table of errors; each refusal is a problem document."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from domain.errors import (
    BackendFaultError,
    BackendUnavailableError,
    BusBrokenError,
    BusyError,
    ChecksumMismatchError,
    ConflictError,
    DeadlineExceededError,
    ForbiddenError,
    GoneError,
    InvalidPathError,
    InvalidRequestError,
    LockedError,
    NotFoundError,
    PenstockError,
    QuotaExceededError,
    ReusedKeyError,
    StorageFullError,
    Subject,
    TooLargeError,
    TooManyError,
    UnauthenticatedError,
    UnsupportedError,
)
from gateway.problems import (
    Problem,
    file_not_found,
    forbidden,
    malformed,
    offset_mismatch,
    own_problem,
    problem_of,
)
from gateway.validation import InvalidParametersError


@dataclass(frozen=True, slots=True)
class Refusal:
    """One kind of problem."""

    status: int
    #: URI by which programs tell it from others of its status.
    type: str
    title: str
    #: Names of header fields it has besides.
    fields: tuple[str, ...] = ()


Refusals = tuple[Refusal, ...]


def _told(*found: PenstockError | Problem, fields: tuple[str, ...] = ()) -> Refusals:
    problems = [problem_of(one) if isinstance(one, PenstockError) else one for one in found]
    return tuple(Refusal(one.status, one.type, one.title, (*one.headers, *fields)) for one in problems)


def _missing(subject: Subject) -> NotFoundError:
    return NotFoundError("", subject=subject)


def _in_the_way(reason: str) -> ConflictError:
    return ConflictError("", subject=Subject.FILE, reason=reason)


#: What asks before anything is looked at.
TOO_MANY: Final = _told(TooManyError("", retry_after_seconds=1))
NO_SECRET: Final = _told(forbidden("missing auth token"), forbidden("invalid auth token"))

#: Parameters.
WRONG: Final = _told(InvalidParametersError({}))
NO_BODY_HERE: Final = _told(malformed("request body should be empty"))
TOO_LARGE: Final = _told(TooLargeError(""))
BAD_PATH: Final = _told(InvalidPathError(""))
UNSUPPORTED: Final = _told(UnsupportedError(""))
NO_MOUNT: Final = _told(own_problem(400, "mount", "Cannot mount", ""))

#: What is named and not there, or in the way.
NO_VOLUME: Final = _told(_missing(Subject.VOLUME))
NO_SCOPE: Final = _told(_missing(Subject.QUOTA_SCOPE))
NO_FOLDER: Final = _told(_missing(Subject.VFOLDER))
FOLDER_GONE: Final = _told(GoneError("", subject=Subject.VFOLDER))
LOCKED: Final = _told(LockedError(""))
NO_TASK: Final = _told(_missing(Subject.TASK))
CONFLICT: Final = _told(ConflictError(""))
NO_OPTIONS: Final = _told(InvalidRequestError("", subject=Subject.QUOTA_SCOPE))
SCOPE_CONFLICT: Final = _told(ConflictError("", subject=Subject.QUOTA_SCOPE))
FOLDER_CONFLICT: Final = _told(ConflictError("", subject=Subject.VFOLDER))

#: Names in a folder: nothing there; no directory on the way or at its end; a directory where a file should be; what
#: is neither; something at the new place; a new place below the old one.
NO_ENTRY: Final = _told(_missing(Subject.FILE))
NO_DIRECTORY: Final = _told(_in_the_way("not-a-directory"))
IS_DIRECTORY: Final = _told(_in_the_way("is-a-directory"))
NOT_A_FILE: Final = _told(_in_the_way("not-a-file"))
EXISTS: Final = _told(_in_the_way("exists"))
INTO_ITSELF: Final = _told(_in_the_way("into-itself"))
#: What listing, reading a file that is there, putting one at its place, and moving can meet.
LISTING: Final = (*NO_ENTRY, *NO_DIRECTORY)
READING: Final = (*NO_DIRECTORY, *IS_DIRECTORY, *NOT_A_FILE)
PLACING: Final = (*NO_DIRECTORY, *IS_DIRECTORY)
RENAMING: Final = (*NO_ENTRY, *NO_DIRECTORY, *IS_DIRECTORY, *EXISTS)

#: The storage and the bus.
STORAGE: Final = _told(
    ForbiddenError(""),
    BackendFaultError(""),
    BackendUnavailableError(""),
    BusyError("", retry_after_seconds=1),
)
NO_ROOM: Final = _told(QuotaExceededError(""), StorageFullError(""))
BUS: Final = _told(BusBrokenError(""))
BUSY: Final = _told(BusyError("", retry_after_seconds=1))

#: Commands: accepted only, or done by a volume's actor.
TELLING: Final = (*WRONG, *_told(ReusedKeyError("")), *BUSY, *BUS)
ASKING: Final = (*TELLING, *_told(DeadlineExceededError("")))
CHANGING: Final = (*ASKING, *STORAGE, *NO_ROOM)

#: Clients.
NO_PERMISSION: Final = _told(ForbiddenError(""))
NOT_PERMITTED: Final = (*NO_PERMISSION, *_told(ForbiddenError("", token="")))
NO_TOKEN: Final = _told(UnauthenticatedError(""))
NO_FILE: Final = _told(file_not_found())
NO_SELECTION: Final = _told(GoneError(""))
NO_UPLOAD: Final = _told(_missing(Subject.UPLOAD), GoneError(""))
OTHER_OFFSET: Final = _told(offset_mismatch("", {}), fields=("Upload-Offset",))
OTHER_VERSION: Final = _told(own_problem(412, "tus-version", "Precondition Failed", ""), fields=("Tus-Version",))
OTHER_TYPE: Final = _told(own_problem(415, "content-type", "Unsupported Media Type", ""))
OTHER_CODING: Final = _told(own_problem(501, "transfer-coding", "Not Implemented", ""))
UNFINISHED: Final = (Refusal(409, "urn:penstock:problem:upload-unfinished", "Conflict", ("Retry-After",)),)
FINAL_UPLOAD: Final = _told(own_problem(403, "final-upload", "Forbidden", ""))
OTHER_BYTES: Final = _told(ChecksumMismatchError(""))

#: Resumable uploads of the IETF.
PLACE: Final = ("Upload-Complete", "Upload-Offset", "Upload-Length", "Upload-Limit")
_IANA: Final = "https://iana.org/assignments/http-problem-types"
OTHER_LENGTH: Final = (Refusal(400, f"{_IANA}#inconsistent-upload-length", "Lengths contradict each other"),)
OTHER_PLACE: Final = (Refusal(409, f"{_IANA}#mismatching-upload-offset", "The upload goes on elsewhere", PLACE),)
OTHER_KIND: Final = (
    Refusal(415, "about:blank", "The content type must be application/partial-upload", ("Accept-Patch",)),
)
COMPLETED: Final = (Refusal(400, f"{_IANA}#completed-upload", "The upload is complete"),)
OTHER_DIGEST: Final = (Refusal(400, f"{_IANA}#digest-mismatching-values", "Mismatching digest values"),)
NO_DIGEST: Final = (Refusal(400, f"{_IANA}#digest-invalid-values", "Invalid digest values"),)
