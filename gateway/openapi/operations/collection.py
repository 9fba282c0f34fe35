"""The tus collection."""

from __future__ import annotations

from typing import Final

from gateway.client.access import TokenParameters
from gateway.openapi.fields import (
    CONDITIONS,
    METHOD_OVERRIDE,
    RANGES,
    TUS_RESUMABLE,
    UPLOAD_CHECKSUM,
    UPLOAD_CONCAT,
    UPLOAD_DEFER_LENGTH,
    UPLOAD_LENGTH,
    UPLOAD_METADATA,
    UPLOAD_OFFSET,
    WANT_CONTENT_DIGEST,
    WANT_DIGEST,
)
from gateway.openapi.operations.downloads import file_replies
from gateway.openapi.operations.operation import Operation, Reply, Table
from gateway.openapi.operations.uploads import ALWAYS, DROPPING, FINISHING, STATE, USING
from gateway.openapi.refusals import (
    BAD_PATH,
    CONFLICT,
    FINAL_UPLOAD,
    NO_ENTRY,
    NO_TOKEN,
    NOT_PERMITTED,
    OTHER_CODING,
    OTHER_OFFSET,
    OTHER_TYPE,
    OTHER_VERSION,
    READING,
    TOO_MANY,
    UNFINISHED,
    WRONG,
)
from gateway.protocol import tus

#: Either is enough.
TOKENS: Final = ("bearer", "token")
_SPOKEN: Final = ("Tus-Version", "Tus-Extension", "Tus-Max-Size", "Tus-Checksum-Algorithm")
_OPTIONS: Final = Operation(
    (Reply(204, "what can be done", fields=_SPOKEN),),
    (*TOO_MANY, *WRONG, *OTHER_CODING),
    fields=(TUS_RESUMABLE,),
    always=ALWAYS,
)
_BEGUN: Final = (*STATE, "Upload-Metadata", "Upload-Expires")
_ALL: Final = (*_BEGUN, "Upload-Concat")
_USING: Final = (*USING, *NO_TOKEN, *NOT_PERMITTED)
_STORING: Final = (*_USING, *FINISHING, *OTHER_VERSION, *OTHER_TYPE, *OTHER_CODING, *FINAL_UPLOAD)
_VERSION: Final = TUS_RESUMABLE.always
_PATCH: Final = (UPLOAD_OFFSET, UPLOAD_LENGTH, UPLOAD_CHECKSUM)

_STORED: Final = Reply(204, "the bytes are stored; after the last one the file is there", fields=_ALL)
_DROPPED: Final = Reply(204, "there is no such upload any more")
_FAR: Final = Reply(200, "how far it is", fields=_ALL)

TABLE: Final[Table] = {
    ("OPTIONS", "/files"): _OPTIONS,
    ("POST", "/files"): Operation(
        (Reply(201, "it has begun, with what the body had", fields=(*_BEGUN, "Location")),),
        (*_STORING, *CONFLICT),
        query=TokenParameters,
        fields=(
            _VERSION,
            UPLOAD_LENGTH,
            UPLOAD_DEFER_LENGTH,
            UPLOAD_METADATA,
            UPLOAD_CONCAT,
            UPLOAD_CHECKSUM,
        ),
        bytes=(tus.CONTENT_TYPE,),
        security=TOKENS,
        always=ALWAYS,
    ),
    ("OPTIONS", "/files/{session}"): _OPTIONS,
    ("HEAD", "/files/{session}"): Operation(
        (_FAR,),
        (*_USING, *FINISHING, *OTHER_CODING),
        query=TokenParameters,
        fields=(TUS_RESUMABLE,),
        security=TOKENS,
        always=ALWAYS,
    ),
    ("GET", "/files/{session}"): Operation(
        file_replies(),
        (*_USING, *UNFINISHED, *BAD_PATH, *NO_ENTRY, *READING, *OTHER_CODING),
        query=TokenParameters,
        fields=(*CONDITIONS, *RANGES, WANT_DIGEST, WANT_CONTENT_DIGEST),
        security=TOKENS,
        always=ALWAYS,
    ),
    ("PATCH", "/files/{session}"): Operation(
        (_STORED,),
        (*_STORING, *OTHER_OFFSET),
        query=TokenParameters,
        fields=(_VERSION, *_PATCH),
        bytes=(tus.CONTENT_TYPE,),
        security=TOKENS,
        always=ALWAYS,
    ),
    ("DELETE", "/files/{session}"): Operation(
        (_DROPPED,),
        (*DROPPING, *NO_TOKEN, *NOT_PERMITTED, *OTHER_VERSION, *OTHER_CODING),
        query=TokenParameters,
        fields=(_VERSION,),
        security=TOKENS,
        always=ALWAYS,
    ),
    ("POST", "/files/{session}"): Operation(
        (
            _FAR,
            Reply(204, "as PATCH, or as DELETE", fields=_ALL),
            Reply(405, "no method, or not one of these, is meant", media=("text/plain",), fields=("Allow",)),
        ),
        (*_STORING, *OTHER_OFFSET),
        query=TokenParameters,
        fields=(METHOD_OVERRIDE, _VERSION, *_PATCH),
        bytes=(tus.CONTENT_TYPE,),
        security=TOKENS,
        always=ALWAYS,
    ),
}
