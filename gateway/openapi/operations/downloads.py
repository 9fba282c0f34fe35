"""Downloads: files by ranges, and archives."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from gateway.client.downloads import ArchiveParameters, DownloadParameters
from gateway.openapi.fields import CONDITIONS, RANGES, WANT_DIGEST
from gateway.openapi.operations.operation import Operation, Reply, Table
from gateway.openapi.refusals import (
    BAD_PATH,
    BUS,
    CONFLICT,
    LOCKED,
    NO_FILE,
    NO_FOLDER,
    NO_SELECTION,
    NO_TOKEN,
    NO_VOLUME,
    NOT_PERMITTED,
    STORAGE,
    TOO_LARGE,
    TOO_MANY,
    WRONG,
)
from gateway.openapi.refusals import FILE as OF_FILE

_ARCHIVE: Final = ("application/zip", "application/x-tar", "application/gzip", "application/zstd")
_BYTES: Final = ("application/octet-stream",)
#: A file that is to be shown has its own media type.
_FILE: Final = (*_BYTES, *_ARCHIVE, "*/*")
_TAGS: Final = ("ETag", "Last-Modified")
_NAMED: Final = "Content-Disposition"
_HEAD: Final = (*_TAGS, "Accept-Ranges", _NAMED)
#: Header fields of a file.
FILE_FIELDS: Final = (*_HEAD, "Repr-Digest")

_UNCHANGED: Final = Reply(304, "it is as the client has it", fields=(*_TAGS, _NAMED))
_FAILED: Final = Reply(412, "it is not as the client thinks; without a body", fields=(_NAMED,))
_REFUSED: Final = (
    *TOO_MANY,
    *WRONG,
    *NO_TOKEN,
    *NOT_PERMITTED,
    *TOO_LARGE,
    *NO_VOLUME,
    *NO_FILE,
    *NO_FOLDER,
    *LOCKED,
    *STORAGE,
)


def file_replies(*fields: str, media: tuple[str, ...] = _BYTES) -> tuple[Reply, ...]:
    """What is sent of bytes that can be asked for in parts."""
    many = (*media, "multipart/byteranges")
    return (
        Reply(200, "all of it; the connection ends early if it changes meanwhile", media=media, fields=fields),
        Reply(206, "the ranges that were asked for", media=many, fields=(*fields, "Content-Range")),
        _UNCHANGED,
        _FAILED,
        Reply(416, "all ranges begin behind its end; without a body", fields=(*_TAGS, _NAMED, "Content-Range")),
    )


_DOWNLOAD: Final = Operation(
    file_replies(*FILE_FIELDS, media=_FILE),
    (*_REFUSED, *OF_FILE, *CONFLICT),
    query=DownloadParameters,
    fields=(*CONDITIONS, *RANGES, WANT_DIGEST),
    security=("token",),
)
_SELECTION: Final = Operation(
    file_replies("ETag", "Accept-Ranges", _NAMED, media=_ARCHIVE),
    (*_REFUSED, *BAD_PATH, *NO_SELECTION, *BUS, *CONFLICT),
    query=ArchiveParameters,
    fields=(*CONDITIONS, *RANGES),
    security=("token",),
)


def _head(operation: Operation) -> Operation:
    """The same without a body; ranges are for GET alone (RFC 9110 section 14.2)."""
    told = Reply(200, "what GET would answer", fields=operation.replies[0].fields)
    fields = tuple(field for field in operation.fields if field not in RANGES)
    return replace(operation, replies=(told, _UNCHANGED, _FAILED), fields=fields)


TABLE: Final[Table] = {
    ("GET", "/download"): _DOWNLOAD,
    ("HEAD", "/download"): _head(_DOWNLOAD),
    ("GET", "/download-archive"): _SELECTION,
    ("HEAD", "/download-archive"): _head(_SELECTION),
}
