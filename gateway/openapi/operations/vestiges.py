"""What is only there for managers that still ask."""

from __future__ import annotations

from typing import Final

from gateway.manager.vestiges import MetadataParameters, QuotaParameters
from gateway.openapi.answers.status import Done
from gateway.openapi.examples import IN_FOLDER
from gateway.openapi.operations.common import GUARDED, SECRET, json
from gateway.openapi.operations.operation import Operation, Reply, Table
from gateway.openapi.refusals import TOO_LARGE, WRONG
from gateway.parameters import FolderParameters

_REFUSED: Final = (*GUARDED, *WRONG, *TOO_LARGE)
_QUOTA: Final = Operation(
    (Reply(400, "always: a limit belongs to the folder's quota scope; the reason phrase says so, without a body"),),
    _REFUSED,
    body=QuotaParameters,
    example=IN_FOLDER,
    security=SECRET,
    deprecated=True,
)

TABLE: Final[Table] = {
    ("GET", "/folder/metadata"): Operation(
        (json(Done, "always: nothing is kept"),),
        _REFUSED,
        body=FolderParameters,
        example=IN_FOLDER,
        security=SECRET,
        deprecated=True,
    ),
    ("POST", "/folder/metadata"): Operation(
        (), _REFUSED, body=MetadataParameters, example=IN_FOLDER, security=SECRET, deprecated=True
    ),
    ("GET", "/volume/quota"): _QUOTA,
    ("PATCH", "/volume/quota"): _QUOTA,
}
