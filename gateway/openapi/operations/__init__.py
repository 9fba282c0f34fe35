"""Every operation of both ports."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from gateway.openapi.operations.about import CLIENT as _ABOUT_CLIENT
from gateway.openapi.operations.about import MANAGER as _ABOUT_MANAGER
from gateway.openapi.operations.collection import TABLE as _COLLECTION
from gateway.openapi.operations.downloads import TABLE as _DOWNLOADS
from gateway.openapi.operations.events import TABLE as _EVENTS
from gateway.openapi.operations.files import TABLE as _FILES
from gateway.openapi.operations.folders import TABLE as _FOLDERS
from gateway.openapi.operations.keyed import TABLE as _KEYED
from gateway.openapi.operations.operation import Operation, Reply, Table
from gateway.openapi.operations.quotas import TABLE as _QUOTAS
from gateway.openapi.operations.resumable import TABLE as _RESUMABLE
from gateway.openapi.operations.tasks import TABLE as _TASKS
from gateway.openapi.operations.transfers import TABLE as _TRANSFERS
from gateway.openapi.operations.trash import TABLE as _TRASH
from gateway.openapi.operations.uploads import TABLE as _UPLOADS
from gateway.openapi.operations.vestiges import TABLE as _VESTIGES
from gateway.openapi.operations.volumes import TABLE as _VOLUMES

__all__ = ["CLIENT", "MANAGER", "Operation", "Reply", "Table"]

MANAGER: Final[Table] = {
    **_ABOUT_MANAGER,
    **_VOLUMES,
    **_QUOTAS,
    **_FOLDERS,
    **_FILES,
    **_TRANSFERS,
    **_EVENTS,
    **_TASKS,
    **_TRASH,
    **_KEYED,
    **_VESTIGES,
}
_FOR_PAGES: Final[Table] = {**_ABOUT_CLIENT, **_DOWNLOADS, **_COLLECTION, **_RESUMABLE}
#: Those of `/uploads` are there where the settings switch them on. Answers differ by the page that asks, but on the
#: token URL.
CLIENT: Final[Table] = {
    **{key: replace(one, always=(*one.always, "Vary")) for key, one in _FOR_PAGES.items()},
    **_UPLOADS,
}
