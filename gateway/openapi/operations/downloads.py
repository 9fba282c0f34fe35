"""Downloads: files by ranges, and archives."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from gateway.client.downloads import ArchiveParameters, DownloadParameters
from gateway.openapi.fields import CONDITIONS, RANGES, RANGES_BY_TAG, TAGS, WANT_CONTENT_DIGEST, WANT_DIGEST
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
    READING,
    STORAGE,
    TOO_LARGE,
    TOO_MANY,
    WRONG,
)

_ARCHIVE: Final = ("application/zip", "application/x-tar", "application/gzip", "application/zstd")
_BYTES: Final = ("application/octet-stream",)
#: A file that is to be shown has its own media type.
_FILE: Final = (*_BYTES, *_ARCHIVE, "*/*")
#: What the wording of an early end is, wherever files are sent.
ENDS_EARLY: Final = "the connection ends early if it is written to meanwhile"
_NAMED: Final = ("Content-Disposition", "Cache-Control", "X-Content-Type-Options")
_OF_ARCHIVE: Final = ("ETag",)
_OF_FILE: Final = ("ETag", "Last-Modified")
#: Header fields of a file, whole.
FILE_FIELDS: Final = (
    *_OF_FILE,
    *_NAMED,
    "Accept-Ranges",
    "Repr-Digest",
    "Content-Digest",
    "X-Checksum-Sha256",
)

_FAILED: Final = Reply(412, "it is not as the client thinks; without a body", fields=_NAMED)
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


def file_replies(*more: str, media: tuple[str, ...] = _BYTES) -> tuple[Reply, ...]:
    """What is sent of a file.

    Args:
        more: header fields besides those all files have.
    """
    fields = (*FILE_FIELDS, *more)
    part = tuple(name for name in fields if name != "X-Checksum-Sha256")
    return _replies(Reply(200, f"all of it; {ENDS_EARLY}", media=media, fields=fields), part, (*_OF_FILE, *more))


def _replies(whole: Reply, part: tuple[str, ...], tags: tuple[str, ...]) -> tuple[Reply, ...]:
    """What is sent of bytes that can be asked for in parts.

    Args:
        part: header fields where some of it is sent.
        tags: and where nothing is.
    """
    many = (*whole.media, "multipart/byteranges")
    return (
        whole,
        Reply(206, "the ranges that were asked for", media=many, fields=(*part, "Content-Range")),
        Reply(304, "it is as the client has it", fields=(*tags, *_NAMED)),
        _FAILED,
        Reply(416, "all ranges begin behind its end; without a body", fields=(*tags, *_NAMED, "Content-Range")),
    )


_DOWNLOAD: Final = Operation(
    file_replies("Content-Security-Policy", media=_FILE),
    (*_REFUSED, *READING, *CONFLICT),
    query=DownloadParameters,
    fields=(*CONDITIONS, *RANGES, WANT_DIGEST, WANT_CONTENT_DIGEST),
    security=("token",),
)
_PACKED: Final = (*_OF_ARCHIVE, *_NAMED, "Accept-Ranges")
_SELECTION: Final = Operation(
    _replies(
        Reply(
            200,
            "all of it; the connection ends early if what is in it changes before it was sent",
            media=_ARCHIVE,
            fields=_PACKED,
        ),
        _PACKED,
        _OF_ARCHIVE,
    ),
    (*_REFUSED, *BAD_PATH, *NO_SELECTION, *BUS, *CONFLICT),
    query=ArchiveParameters,
    fields=(*TAGS, *RANGES_BY_TAG),
    security=("token",),
)
#: What only those who are sent bytes can ask for.
_OF_BYTES: Final = (*RANGES, *RANGES_BY_TAG, WANT_CONTENT_DIGEST)


def _head(operation: Operation) -> Operation:
    """The same without a body; ranges are for GET alone (RFC 9110 section 14.2)."""
    whole = operation.replies[0]
    told = Reply(200, "what GET would answer", fields=tuple(n for n in whole.fields if n != "Content-Digest"))
    others = tuple(reply for reply in operation.replies if reply.status in (304, 412))
    fields = tuple(field for field in operation.fields if field not in _OF_BYTES)
    return replace(operation, replies=(told, *others), fields=fields)


TABLE: Final[Table] = {
    ("GET", "/download"): _DOWNLOAD,
    ("HEAD", "/download"): _head(_DOWNLOAD),
    ("GET", "/download-archive"): _SELECTION,
    ("HEAD", "/download-archive"): _head(_SELECTION),
}
