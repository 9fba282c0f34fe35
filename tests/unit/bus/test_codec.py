"""The wire form: read what is written, refuse everything else, accept what later releases append."""

from __future__ import annotations

from contextlib import suppress
from uuid import uuid4

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bus.codec import (
    decode_document,
    decode_envelope,
    decode_reply,
    encode_document,
    encode_envelope,
    encode_reply,
)
from domain.envelope import Envelope, Failure, Flag, Origin, Reply, Trace
from domain.errors import ErrorCode, MalformedEventError, Retry
from domain.ids import VolumeName

texts = st.text(st.characters(codec="utf-8"), max_size=20)
values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False) | texts | st.binary(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)
bodies = st.dictionaries(texts, values, max_size=4)
times = st.integers(0, 2**41).map(lambda milliseconds: milliseconds / 1000)
envelopes = st.builds(
    Envelope,
    id=st.uuids(),
    type=texts,
    schema_version=st.integers(1, 1000),
    volume=st.just(VolumeName("disk")),
    key=texts,
    body=bodies,
    time=times,
    deadline=st.none() | times,
    attempt=st.integers(0, 100),
    origin=st.builds(
        Origin,
        texts,
        texts,
        st.none() | st.uuids(),
        st.none() | st.uuids(),
        st.builds(Trace, texts, texts),
    ),
    reply_to=texts,
    flags=st.sampled_from(list(Flag)),
)
replies = st.builds(
    Reply,
    st.uuids(),
    st.none() | st.builds(Failure, st.sampled_from(ErrorCode), st.sampled_from(Retry), texts, texts),
    bodies,
)


@given(envelopes)
def test_envelopes_are_read_as_they_are_written(envelope: Envelope) -> None:
    assert decode_envelope(encode_envelope(envelope)) == envelope


@given(envelopes, st.lists(values, min_size=1, max_size=3))
def test_fields_appended_by_later_releases_are_passed_over(envelope: Envelope, more: list[object]) -> None:
    fields = msgpack.unpackb(encode_envelope(envelope))
    assert decode_envelope(msgpack.packb(fields + more)) == envelope


@given(replies)
def test_replies_are_read_as_they_are_written(reply: Reply) -> None:
    assert decode_reply(encode_reply(reply)) == reply


@given(bodies)
def test_documents_are_read_as_they_are_written(document: dict[str, object]) -> None:
    assert decode_document(encode_document(document)) == document


@given(st.binary(max_size=200))
def test_other_bytes_are_refused_with_one_error(data: bytes) -> None:
    for decode in (decode_envelope, decode_reply, decode_document):
        try:
            decode(data)
        except MalformedEventError:
            continue


@given(envelopes, st.integers(0, 17), values)
def test_a_field_of_another_kind_is_refused_or_harmless(envelope: Envelope, place: int, value: object) -> None:
    fields = msgpack.unpackb(encode_envelope(envelope))
    fields[place] = value
    with suppress(MalformedEventError):
        assert isinstance(decode_envelope(msgpack.packb(fields)), Envelope)


@pytest.mark.parametrize(
    "data", [b"", b"\x00", b"\x90", b"\x80", msgpack.packb([2] * 18), b"\xc1", b"\xdd\xff\xff\xff\xff"]
)
def test_what_is_no_envelope(data: bytes) -> None:
    with pytest.raises(MalformedEventError):
        decode_envelope(data)


@pytest.mark.parametrize("place", [1, 13, 14])
def test_an_id_has_to_be_bytes(place: int) -> None:
    made = Envelope(
        id=uuid4(),
        type="t",
        schema_version=1,
        volume=VolumeName("disk"),
        key="",
        body={},
        time=1.0,
        origin=Origin(),
    )
    fields = msgpack.unpackb(encode_envelope(made))
    fields[place] = "0" * 16
    with pytest.raises(MalformedEventError):
        decode_envelope(msgpack.packb(fields))
