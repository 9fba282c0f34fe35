"""Quota scopes, and limits of single folders."""

from __future__ import annotations

from typing import Final

from gateway.manager.quota_scopes import (
    CreateParameters,
    FolderQuotaParameters,
    ScopeParameters,
    UpdateParameters,
)
from gateway.openapi.answers.quota import QuotaUse
from gateway.openapi.examples import IN_FOLDER, IN_SCOPE, LIMIT
from gateway.openapi.fields import IDEMPOTENCY_KEY
from gateway.openapi.operations.common import asked, done, json
from gateway.openapi.operations.operation import Table
from gateway.openapi.refusals import (
    BUS,
    CHANGING,
    LOCKED,
    NO_FOLDER,
    NO_SCOPE,
    SCOPE_CONFLICT,
    STORAGE,
    UNSUPPORTED,
)
from gateway.parameters import FolderParameters

_KEYED: Final = (IDEMPOTENCY_KEY,)
_LIMITED: Final = {"options": LIMIT}

TABLE: Final[Table] = {
    ("POST", "/quota-scope"): asked(
        CreateParameters,
        {**IN_SCOPE, **_LIMITED},
        done("it is there"),
        refusals=(*CHANGING, *SCOPE_CONFLICT),
        fields=_KEYED,
    ),
    ("GET", "/quota-scope"): asked(
        ScopeParameters, IN_SCOPE, json(QuotaUse, "its limit and its use"), refusals=(*NO_SCOPE, *STORAGE, *BUS)
    ),
    ("PATCH", "/quota-scope"): asked(
        UpdateParameters,
        {**IN_SCOPE, **_LIMITED},
        done("the limit holds; a scope that was not there is"),
        refusals=CHANGING,
        fields=_KEYED,
    ),
    ("DELETE", "/quota-scope/quota"): asked(
        ScopeParameters, IN_SCOPE, done("there is no limit"), refusals=(*CHANGING, *NO_SCOPE), fields=_KEYED
    ),
    ("GET", "/folder/quota"): asked(
        FolderParameters,
        IN_FOLDER,
        json(QuotaUse, "its own limits and its use"),
        refusals=(*NO_FOLDER, *LOCKED, *STORAGE, *BUS),
    ),
    ("PUT", "/folder/quota"): asked(
        FolderQuotaParameters,
        {**IN_FOLDER, **_LIMITED},
        done("the limits hold"),
        refusals=(*CHANGING, *NO_FOLDER, *LOCKED, *UNSUPPORTED),
        fields=_KEYED,
    ),
}
