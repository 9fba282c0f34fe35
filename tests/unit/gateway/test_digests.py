"""Which digests a request wants, and which are told (RFC 9530)."""

from __future__ import annotations

import base64
import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict

from gateway.protocol.digest import Wishes, digest_field, whole_fields, wishes

SHA256 = hashlib.sha256(b"abc").digest()
FIELD = f"sha-256=:{base64.b64encode(SHA256).decode()}:"


@pytest.mark.parametrize(
    ("value", "wanted"),
    [
        ("sha-256=1", True),
        ("sha-256=10", True),
        ("sha-512=3, sha-256=10", True),
        ("sha-512=3,sha-256=1;x=y,md5=1", True),
        ("sha-256=0", False),
        ("sha-256=11", False),
        ("sha-256=1, sha-256=0", False),
        ("sha-256=0, sha-256=1", True),
        ("sha-512=1", False),
        ("x-sha-256=1", False),
        ("sha-256", False),
        ("sha-256=-1", False),
        ("", False),
    ],
)
def test_what_is_wanted(value: str, wanted: bool) -> None:
    assert wishes({"Want-Repr-Digest": value}) == Wishes(whole=wanted, content=False)
    assert wishes({"Want-Content-Digest": value}) == Wishes(whole=False, content=wanted)


def test_several_lines_are_one() -> None:
    fields = CIMultiDict([("Want-Repr-Digest", "sha-512=1"), ("want-repr-digest", "sha-256=1")])
    assert wishes(fields).whole


@given(st.text(max_size=40))
def test_any_text_is_a_wish_or_none(value: str) -> None:
    assert isinstance(wishes({"Want-Repr-Digest": value}).whole, bool)


@pytest.mark.parametrize("status", [304, 412, 416])
def test_answers_that_send_nothing_of_it_say_nothing_of_it(status: int) -> None:
    assert whole_fields(SHA256, Wishes(whole=True, content=True), status, "GET") == {}


def test_answers_that_do() -> None:
    nothing, everything = Wishes(whole=False, content=False), Wishes(whole=True, content=True)
    known = {"X-Checksum-Sha256": SHA256.hex()}
    assert digest_field(SHA256) == FIELD
    assert whole_fields(SHA256, nothing, 200, "GET") == known
    assert whole_fields(SHA256, nothing, 206, "GET") == {}
    assert whole_fields(SHA256, everything, 200, "GET") == {"Repr-Digest": FIELD, "Content-Digest": FIELD, **known}
    assert whole_fields(SHA256, everything, 200, "HEAD") == {"Repr-Digest": FIELD, **known}
    assert whole_fields(SHA256, everything, 206, "GET") == {"Repr-Digest": FIELD}
