"""Names and bytes inside a folder."""

from __future__ import annotations

from typing import Final

from gateway.manager.contents import CopyParameters, VerifyParameters
from gateway.manager.files import (
    DeleteAsyncParameters,
    DeleteParameters,
    MakeParameters,
    MoveParameters,
    PathParameters,
    RenameParameters,
)
from gateway.openapi.answers.file import CopiedFile, RemovedFiles, VerifiedFile
from gateway.openapi.answers.listing import DirectoryListing
from gateway.openapi.answers.making import MadeDirectories
from gateway.openapi.answers.task import AcceptedJob
from gateway.openapi.examples import DIRECTORY, FILE, IN_FOLDER
from gateway.openapi.fields import IDEMPOTENCY_KEY, WANT_CONTENT_DIGEST, WANT_DIGEST
from gateway.openapi.operations.common import asked, done, json
from gateway.openapi.operations.downloads import ENDS_EARLY, FILE_FIELDS
from gateway.openapi.operations.operation import Reply, Table
from gateway.openapi.refusals import (
    BAD_PATH,
    BUS,
    CONFLICT,
    INTO_ITSELF,
    LISTING,
    LOCKED,
    NO_DIRECTORY,
    NO_ENTRY,
    NO_FILE,
    NO_FOLDER,
    NO_ROOM,
    READING,
    RENAMING,
    STORAGE,
    TELLING,
)

_LOOKING: Final = (*NO_FOLDER, *LOCKED, *BAD_PATH, *STORAGE)
_CHANGING: Final = (*_LOOKING, *NO_ROOM, *BUS)
_FILE: Final = {**IN_FOLDER, "relpath": FILE}
_REMOVED: Final = {**IN_FOLDER, "relpaths": [FILE]}

TABLE: Final[Table] = {
    ("POST", "/folder/file/mkdir"): asked(
        MakeParameters,
        {**IN_FOLDER, "relpath": [DIRECTORY]},
        json(MadeDirectories, "all were made"),
        json(MadeDirectories, "some were made", 207),
        json(MadeDirectories, "none was made, also where the folder is not there", 422),
        refusals=(*STORAGE, *NO_ROOM, *BUS),
    ),
    ("POST", "/folder/file/list"): asked(
        PathParameters,
        {**IN_FOLDER, "relpath": "."},
        json(DirectoryListing, "its entries", fields=("X-Penstock-Truncated",)),
        refusals=(*_LOOKING, *LISTING),
    ),
    ("POST", "/folder/file/rename"): asked(
        RenameParameters,
        {**_FILE, "new_name": "b.txt"},
        done("it has the name"),
        refusals=(*_CHANGING, *RENAMING),
    ),
    ("POST", "/folder/file/move"): asked(
        MoveParameters,
        {**IN_FOLDER, "src_relpath": FILE, "dst_relpath": "b.txt"},
        done("it is there"),
        refusals=(*_CHANGING, *RENAMING, *INTO_ITSELF),
    ),
    ("POST", "/folder/file/fetch"): asked(
        PathParameters,
        _FILE,
        Reply(
            200,
            f"the file, whole; {ENDS_EARLY}",
            media=("application/octet-stream",),
            fields=(*FILE_FIELDS, "Vary"),
        ),
        refusals=(*_LOOKING, *READING, *NO_FILE),
        fields=(WANT_DIGEST, WANT_CONTENT_DIGEST),
    ),
    ("POST", "/folder/file/copy"): asked(
        CopyParameters,
        {**_FILE, "dst_relpath": "b.txt"},
        json(CopiedFile, "it is there"),
        refusals=(*_CHANGING, *NO_ENTRY, *READING, *CONFLICT),
    ),
    ("POST", "/folder/file/verify"): asked(
        VerifyParameters,
        _FILE,
        json(VerifiedFile, "what was found"),
        refusals=(*_CHANGING, *NO_ENTRY, *READING),
    ),
    ("POST", "/folder/file/delete"): asked(
        DeleteParameters,
        _REMOVED,
        json(RemovedFiles, "they are gone, but for what was passed over"),
        refusals=(*_CHANGING, *NO_DIRECTORY),
    ),
    ("POST", "/folder/file/delete-async"): asked(
        DeleteAsyncParameters,
        _REMOVED,
        json(AcceptedJob, "accepted; they go at once, what they held later", 202),
        refusals=(*TELLING, *BAD_PATH),
        fields=(IDEMPOTENCY_KEY,),
    ),
}
