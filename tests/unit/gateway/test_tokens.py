"""Tokens: what they permit, whom they are for, and keys that are changed under way."""

from __future__ import annotations

import time
from typing import Any

import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from domain.errors import ForbiddenError, UnauthenticatedError
from domain.ids import VFolderId
from domain.permissions import Permission
from gateway.keys import Keyring
from gateway.tokens import DownloadClaims, Tokens, UploadClaims

OLD = SecretStr("the key that was used until yesterday")
NEW = SecretStr("the key that is used since today ....")
FOLDER = VFolderId.parse("user:11111111-1111-4111-8111-111111111111/aabb0001000040008000000000000001")


def tokens(current: SecretStr = NEW, *retired: SecretStr, audience: str = "", skew: float = 5) -> Tokens:
    return Tokens(Keyring(current, retired, audience=audience, skew_seconds=skew), 60, skew)


def download(exp: float = 60, **more: Any) -> DownloadClaims:
    return DownloadClaims(volume="disk", vfid=FOLDER, relpath="a", exp=int(time.time() + exp), **more)


def upload(**more: Any) -> UploadClaims:
    end = int(time.time() + 60)
    return UploadClaims(volume="disk", vfid=FOLDER, relpath="a", size=1, session="0" * 32, exp=end, **more)


def test_a_token_names_its_key_and_outlives_its_change() -> None:
    token = tokens(OLD).sign(download())
    assert len(jwt.get_unverified_header(token)["kid"]) == 16
    assert OLD.get_secret_value() not in token
    assert tokens(NEW, OLD).read(token, DownloadClaims).relpath == "a"
    with pytest.raises(UnauthenticatedError, match="Signature verification failed"):
        tokens(NEW).read(token, DownloadClaims)
    assert jwt.get_unverified_header(tokens(NEW, OLD).sign(download())) != jwt.get_unverified_header(token)


@pytest.mark.parametrize("kid", [None, "unknown"])
def test_others_who_hold_a_key_need_not_name_it(kid: str | None) -> None:
    payload = download().model_dump(mode="json", exclude_none=True)
    for key in (OLD, NEW):
        token = jwt.encode(payload, key.get_secret_value(), "HS256", headers={"kid": kid} if kid else None)
        assert tokens(NEW, OLD).read(token, DownloadClaims).volume == "disk"


def test_a_key_s_name_proves_nothing() -> None:
    kid = jwt.get_unverified_header(tokens(NEW).sign(download()))["kid"]
    payload = download().model_dump(mode="json", exclude_none=True)
    forged = jwt.encode(payload, OLD.get_secret_value(), "HS256", headers={"kid": kid})
    with pytest.raises(UnauthenticatedError):
        tokens(NEW).read(forged, DownloadClaims)


def test_whom_a_token_is_for() -> None:
    ours, theirs, anybody = tokens(audience="here"), tokens(audience="there"), tokens()
    assert ours.read(ours.sign(download()), DownloadClaims)
    for maker, reader in ((theirs, ours), (anybody, ours), (ours, anybody)):
        with pytest.raises(UnauthenticatedError, match=r"(?i)aud"):
            reader.read(maker.sign(download()), DownloadClaims)


def test_clocks_may_be_off_by_so_much() -> None:
    patient, strict = tokens(skew=30), tokens(skew=0)
    past = patient.sign(download(-10))
    assert patient.read(past, DownloadClaims)
    with pytest.raises(UnauthenticatedError, match="expired"):
        strict.read(past, DownloadClaims)


@pytest.mark.parametrize("given_", ["ro", "rw", "rwd", "wd", None])
def test_what_a_token_permits(given_: str | None) -> None:
    maker = tokens()
    assert maker.read(maker.sign(download(perm=given_)), DownloadClaims).perm is not None
    if given_ == "ro":
        with pytest.raises(ForbiddenError, match="'ro' is not enough for upload: 'rw' is needed"):
            maker.sign(upload(perm=given_))
        payload = upload().model_dump(mode="json", exclude_none=True) | {"perm": given_}
        with pytest.raises(ForbiddenError):
            maker.read(jwt.encode(payload, NEW.get_secret_value(), "HS256"), UploadClaims)
        return
    read = maker.read(maker.sign(upload(perm=given_)), UploadClaims)
    expected = {"wd": Permission.READ_WRITE_DELETE, None: Permission.READ_WRITE}
    assert read.perm == expected.get(given_, given_)


@given(st.data())
def test_no_change_of_a_token_is_taken(data: st.DataObject) -> None:
    maker = tokens()
    token = maker.sign(download().model_copy(update={"exp": 1 << 33}))  # the same one in every example
    position = data.draw(st.integers(0, len(token) - 1))
    letter = data.draw(st.characters(max_codepoint=126, exclude_characters=token[position]))
    changed = token[:position] + letter + token[position + 1 :]
    try:
        claims = maker.read(changed, DownloadClaims)
    except UnauthenticatedError:
        return
    # The last digit of base64 has bits that stand for nothing: the token is the same one.
    assert claims == maker.read(token, DownloadClaims)
    assert position in {token.index(".") - 1, token.rindex(".") - 1, len(token) - 1}


@given(st.text(max_size=200) | st.binary(max_size=100).map(lambda raw: raw.decode("latin-1")))
def test_nonsense_is_no_token(text: str) -> None:
    with pytest.raises(UnauthenticatedError):
        tokens().read(text, DownloadClaims)


@given(
    st.dictionaries(
        st.sampled_from(["op", "volume", "vfid", "relpath", "exp", "aud", "nbf", "iat", "perm", "size", "session"]),
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20) | st.just([]),
    )
)
def test_claims_that_make_no_sense_are_refused(changes: dict[str, Any]) -> None:
    payload = upload().model_dump(mode="json", exclude_none=True) | changes
    try:
        token = jwt.encode(payload, NEW.get_secret_value(), "HS256")
    except (TypeError, ValueError):
        return
    try:
        claims = tokens().read(token, UploadClaims)
    except (UnauthenticatedError, ForbiddenError):
        return
    assert claims.exp > time.time() - 10
    assert claims.size >= 0
