"""Events as they are written down until the bus has them."""

from __future__ import annotations

import pytest

from bus.codec import encode_document, pack
from bus.conformance.words import VOLUME, a_folder
from bus.emission import Emission, EmittedRecord
from domain.catalogue import Unindex
from domain.envelope import Envelope, wrap_event
from domain.errors import MalformedEventError
from domain.events import DirectoryCreated
from domain.ids import uuid7


def an_event() -> Envelope:
    event = DirectoryCreated(volume=VOLUME, folder=a_folder(), paths=["a", "b/c"])
    return wrap_event(event, id=uuid7(1, b"0123456789"), time=1.5)


@pytest.mark.parametrize(
    "record",
    [
        None,
        EmittedRecord("upload:1", {"length": 3, "metadata": "é"}, 12.5),
        EmittedRecord("upload:1", {}, 1, 7, (Unindex("index:é", "m:1"), Unindex("b", "c"))),
    ],
)
def test_what_was_written_is_read(record: EmittedRecord | None) -> None:
    emission = Emission(an_event(), record)
    assert Emission.decode(emission.encode()) == emission


def test_what_a_later_release_appends_is_passed_over() -> None:
    event, record = an_event(), EmittedRecord("upload:1", {}, 1)
    data = Emission(event, record).encode()
    assert Emission.decode(b"\x93" + data[1:] + pack("more")) == Emission(event, record)


def test_what_was_written_before_records_could_change_is_read() -> None:
    event = an_event()
    data = pack([Emission(event).event_data, ["upload:1", encode_document({"a": 1}), 1500]])
    assert Emission.decode(data) == Emission(event, EmittedRecord("upload:1", {"a": 1}, 1.5))


@pytest.mark.parametrize("data", [b"", b"\xc1", b"\x90", b"\x92\xc0\xc0", pack([b"x", None]), pack({}), pack(7)])
def test_anything_else_is_malformed(data: bytes) -> None:
    with pytest.raises(MalformedEventError):
        Emission.decode(data)


def test_a_record_that_is_none_is_malformed() -> None:
    data = Emission(an_event()).encode()
    with pytest.raises(MalformedEventError):
        Emission.decode(data[:-1] + pack([1]))
