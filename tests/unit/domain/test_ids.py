"""Identifiers read what they write, and nothing else."""

import re
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.errors import InvalidRequestError
from domain.ids import QuotaScopeId, ScopeKind, VFolderId, VolumeName, derived_id, uuid7

scopes = st.builds(QuotaScopeId, st.sampled_from(ScopeKind), st.uuids())
folders = st.builds(VFolderId, st.none() | scopes, st.uuids())


@given(scopes)
def test_a_scope_reads_what_it_writes(scope: QuotaScopeId) -> None:
    assert QuotaScopeId.parse(str(scope)) == scope
    assert scope.directory == scope.uuid.hex


@given(folders)
def test_a_folder_reads_what_it_writes(folder: VFolderId) -> None:
    assert VFolderId.parse(str(folder)) == folder


@given(scopes, st.uuids())
def test_dashes_in_a_folder_make_no_difference(scope: QuotaScopeId, uuid: UUID) -> None:
    assert VFolderId.parse(f"{scope}/{uuid}") == VFolderId.parse(f"{scope}/{uuid.hex}")


@given(folders)
def test_a_folders_place_is_the_one_backend_ai_uses(folder: VFolderId) -> None:
    digits = folder.uuid.hex
    below = [digits[:2], digits[2:4], digits[4:]]
    assert list(folder.directory) == ([folder.scope.uuid.hex, *below] if folder.scope else below)


@given(st.text(max_size=120))
def test_any_other_text_is_refused(text: str) -> None:
    for kind in (QuotaScopeId, VFolderId):
        try:
            value = kind.parse(text)
        except InvalidRequestError:
            continue
        assert kind.parse(str(value)) == value


@pytest.mark.parametrize(
    "text",
    [
        "user",
        "user:",
        ":11111111-1111-4111-8111-111111111111",
        "team:11111111-1111-4111-8111-111111111111",
        "user:11111111-1111-4111-8111-11111111111",
        "user:{11111111-1111-4111-8111-111111111111}",
        "user:urn:uuid:11111111-1111-4111-8111-111111111111",
        "USER:11111111-1111-4111-8111-111111111111",
        " user:11111111-1111-4111-8111-111111111111",
        "user:11111111-1111-4111-8111-111111111111\n",
    ],
)
def test_what_is_no_scope(text: str) -> None:
    with pytest.raises(InvalidRequestError):
        QuotaScopeId.parse(text)


@pytest.mark.parametrize("text", ["", "/", "zzz", "a/b", "/" + "0" * 32, "user:x/" + "0" * 32, "0" * 31, "0" * 33])
def test_what_is_no_folder(text: str) -> None:
    with pytest.raises(InvalidRequestError):
        VFolderId.parse(text)


@given(st.text(max_size=70))
def test_volume_names_are_safe_in_keys_and_paths(text: str) -> None:
    try:
        name = VolumeName(text)
    except InvalidRequestError:
        return
    assert re.fullmatch(r"[A-Za-z0-9._-]{1,64}", name)
    assert name not in (".", "..")
    assert VolumeName.parse(name) == name == text


@given(st.integers(0, (1 << 48) - 1), st.binary(min_size=10, max_size=10))
def test_a_uuid7_has_its_version_variant_and_time(milliseconds: int, entropy: bytes) -> None:
    made = uuid7(milliseconds, entropy)
    assert made.version == 7
    assert made.variant == "specified in RFC 4122"
    assert made.int >> 80 == milliseconds


@given(st.integers(0, (1 << 48) - 2), st.binary(min_size=10, max_size=10), st.binary(min_size=10, max_size=10))
def test_later_uuid7s_sort_behind_earlier_ones(milliseconds: int, one: bytes, two: bytes) -> None:
    assert uuid7(milliseconds, one) < uuid7(milliseconds + 1, two)


def test_a_uuid7_has_no_time_before_1970_or_after_10889() -> None:
    for milliseconds in (-1, 1 << 48):
        with pytest.raises(ValueError, match="out of range"):
            uuid7(milliseconds, b"\0" * 10)


@given(st.uuids(), st.integers(0, 100))
def test_derived_ids_are_always_the_same_and_never_shared(parent: UUID, number: int) -> None:
    assert derived_id(parent, number) == derived_id(parent, number)
    assert derived_id(parent, number) != derived_id(parent, number + 1)
