"""Folders: made, taken away, copied, moved, and looked at."""

from __future__ import annotations

from typing import Final

from gateway.manager.clones import CloneParameters, MigrateParameters
from gateway.manager.folders import CreateParameters, ListParameters, MountParameters
from gateway.openapi.answers.folder import FolderMount, FolderPage, FolderSpace, FolderState, FolderUsage
from gateway.openapi.answers.task import AcceptedJob, DoneAtOnce, StartedTask
from gateway.openapi.examples import CLONE, FOLDER, IN_FOLDER, IN_VOLUME, NEW_FOLDER, VOLUME
from gateway.openapi.fields import IDEMPOTENCY_KEY
from gateway.openapi.operations.common import asked, done, json, queried
from gateway.openapi.operations.operation import Operation, Reply, Table
from gateway.openapi.refusals import (
    BUS,
    CHANGING,
    FOLDER_CONFLICT,
    LOCKED,
    NO_FOLDER,
    NO_MOUNT,
    NO_VOLUME,
    STORAGE,
    TELLING,
    UNSUPPORTED,
)
from gateway.parameters import FolderParameters

_KEYED: Final = (IDEMPOTENCY_KEY,)
_AGE: Final = ("X-Penstock-Usage-Age",)
_COPY: Final = {"src_volume": VOLUME, "src_vfid": FOLDER, "dst_volume": None, "dst_vfid": CLONE}


def _looked_at(reply: Reply) -> Operation:
    """A folder that is counted."""
    return asked(FolderParameters, IN_FOLDER, reply, refusals=(*NO_FOLDER, *LOCKED, *STORAGE, *BUS))


TABLE: Final[Table] = {
    ("POST", "/folder/create"): asked(
        CreateParameters,
        {**IN_VOLUME, "vfid": NEW_FOLDER},
        done("it is there"),
        refusals=(*CHANGING, *FOLDER_CONFLICT),
        fields=_KEYED,
    ),
    ("POST", "/folder/delete"): asked(
        FolderParameters,
        IN_FOLDER,
        json(AcceptedJob, "accepted; it goes at once, what it held later", 202),
        refusals=TELLING,
        fields=_KEYED,
    ),
    ("POST", "/folder/clone"): asked(
        CloneParameters,
        _COPY,
        json(AcceptedJob, "accepted; how it ends is told by events and by the task"),
        refusals=TELLING,
        fields=_KEYED,
    ),
    ("POST", "/folder/migrate"): asked(
        MigrateParameters,
        _COPY,
        json(DoneAtOnce, "it is at its new place"),
        json(StartedTask, "accepted; it is copied to another volume", 202),
        refusals=(*CHANGING, *NO_FOLDER, *LOCKED, *FOLDER_CONFLICT, *UNSUPPORTED),
        fields=_KEYED,
    ),
    ("GET", "/folder/status"): asked(
        FolderParameters,
        IN_FOLDER,
        json(FolderState, "whether it can be used, and why not"),
        refusals=(*NO_FOLDER, *STORAGE, *BUS),
    ),
    ("GET", "/folder/mount"): asked(
        MountParameters,
        IN_FOLDER,
        json(FolderMount, "where it is"),
        refusals=(*NO_MOUNT, *UNSUPPORTED, *LOCKED, *STORAGE),
    ),
    ("GET", "/folder/usage"): _looked_at(json(FolderUsage, "its entries and their sizes", fields=_AGE)),
    ("GET", "/folder/used-bytes"): _looked_at(json(FolderSpace, "the space it takes", fields=_AGE)),
    ("GET", "/folders"): queried(
        ListParameters, IN_VOLUME, json(FolderPage, "a page of the catalogue"), refusals=(*NO_VOLUME, *BUS)
    ),
}
