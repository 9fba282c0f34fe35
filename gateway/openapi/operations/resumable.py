"""Resumable uploads as the IETF drafts them."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from gateway.client.access import TokenParameters
from gateway.openapi.fields import (
    CONTENT_DISPOSITION,
    INTEROP_VERSION,
    REPR_DIGEST,
    UPLOAD_COMPLETE,
    UPLOAD_LENGTH,
    UPLOAD_OFFSET,
)
from gateway.openapi.operations.collection import TOKENS
from gateway.openapi.operations.operation import Operation, Reply, Table
from gateway.openapi.operations.uploads import FINISHING, USING
from gateway.openapi.refusals import (
    NO_TOKEN,
    NOT_PERMITTED,
    OTHER_KIND,
    OTHER_LENGTH,
    OTHER_PLACE,
    PLACE,
    TOO_MANY,
)
from gateway.protocol import resumable

_USING: Final = (*USING, *NO_TOKEN, *NOT_PERMITTED)
_STORING: Final = (*_USING, *FINISHING, *OTHER_LENGTH)
_LOOK: Final = Operation(
    (Reply(204, "how far it is", fields=PLACE),), (*_USING, *FINISHING), query=TokenParameters, security=TOKENS
)

TABLE: Final[Table] = {
    ("OPTIONS", "/uploads"): Operation((Reply(204, "the limits", fields=("Upload-Limit",)),), TOO_MANY),
    ("POST", "/uploads"): Operation(
        (
            Reply(200, "all of it is stored, and the file is there", fields=(*PLACE, "Location")),
            Reply(201, "it has begun, with what the body had", fields=(*PLACE, "Location")),
        ),
        _STORING,
        query=TokenParameters,
        fields=(UPLOAD_COMPLETE, UPLOAD_LENGTH, CONTENT_DISPOSITION, REPR_DIGEST, INTEROP_VERSION),
        bytes=("application/octet-stream",),
        security=TOKENS,
    ),
    ("GET", "/uploads/{session}"): _LOOK,
    ("HEAD", "/uploads/{session}"): _LOOK,
    ("PATCH", "/uploads/{session}"): Operation(
        (
            Reply(200, "all of it is stored, and the file is there", fields=PLACE),
            Reply(204, "the bytes are stored", fields=PLACE),
        ),
        (*_STORING, *OTHER_PLACE, *OTHER_KIND),
        query=TokenParameters,
        fields=(UPLOAD_COMPLETE, UPLOAD_OFFSET, UPLOAD_LENGTH),
        bytes=(resumable.CONTENT_TYPE,),
        security=TOKENS,
    ),
    ("DELETE", "/uploads/{session}"): replace(
        _LOOK, replies=(Reply(204, "there is no such upload any more"),), refusals=_USING
    ),
}
