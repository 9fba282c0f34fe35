"""What is kept beside an upload says where it is to be, whatever its name."""

from __future__ import annotations

import os
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bus.codec import decode_document, encode_document
from domain.foreign_names import path_of
from domain.ids import VFolderId, VolumeName
from gateway.uploads.brief import Brief
from gateway.uploads.session import UploadSession

#: Names as the system has them: any bytes but two.
NAMES = st.binary(min_size=1, max_size=255).filter(
    lambda name: not {b"/"[0], 0} & set(name) and name not in (b".", b"..")
)
FOLDERS = [
    VFolderId.parse(f"{scope}aabb0001000040008000000000000001")
    for scope in ("user:11111111-1111-4111-8111-111111111111/", "project:11111111-1111-4111-8111-111111111111/")
]
SESSION = UploadSession(
    id="0123456789abcdef0123456789abcdef",
    volume=VolumeName("disk"),
    folder=FOLDERS[0],
    destination=None,
    length=1,
    expires=2.0,
)


@given(st.lists(NAMES, min_size=1, max_size=5))
def test_its_place_is_the_same_in_every_form(names: list[bytes]) -> None:
    path = path_of([os.fsdecode(name) for name in names])
    session = replace(SESSION, destination=path)
    assert UploadSession.from_note(session.note()) == session
    assert UploadSession.parse(decode_document(encode_document(session.document()))) == session
    for folder in FOLDERS:
        assert Brief.decode(Brief(folder, path).encode()) == Brief(folder, path)


@pytest.mark.parametrize("name", ["\udc80" * 255, "한" * 85])
def test_the_longest_names_are_noted_with_what_was_said_of_them(name: str) -> None:
    """File systems keep few attributes with a file: escapes would leave no room for the metadata."""
    session = replace(SESSION, destination=path_of([name]), metadata="relativePath " + "A" * 1360)
    assert UploadSession.from_note(session.note()) == session


def test_a_brief_is_no_longer_than_the_name_it_tells() -> None:
    one, other = (Brief(FOLDERS[0], path_of([name])).encode() for name in ("\udc80" * 100, "a" * 100))
    assert len(one) == len(other)
    assert Brief.decode(b"") is Brief.decode(b"u") is Brief.decode(one[:40] + b"/../..") is None
