"""Resumable uploads as the IETF drafts them."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from gateway.client.access import TokenParameters
from gateway.openapi.fields import (
    CONTENT_DIGEST,
    CONTENT_DISPOSITION,
    INTEROP_VERSION,
    REPR_DIGEST,
    UPLOAD_COMPLETE,
    UPLOAD_LENGTH,
    UPLOAD_OFFSET,
    WANT_DIGEST,
)
from gateway.openapi.operations.collection import TOKENS
from gateway.openapi.operations.operation import Operation, Reply, Table
from gateway.openapi.operations.uploads import DROPPING, FINISHING, USING
from gateway.openapi.refusals import (
    COMPLETED,
    NO_DIGEST,
    NO_TOKEN,
    NOT_PERMITTED,
    OTHER_BYTES,
    OTHER_CODING,
    OTHER_DIGEST,
    OTHER_KIND,
    OTHER_LENGTH,
    OTHER_PLACE,
    PLACE,
    TOO_MANY,
    Refusals,
)
from gateway.protocol import resumable


def _telling(refusals: Refusals) -> Refusals:
    """The same where they tell how far an upload is."""
    told = (400, 409, 413, 415, 423, 429)
    return tuple(
        replace(one, fields=(*one.fields, *PLACE, "Location")) if one.status in told else one for one in refusals
    )


#: How far an upload is, where it is not refused.
_STATE: Final = (*PLACE, "Cache-Control", "Repr-Digest")
_USING: Final = (*USING, *NO_TOKEN, *NOT_PERMITTED)
_FINISHING: Final = (*(one for one in FINISHING if one not in OTHER_BYTES), *OTHER_DIGEST)
_STORING: Final = _telling(
    (*_USING, *_FINISHING, *NO_DIGEST, *OTHER_LENGTH, *OTHER_PLACE, *OTHER_CODING, *COMPLETED, *OTHER_KIND)
)
_CREATING: Final = tuple(one for one in _STORING if one.status != 415)
_OPTIONS: Final = Operation((Reply(200, "the limits", fields=("Accept-Patch", "Upload-Limit")),), TOO_MANY)
_LOOK: Final = Operation(
    (Reply(204, "how far it is", fields=_STATE),),
    _telling((*_USING, *_FINISHING, *OTHER_CODING)),
    query=TokenParameters,
    fields=(WANT_DIGEST,),
    security=TOKENS,
)
_CREATE: Final = Operation(
    (
        Reply(200, "all of it is stored, and the file is there", fields=(*_STATE, "Location")),
        Reply(201, "it has begun, with what the body had", fields=(*_STATE, "Location")),
    ),
    _CREATING,
    query=TokenParameters,
    fields=(
        UPLOAD_COMPLETE,
        UPLOAD_LENGTH,
        CONTENT_DISPOSITION,
        REPR_DIGEST,
        CONTENT_DIGEST,
        WANT_DIGEST,
        INTEROP_VERSION,
    ),
    bytes=("application/octet-stream",),
    security=TOKENS,
)

TABLE: Final[Table] = {
    ("OPTIONS", "/uploads"): _OPTIONS,
    ("POST", "/uploads"): _CREATE,
    ("PUT", "/uploads"): replace(
        _CREATE,
        replies=(
            *_CREATE.replies,
            Reply(405, "the token names no file", media=("text/plain",), fields=("Allow",)),
        ),
        fields=tuple(one for one in _CREATE.fields if one != CONTENT_DISPOSITION),
    ),
    ("OPTIONS", "/uploads/{session}"): _OPTIONS,
    ("GET", "/uploads/{session}"): _LOOK,
    ("HEAD", "/uploads/{session}"): _LOOK,
    ("PATCH", "/uploads/{session}"): Operation(
        (
            Reply(200, "all of it is stored, and the file is there", fields=_STATE),
            Reply(204, "the bytes are stored", fields=_STATE),
        ),
        _STORING,
        query=TokenParameters,
        fields=(UPLOAD_COMPLETE, UPLOAD_OFFSET, UPLOAD_LENGTH, CONTENT_DIGEST, WANT_DIGEST),
        bytes=(resumable.CONTENT_TYPE,),
        security=TOKENS,
    ),
    ("DELETE", "/uploads/{session}"): replace(
        _LOOK,
        replies=(Reply(204, "there is no such upload any more"),),
        refusals=(*DROPPING, *NO_TOKEN, *NOT_PERMITTED, *OTHER_CODING),
        fields=(),
    ),
}
