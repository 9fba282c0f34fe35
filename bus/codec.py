"""The wire form: the only file that knows how envelopes, replies and documents look as bytes.

An envelope is a msgpack array in fixed order, only ever appended to:
`[form, id, type, schema, volume, key, time, deadline, attempt, actor, tenant, traceparent, tracestate,
cause, correlation, reply_to, flags, body]`; ids are 16 bytes, times are milliseconds, the body is a map.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Final
from uuid import UUID

import msgpack

from domain.envelope import Envelope, Failure, Flag, Origin, Reply, Trace
from domain.errors import ErrorCode, InvalidRequestError, MalformedEventError, Retry
from domain.ids import VolumeName

#: Version of the array's layout.
ENVELOPE_FORM: Final = 1
_FIELDS: Final = 18
#: Which of them is the type.
_TYPE: Final = 2
#: No text, array or map inside an envelope may be longer than this, in bytes or items.
_MAX_ITEM: Final = 1 << 20


def encode_envelope(envelope: Envelope) -> bytes:
    """Write an envelope."""
    origin = envelope.origin
    return pack(
        [
            ENVELOPE_FORM,
            envelope.id.bytes,
            envelope.type,
            envelope.schema_version,
            envelope.volume,
            envelope.key,
            milliseconds(envelope.time),
            None if envelope.deadline is None else milliseconds(envelope.deadline),
            envelope.attempt,
            origin.actor,
            origin.tenant,
            origin.trace.parent,
            origin.trace.state,
            _bytes_or_none(origin.cause),
            _bytes_or_none(origin.correlation),
            envelope.reply_to,
            int(envelope.flags),
            dict(envelope.body),
        ]
    )


def decode_envelope(data: bytes) -> Envelope:
    """Read an envelope; fields appended by later versions are passed over.

    Raises:
        MalformedEventError: the bytes are no envelope.
    """
    try:
        return _envelope(unpack(data))
    except MalformedEventError:
        raise
    except (ValueError, TypeError, KeyError, InvalidRequestError) as error:
        raise MalformedEventError(f"not an envelope: {error}") from error


def is_wanted(data: bytes, types: Collection[str] | None) -> bool:
    """Whether an envelope is of one of these types (None: of whatever type), without reading all of it.

    Most of what a follower passes over is passed over here. What is no envelope is wanted: reading it tells.
    """
    if types is None:
        return True
    try:
        return unpack(data)[_TYPE] in types
    except (ValueError, TypeError, LookupError):
        return True


def _envelope(fields: Any) -> Envelope:
    if not isinstance(fields, list) or len(fields) < _FIELDS or fields[0] != ENVELOPE_FORM:
        raise MalformedEventError("not an envelope: wrong layout")
    (_, id_, type_, schema, volume, key, time, deadline, attempt, actor, tenant, parent, state) = fields[:13]
    (cause, correlation, reply_to, flags, body) = fields[13:_FIELDS]
    texts = (type_, key, actor, tenant, parent, state, reply_to)
    if not all(isinstance(text, str) for text in texts) or not isinstance(body, dict):
        raise MalformedEventError("not an envelope: a field has the wrong type")
    return Envelope(
        id=_uuid(id_),
        type=type_,
        schema_version=int(schema),
        volume=VolumeName(volume),
        key=key,
        body=body,
        time=seconds(time),
        deadline=None if deadline is None else seconds(deadline),
        attempt=int(attempt),
        origin=Origin(actor, tenant, _uuid_or_none(cause), _uuid_or_none(correlation), Trace(parent, state)),
        reply_to=reply_to,
        flags=Flag(flags),
    )


def encode_reply(reply: Reply) -> bytes:
    """Write a reply."""
    failure = reply.failure
    told = None if failure is None else [failure.code, failure.retry, failure.detail, failure.subject]
    return pack([reply.command.bytes, told, dict(reply.result)])


def decode_reply(data: bytes) -> Reply:
    """Read a reply.

    Raises:
        MalformedEventError: the bytes are no reply.
    """
    try:
        command, told, result = unpack(data)
        failure = told and Failure(ErrorCode(told[0]), Retry(told[1]), str(told[2]), str(told[3]))
        return Reply(_uuid(command), failure, result)
    except (ValueError, TypeError, LookupError) as error:
        raise MalformedEventError(f"not a reply: {error}") from error


def encode_document(document: Mapping[str, object]) -> bytes:
    """Write a shared document."""
    return pack(dict(document))


def decode_document(data: bytes) -> dict[str, object]:
    """Read a shared document.

    Raises:
        MalformedEventError: the bytes are no document.
    """
    try:
        document = unpack(data)
    except ValueError as error:
        raise MalformedEventError(f"not a document: {error}") from error
    if not isinstance(document, dict):
        raise MalformedEventError("not a document: not a map")
    return document


def milliseconds(time: float) -> int:
    """Unix seconds to whole milliseconds."""
    return round(time * 1000)


def seconds(time: int) -> float:
    """Whole milliseconds to Unix seconds."""
    return int(time) / 1000


def pack(value: object) -> bytes:
    packed: bytes = msgpack.packb(value)
    return packed


def unpack(data: bytes) -> Any:
    try:
        return msgpack.unpackb(
            data, max_str_len=_MAX_ITEM, max_bin_len=_MAX_ITEM, max_array_len=_MAX_ITEM, max_map_len=_MAX_ITEM
        )
    except msgpack.exceptions.UnpackException as error:
        raise ValueError(str(error) or type(error).__name__) from error


def _bytes_or_none(value: UUID | None) -> bytes | None:
    return None if value is None else value.bytes


def _uuid_or_none(value: bytes | None) -> UUID | None:
    return None if value is None else _uuid(value)


def _uuid(value: object) -> UUID:
    if not isinstance(value, bytes):
        raise MalformedEventError("an id is not made of bytes")
    return UUID(bytes=value)
