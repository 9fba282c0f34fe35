"""Events as they are written down until the bus has them."""

from __future__ import annotations

import pytest

from bus.codec import pack
from bus.conformance.words import VOLUME, a_folder
from bus.emission import Emission, NewRecord
from domain.envelope import Envelope, wrap_event
from domain.errors import MalformedEventError
from domain.events import DirectoryCreated
from domain.ids import uuid7


def an_event() -> Envelope:
    event = DirectoryCreated(volume=VOLUME, folder=a_folder(), paths=["a", "b/c"])
    return wrap_event(event, id=uuid7(1, b"0123456789"), time=1.5)


@pytest.mark.parametrize("record", [None, NewRecord("upload:1", {"length": 3, "metadata": "é"}, 12.5)])
def test_what_was_written_is_read(record: NewRecord | None) -> None:
    emission = Emission(an_event(), record)
    assert Emission.decode(emission.encode()) == emission


def test_what_a_later_release_appends_is_passed_over() -> None:
    event, record = an_event(), NewRecord("upload:1", {}, 1)
    data = Emission(event, record).encode()
    assert Emission.decode(b"\x93" + data[1:] + pack("more")) == Emission(event, record)


@pytest.mark.parametrize("data", [b"", b"\xc1", b"\x90", b"\x92\xc0\xc0", pack([b"x", None]), pack({}), pack(7)])
def test_anything_else_is_malformed(data: bytes) -> None:
    with pytest.raises(MalformedEventError):
        Emission.decode(data)


def test_a_record_that_is_none_is_malformed() -> None:
    data = Emission(an_event()).encode()
    with pytest.raises(MalformedEventError):
        Emission.decode(data[:-1] + pack([1]))
