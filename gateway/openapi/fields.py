"""Header fields: those requests may bring, and those answers have."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Final

from gateway.protocol import tus
from gateway.protocol.checksum import ALGORITHMS

_NUMBER: Final = {"type": "string", "pattern": "^[0-9]{1,15}$"}
_BOOLEAN: Final = {"type": "string", "enum": ["?0", "?1"]}


@dataclass(frozen=True, slots=True)
class Field:
    """A header field: what it means, and the schema of its value."""

    name: str
    words: str
    schema: Any = None
    required: bool = False

    def parameter(self) -> dict[str, Any]:
        """As a parameter of a request."""
        return {
            "name": self.name,
            "in": "header",
            "description": self.words,
            "required": self.required,
            "schema": self.schema or {"type": "string"},
        }

    def header(self) -> dict[str, Any]:
        """As a field of an answer; `required` is told only where it is."""
        told = {"description": self.words, "schema": self.schema or {"type": "string"}}
        return {**told, "required": True} if self.required else told

    @property
    def always(self) -> Field:
        """The same where it must not be missing."""
        return replace(self, required=True)


#: What every request may bring.
COMMON: Final = (
    Field("X-Request-ID", "id of the request, of up to 128 letters, digits and ._:/+=-; else it gets one"),
    Field("traceparent", "W3C Trace Context; it goes with what is asked for to the events that follow"),
    Field("tracestate", "W3C Trace Context"),
)

IDEMPOTENCY_KEY: Final = Field(
    "Idempotency-Key",
    "sent again with the same key, a request gets the answer of the first one and nothing is done again",
    {"type": "string", "pattern": "^[\\x21-\\x7e]{1,255}$"},
)
LAST_EVENT_ID: Final = Field(
    "Last-Event-ID",
    "position of the last event that was seen; those behind it follow",
    {"type": "string", "pattern": "^[0-9]{1,15}(-[0-9]{1,15})?$"},
)

#: What decides on a download. An archive has a tag and no date.
TAGS: Final = (
    Field("If-Match", "entity tags; 412 unless it has one of them, by strong comparison"),
    Field("If-None-Match", "entity tags; 304 if it has one of them"),
)
CONDITIONS: Final = (
    *TAGS,
    Field("If-Modified-Since", "an HTTP date; 304 if the file was not changed since"),
    Field("If-Unmodified-Since", "an HTTP date; 412 if the file was changed since"),
)
_RANGE: Final = Field(
    "Range", "`bytes=` and up to 16 ranges; one that cannot be read, or asks for more than all, is passed over"
)
RANGES: Final = (_RANGE, Field("If-Range", "an entity tag or HTTP date; Range holds only for the file that has it"))
RANGES_BY_TAG: Final = (_RANGE, Field("If-Range", "an entity tag; Range holds only for the archive that has it"))
WANT_DIGEST: Final = Field(
    "Want-Repr-Digest", "`sha-256=1`: the digest that is known of the whole file comes as Repr-Digest"
)
WANT_CONTENT_DIGEST: Final = Field(
    "Want-Content-Digest",
    "`sha-256=1`: that of what is sent comes as Content-Digest, where it is the whole file or up to 256 KiB of it",
)

TUS_RESUMABLE: Final = Field("Tus-Resumable", "version of tus", {"type": "string", "enum": [tus.VERSION]})
UPLOAD_OFFSET: Final = Field("Upload-Offset", "where the body goes: behind what is stored", _NUMBER, required=True)
UPLOAD_LENGTH: Final = Field("Upload-Length", "length of the whole upload, in bytes", _NUMBER)
UPLOAD_DEFER_LENGTH: Final = Field(
    "Upload-Defer-Length", "1: the length is told later", {"type": "string", "enum": ["1"]}
)
UPLOAD_METADATA: Final = Field(
    "Upload-Metadata", "pairs of a key and a Base64 value: `filename`, `relativePath`, `sha256`, `extract`"
)
UPLOAD_CONCAT: Final = Field("Upload-Concat", "`partial`, or `final;` and the URLs of the parts")
UPLOAD_CHECKSUM: Final = Field(
    "Upload-Checksum",
    f"an algorithm ({', '.join(ALGORITHMS)}) and the Base64 of the body's digest",
    {"type": "string", "pattern": f"^({'|'.join(ALGORITHMS)}) [A-Za-z0-9+/]+={{0,2}}$"},
)
METHOD_OVERRIDE: Final = Field(
    "X-HTTP-Method-Override",
    "the method that is meant, for who can only POST",
    {"type": "string", "enum": ["PATCH", "HEAD", "DELETE"]},
    required=True,
)

UPLOAD_COMPLETE: Final = Field("Upload-Complete", "`?1`: the upload ends with this body", _BOOLEAN, required=True)
INTEROP_VERSION: Final = Field(
    "Upload-Draft-Interop-Version",
    "8 or 9: a 104 response tells the Location at once, in the same version",
    {"type": "string", "pattern": "^[0-9]{1,3}$"},
)
CONTENT_DISPOSITION: Final = Field("Content-Disposition", "names the file, unless the token does (RFC 6266)")
REPR_DIGEST: Final = Field("Repr-Digest", "SHA-256, SHA-512 the whole file is to have (RFC 9530)")
CONTENT_DIGEST: Final = Field("Content-Digest", "SHA-256, SHA-512 of the body (RFC 9530)")

#: Fields of answers.
ANSWERED: Final = {
    field.name: field
    for field in (
        Field("X-Request-ID", "id of the request, also in the log", required=True),
        Field(
            "Vary", "by what answers differ beside the URL", {"type": "string", "enum": ["Origin"]}, required=True
        ),
        Field("Cache-Control", "who may keep the answer", {"type": "string", "enum": ["no-store", "private"]}),
        Field("X-Content-Type-Options", "its media type counts", {"type": "string", "enum": ["nosniff"]}),
        Field("X-Accel-Buffering", "a proxy is to pass all on at once", {"type": "string", "enum": ["no"]}),
        Field("Content-Security-Policy", "nothing in it may run, or load anything"),
        Field("Retry-After", "seconds after which it may be tried again", _NUMBER),
        Field("WWW-Authenticate", "how a token is brought", {"type": "string", "enum": ["Bearer"]}),
        Field("Allow", "methods there are"),
        Field("Location", "where what was made is found, relative to this URL"),
        Field("X-Penstock-Task", "id of the task that was begun", {"type": "string", "format": "uuid"}),
        Field("X-Penstock-Usage-Age", "how old the count is, in seconds; absent: of just now", _NUMBER),
        Field("X-Penstock-Truncated", "there are more entries", {"type": "string", "enum": ["true"]}),
        Field("Content-Disposition", "the name to save it under"),
        Field("Content-Range", "which bytes these are, of how many"),
        Field("Accept-Patch", "media types PATCH takes"),
        Field("Accept-Ranges", "ranges can be asked for", {"type": "string", "enum": ["bytes"]}),
        Field("ETag", "a strong entity tag; other bytes have another one"),
        Field("Last-Modified", "when the file was changed last"),
        Field("Repr-Digest", "SHA-256 of the whole file, if it was wanted and is known (RFC 9530)"),
        Field("Content-Digest", "SHA-256 of what is sent, if it was wanted and is known (RFC 9530)"),
        Field(
            "X-Checksum-Sha256",
            "SHA-256 of the whole file, if it is known",
            {"type": "string", "pattern": "^[0-9a-f]{64}$"},
        ),
        TUS_RESUMABLE.always,
        Field("Tus-Version", "versions of tus that are spoken here"),
        Field("Tus-Extension", "extensions of tus that are spoken here"),
        Field("Tus-Max-Size", "largest upload, in bytes", _NUMBER),
        Field("Tus-Checksum-Algorithm", "algorithms of Upload-Checksum"),
        Field("Upload-Offset", "bytes that are stored", _NUMBER),
        Field("Upload-Length", "length of the whole upload; absent: not known yet", _NUMBER),
        Field("Upload-Defer-Length", "the length is not known yet", {"type": "string", "enum": ["1"]}),
        Field("Upload-Metadata", "as it was given"),
        Field("Upload-Concat", "as it was given"),
        Field("Upload-Expires", "when the upload may be dropped; absent: it is finished"),
        Field("Upload-Complete", "whether it is finished", _BOOLEAN),
        Field("Upload-Limit", "what an upload may have: sizes, and how long it is kept"),
    )
}
