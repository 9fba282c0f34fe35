"""Tokens for clients."""

from __future__ import annotations

from typing import Final

from gateway.manager.transfers import (
    ArchiveParameters,
    DownloadParameters,
    UploadBelowParameters,
    UploadParameters,
)
from gateway.openapi.answers.file import Token
from gateway.openapi.examples import FILE, FOLDER, IN_FOLDER, IN_VOLUME
from gateway.openapi.operations.common import asked, json
from gateway.openapi.operations.operation import Table
from gateway.openapi.refusals import (
    BAD_PATH,
    BUS,
    LOCKED,
    NO_FOLDER,
    NO_PERMISSION,
    NO_ROOM,
    PLACING,
    STORAGE,
    UNSUPPORTED,
)

_FILE: Final = {**IN_FOLDER, "relpath": FILE}

TABLE: Final[Table] = {
    ("POST", "/folder/file/upload"): asked(
        UploadParameters,
        {**_FILE, "size": 5},
        json(Token, "the upload has begun; one of no bytes is finished"),
        refusals=(
            *NO_PERMISSION,
            *NO_FOLDER,
            *LOCKED,
            *BAD_PATH,
            *PLACING,
            *STORAGE,
            *NO_ROOM,
            *BUS,
            *UNSUPPORTED,
        ),
    ),
    ("POST", "/folder/file/upload-below"): asked(
        UploadBelowParameters,
        {**IN_FOLDER, "relpath": ".", "owner": "somebody"},
        json(Token, "good for any number of uploads"),
        refusals=(*NO_PERMISSION, *NO_FOLDER, *LOCKED, *BAD_PATH, *STORAGE),
    ),
    ("POST", "/folder/file/download"): asked(
        DownloadParameters,
        _FILE,
        json(Token, "whether the file is there shows when it is used"),
        refusals=UNSUPPORTED,
    ),
    ("POST", "/folder/file/archive-download-token"): asked(
        ArchiveParameters,
        {**IN_VOLUME, "virtual_folder_id": FOLDER, "files": [FILE]},
        json(Token, "which of them are there shows when it is used"),
        refusals=(*BAD_PATH, *BUS),
    ),
}
