"""Every operation of both ports: what it takes and what it answers. Words come from the handlers themselves."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from pydantic import BaseModel

from gateway.client import access, downloads, token_uploads
from gateway.manager import (
    clones,
    contents,
    events,
    files,
    folders,
    keyed,
    quota_scopes,
    tasks,
    transfers,
    trash,
    vestiges,
    volumes,
)
from gateway.parameters import FolderParameters, Parameters

Model = type[BaseModel]


class NoParameters(Parameters):
    """Nothing."""


@dataclass(frozen=True, slots=True)
class Operation:
    """One method of one path."""

    #: Parameters of the JSON body, of the query.
    body: Model | None = None
    query: Model | None = None
    #: Status of success, and what comes with it: a media type, or nothing.
    status: int = 200
    answer: str = "application/json"
    #: Other statuses that are no errors of the caller's.
    more: tuple[int, ...] = ()
    #: Header fields it looks at.
    headers: tuple[str, ...] = ()
    #: Whether it takes bytes.
    bytes: bool = False


_BYTES: Final = "application/octet-stream"
_TUS: Final = ("Tus-Resumable",)
_PATCH: Final = (*_TUS, "Upload-Offset")
_SCOPE: Final = "/volumes/{volume}/quota-scope/{type}/{uuid}"
_FOLDER: Final = f"{_SCOPE}/vfolder/{{folder}}"

Table = Mapping[tuple[str, str], Operation]

MANAGER: Final[Table] = {
    ("GET", "/"): Operation(),
    ("GET", "/status"): Operation(),
    ("GET", "/health"): Operation(),
    ("GET", "/openapi.json"): Operation(),
    ("GET", "/docs"): Operation(answer="text/html"),
    ("GET", "/volumes"): Operation(),
    ("GET", "/volumes/{volume}"): Operation(),
    ("GET", "/volume/hwinfo"): Operation(volumes.VolumeParameters),
    ("GET", "/volume/performance-metric"): Operation(volumes.VolumeParameters),
    ("GET", "/folder/fs-usage"): Operation(volumes.VolumeParameters),
    ("POST", "/quota-scope"): Operation(quota_scopes.CreateParameters, status=204, answer=""),
    ("GET", "/quota-scope"): Operation(quota_scopes.ScopeParameters),
    ("PATCH", "/quota-scope"): Operation(quota_scopes.UpdateParameters, status=204, answer=""),
    ("GET", "/folder/quota"): Operation(FolderParameters),
    ("PUT", "/folder/quota"): Operation(quota_scopes.FolderQuotaParameters, status=204, answer=""),
    ("DELETE", "/quota-scope/quota"): Operation(quota_scopes.ScopeParameters, status=204, answer=""),
    ("POST", "/folder/create"): Operation(folders.CreateParameters, status=204, answer=""),
    ("POST", "/folder/delete"): Operation(FolderParameters, status=202),
    ("POST", "/folder/clone"): Operation(clones.CloneParameters),
    ("POST", "/folder/migrate"): Operation(clones.MigrateParameters),
    ("GET", "/folder/status"): Operation(FolderParameters),
    ("GET", "/folder/mount"): Operation(folders.MountParameters),
    ("GET", "/folder/usage"): Operation(FolderParameters),
    ("GET", "/folder/used-bytes"): Operation(FolderParameters),
    ("GET", "/folders"): Operation(query=folders.ListParameters),
    ("GET", "/folder/metadata"): Operation(FolderParameters),
    ("POST", "/folder/metadata"): Operation(vestiges.MetadataParameters),
    ("GET", "/volume/quota"): Operation(vestiges.QuotaParameters, status=400, answer=""),
    ("PATCH", "/volume/quota"): Operation(vestiges.QuotaParameters, status=400, answer=""),
    ("POST", "/folder/file/mkdir"): Operation(files.MakeParameters, more=(207, 422)),
    ("POST", "/folder/file/list"): Operation(files.PathParameters),
    ("POST", "/folder/file/rename"): Operation(files.RenameParameters, status=204, answer=""),
    ("POST", "/folder/file/move"): Operation(files.MoveParameters, status=204, answer=""),
    ("POST", "/folder/file/fetch"): Operation(files.PathParameters, answer=_BYTES),
    ("POST", "/folder/file/delete"): Operation(files.DeleteParameters),
    ("POST", "/folder/file/delete-async"): Operation(files.DeleteAsyncParameters, status=202),
    ("POST", "/folder/file/upload"): Operation(transfers.UploadParameters),
    ("POST", "/folder/file/upload-below"): Operation(transfers.UploadBelowParameters),
    ("POST", "/folder/file/download"): Operation(transfers.DownloadParameters),
    ("POST", "/folder/file/archive-download-token"): Operation(transfers.ArchiveParameters),
    ("POST", "/folder/file/copy"): Operation(contents.CopyParameters),
    ("POST", "/folder/file/verify"): Operation(contents.VerifyParameters),
    ("GET", "/tasks"): Operation(query=tasks.ListParameters),
    ("POST", "/tasks"): Operation(body=tasks.StartParameters, status=202),
    ("GET", "/tasks/{task}"): Operation(),
    ("GET", "/tasks/{task}/events"): Operation(answer="text/event-stream"),
    ("DELETE", "/tasks/{task}"): Operation(status=202),
    ("GET", "/trash"): Operation(query=trash.ListParameters),
    ("POST", "/folder/restore"): Operation(trash.TrashParameters, status=204, answer=""),
    ("POST", "/folder/purge"): Operation(trash.TrashParameters, status=204, answer=""),
    ("GET", "/events"): Operation(
        query=events.EventParameters, answer="text/event-stream", headers=("Last-Event-ID",)
    ),
    ("GET", _SCOPE): Operation(),
    ("POST", _SCOPE): Operation(keyed.ScopeParameters, status=204, answer=""),
    ("PUT", _SCOPE): Operation(keyed.ScopeParameters, status=204, answer=""),
    ("DELETE", _SCOPE): Operation(status=204, answer=""),
    ("GET", _FOLDER): Operation(keyed.InfoParameters),
    ("POST", _FOLDER): Operation(NoParameters, status=204, answer=""),
    ("DELETE", _FOLDER): Operation(status=204, answer=""),
    ("PUT", f"{_FOLDER}/clone"): Operation(keyed.CloneParameters, status=204, answer=""),
}

CLIENT: Final[Table] = {
    ("GET", "/"): Operation(),
    ("GET", "/openapi.json"): Operation(),
    ("GET", "/docs"): Operation(answer="text/html"),
    ("GET", "/download"): Operation(query=downloads.DownloadParameters, answer=_BYTES, more=(206, 304)),
    ("GET", "/download-archive"): Operation(query=downloads.ArchiveParameters, answer=_BYTES, more=(206, 304)),
    ("HEAD", "/upload"): Operation(query=token_uploads.UploadParameters, answer="", headers=_TUS),
    ("PATCH", "/upload"): Operation(
        query=token_uploads.UploadParameters, status=204, answer="", headers=_PATCH, bytes=True
    ),
    ("POST", "/files"): Operation(
        query=access.TokenParameters,
        status=201,
        answer="",
        headers=(*_TUS, "Upload-Length", "Upload-Metadata", "Upload-Concat", "Upload-Defer-Length"),
        bytes=True,
    ),
    ("HEAD", "/files/{session}"): Operation(query=access.TokenParameters, answer="", headers=_TUS),
    ("PATCH", "/files/{session}"): Operation(
        query=access.TokenParameters, status=204, answer="", headers=_PATCH, bytes=True
    ),
    ("POST", "/files/{session}"): Operation(
        query=access.TokenParameters, status=204, answer="", headers=(*_PATCH, "X-HTTP-Method-Override"), bytes=True
    ),
    ("DELETE", "/files/{session}"): Operation(query=access.TokenParameters, status=204, answer="", headers=_TUS),
}
