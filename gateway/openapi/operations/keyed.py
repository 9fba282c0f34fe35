"""Volumes, quota scopes and folders by their keys in the path."""

from __future__ import annotations

from typing import Any, Final

from gateway.manager.keyed import CloneParameters, InfoParameters, ScopeParameters
from gateway.openapi.answers.folder import FolderItem
from gateway.openapi.answers.quota import QuotaUse
from gateway.openapi.answers.volume import VolumeItem
from gateway.openapi.examples import CLONE, LIMIT
from gateway.openapi.fields import IDEMPOTENCY_KEY
from gateway.openapi.operations.common import asked, bare, done, json
from gateway.openapi.operations.operation import Operation, Reply, Table
from gateway.openapi.refusals import (
    BAD_PATH,
    BUS,
    CHANGING,
    FOLDER_CONFLICT,
    FOLDER_GONE,
    LOCKED,
    NO_FOLDER,
    NO_OPTIONS,
    NO_SCOPE,
    NO_VOLUME,
    SCOPE_CONFLICT,
    STORAGE,
    UNSUPPORTED,
    WRONG,
    Refusals,
)

_SCOPE: Final = "/volumes/{volume}/quota-scope/{type}/{uuid}"
_FOLDER: Final = f"{_SCOPE}/vfolder/{{folder}}"
_KEYED: Final = (IDEMPOTENCY_KEY,)
_LIMITED: Final = {"options": LIMIT}


def _named(reply: Reply, refusals: Refusals, **more: Any) -> Operation:
    """What is asked of what the path names."""
    return bare(reply, refusals=(*WRONG, *NO_VOLUME, *refusals), **more)


TABLE: Final[Table] = {
    ("GET", "/volumes/{volume}"): bare(json(VolumeItem, "what it is"), refusals=NO_VOLUME),
    ("GET", _SCOPE): _named(json(QuotaUse, "its limit and its use"), (*NO_SCOPE, *STORAGE, *BUS)),
    ("POST", _SCOPE): asked(
        ScopeParameters, _LIMITED, done("it is there"), refusals=(*CHANGING, *SCOPE_CONFLICT), fields=_KEYED
    ),
    ("PUT", _SCOPE): asked(
        ScopeParameters,
        _LIMITED,
        done("it is there, and the limit holds"),
        refusals=(*CHANGING, *NO_OPTIONS),
        fields=_KEYED,
    ),
    ("DELETE", _SCOPE): _named(done("there is no limit"), (*CHANGING, *NO_SCOPE), fields=_KEYED),
    ("GET", _FOLDER): asked(
        InfoParameters,
        {"subpath": "."},
        json(FolderItem, "where it is and what it holds", fields=("X-Penstock-Usage-Age",)),
        refusals=(*BAD_PATH, *FOLDER_GONE, *LOCKED, *STORAGE, *BUS),
    ),
    ("POST", _FOLDER): _named(done("it is there"), (*CHANGING, *FOLDER_CONFLICT), fields=_KEYED),
    ("DELETE", _FOLDER): _named(
        done("it is gone; what it held is purged later"), (*CHANGING, *FOLDER_GONE, *LOCKED), fields=_KEYED
    ),
    ("PUT", f"{_FOLDER}/clone"): asked(
        CloneParameters,
        {"dst_vfid": CLONE},
        done("it is there", fields=("X-Penstock-Task",)),
        refusals=(*CHANGING, *NO_FOLDER, *FOLDER_CONFLICT, *UNSUPPORTED),
        fields=_KEYED,
    ),
}
