"""Deleted folders."""

from __future__ import annotations

from typing import Final

from gateway.manager.trash import ListParameters, TrashParameters
from gateway.openapi.answers.trash import TrashList
from gateway.openapi.examples import IN_FOLDER, IN_VOLUME
from gateway.openapi.fields import IDEMPOTENCY_KEY
from gateway.openapi.operations.common import asked, done, json, queried
from gateway.openapi.operations.operation import Operation, Table
from gateway.openapi.refusals import (
    CHANGING,
    FOLDER_CONFLICT,
    LOCKED,
    NO_FOLDER,
    NO_SCOPE,
    NO_VOLUME,
    STORAGE,
    UNSUPPORTED,
    Refusals,
)


def _done_with(words: str, refusals: Refusals = ()) -> Operation:
    return asked(
        TrashParameters,
        IN_FOLDER,
        done(words),
        refusals=(*CHANGING, *refusals, *NO_FOLDER, *LOCKED, *FOLDER_CONFLICT, *UNSUPPORTED),
        fields=(IDEMPOTENCY_KEY,),
    )


TABLE: Final[Table] = {
    ("GET", "/trash"): queried(
        ListParameters, IN_VOLUME, json(TrashList, "what can be had back"), refusals=(*NO_VOLUME, *STORAGE)
    ),
    ("POST", "/folder/restore"): _done_with("it is back at its place", NO_SCOPE),
    ("POST", "/folder/purge"): _done_with("it is purged"),
}
