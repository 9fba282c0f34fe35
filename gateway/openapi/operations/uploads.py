"""The token URL, to which Backend.AI's clients send their files."""

from __future__ import annotations

from typing import Final

from gateway.client.token_uploads import UploadParameters
from gateway.openapi.fields import TUS_RESUMABLE, UPLOAD_CHECKSUM, UPLOAD_LENGTH, UPLOAD_OFFSET
from gateway.openapi.operations.operation import Operation, Reply, Table
from gateway.openapi.refusals import (
    BAD_PATH,
    BUS,
    LOCKED,
    NO_FOLDER,
    NO_ROOM,
    NO_TOKEN,
    NO_UPLOAD,
    NO_VOLUME,
    NOT_PERMITTED,
    OTHER_BYTES,
    OTHER_CODING,
    OTHER_OFFSET,
    PLACING,
    STORAGE,
    TOO_LARGE,
    TOO_MANY,
    WRONG,
)
from gateway.protocol import tus

#: What each answer of tus has.
ALWAYS: Final = ("Tus-Resumable", "Cache-Control")
#: How far an upload is.
STATE: Final = ("Upload-Offset", "Upload-Length", "Upload-Defer-Length")
#: What any request may meet that uses an upload, if only to drop it.
DROPPING: Final = (*TOO_MANY, *WRONG, *NO_VOLUME, *LOCKED, *NO_UPLOAD, *STORAGE, *BUS)
USING: Final = (*DROPPING, *NO_FOLDER)
#: And one that stores its last byte, or finds that it is stored.
FINISHING: Final = (*PLACING, *BAD_PATH, *TOO_LARGE, *NO_ROOM, *OTHER_BYTES)

TABLE: Final[Table] = {
    ("OPTIONS", "/upload"): Operation(
        (Reply(200, "what can be done", fields=("Tus-Version", "Tus-Max-Size", "X-Content-Type-Options")),),
        TOO_MANY,
        always=ALWAYS,
    ),
    ("HEAD", "/upload"): Operation(
        (Reply(200, "how far it is", fields=STATE),),
        (*USING, *NO_TOKEN, *NOT_PERMITTED, *FINISHING, *OTHER_CODING),
        query=UploadParameters,
        fields=(TUS_RESUMABLE,),
        security=("token",),
        always=ALWAYS,
    ),
    ("PATCH", "/upload"): Operation(
        (Reply(204, "the bytes are stored; after the last one the file is there", fields=STATE),),
        (*USING, *NO_TOKEN, *NOT_PERMITTED, *FINISHING, *OTHER_OFFSET, *OTHER_CODING),
        query=UploadParameters,
        fields=(TUS_RESUMABLE, UPLOAD_OFFSET, UPLOAD_LENGTH, UPLOAD_CHECKSUM),
        bytes=(tus.CONTENT_TYPE,),
        security=("token",),
        always=ALWAYS,
    ),
}
