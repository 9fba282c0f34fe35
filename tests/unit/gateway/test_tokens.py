"""Tokens: what they permit, whom they are for, and keys that are changed under way."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from typing import Any

import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from domain.errors import ForbiddenError, TooLargeError, UnauthenticatedError
from domain.ids import VFolderId
from domain.permissions import Permission
from gateway.keys import Keyring
from gateway.token_key import check_key
from gateway.tokens import (
    MAX_TOKEN_BYTES,
    ArchiveClaims,
    Claims,
    CollectionClaims,
    DownloadClaims,
    Tokens,
    UploadClaims,
)

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


@pytest.mark.parametrize(
    "key",
    [
        "-----BEGIN PUBLIC KEY-----\nMFkwEwYHKoZIzj0CAQ\n-----END PUBLIC KEY-----",
        "ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAABgQ somebody",
        '{"kty": "oct", "k": "a-document-about-a-key-and-no-key-itself"}',
    ],
)
def test_a_key_of_another_kind_is_refused_before_anything_is_signed(key: str) -> None:
    with pytest.raises(ValueError, match="no shared secret") as caught:
        check_key(SecretStr(key))
    assert key[:20] not in str(caught.value)
    assert check_key(NEW) is NEW


ODD = ("", "-----BEGIN", "ssh-rsa", "ecdsa-sha2-nistp256", '{"kty": 1}', ' [{"kty": 1}]', "0*0", "\x00{")


@given(st.sampled_from(ODD), st.text(min_size=1), st.text())
def test_no_key_is_taken_that_the_library_would_not_take(begins: str, text: str, end: str) -> None:
    """It is not asked about most of them."""
    for one in (begins + text, text + begins + end):
        try:
            key = check_key(SecretStr(one))
        except ValueError:
            continue
        jwt.get_algorithm_by_name("HS256").prepare_key(key.get_secret_value())


def test_tokens_are_what_others_make_of_them() -> None:
    claims = download().model_dump(mode="json", exclude_none=True)
    ours = Keyring(NEW, [], audience="us", skew_seconds=5).sign(claims)
    assert jwt.get_unverified_header(ours)["alg"] == "HS256"
    expected = {**claims, "aud": "us"}
    assert jwt.decode(ours, NEW.get_secret_value(), ["HS256"], audience="us") == expected


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


#: What each kind of token says.
KINDS: dict[type[Claims], dict[str, Any]] = {
    UploadClaims: {"op": "upload", "vfid": str(FOLDER), "relpath": "a", "size": 1, "session": "0" * 32},
    CollectionClaims: {"op": "upload-below", "vfid": str(FOLDER), "relpath": ".", "owner": "somebody"},
    DownloadClaims: {"op": "download", "vfid": str(FOLDER), "relpath": "a", "archive": True, "rate": 4096},
    ArchiveClaims: {
        "operation": "download",
        "virtual_folder_id": str(FOLDER),
        "files": ["a", "b"],
        "filename": "x",
    },
}
NAMES = sorted({name for claims in KINDS.values() for name in claims})
NAMES += ["volume", "exp", "aud", "nbf", "iat", "perm", "selection", "unmanaged_path", "nobody's"]
TIMES = st.floats(0, 2e10) | st.integers(0, 20_000_000_000)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | TIMES | st.just(10**400),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


def signed(header: bytes, payload: bytes, key: SecretStr = NEW) -> str:
    """A token of any bytes, rightly signed."""
    told = b".".join(base64.urlsafe_b64encode(part).rstrip(b"=") for part in (header, payload))
    signature = hmac.new(key.get_secret_value().encode(), told, hashlib.sha256).digest()
    return f"{told.decode()}.{base64.urlsafe_b64encode(signature).rstrip(b'=').decode()}"


def token_of(payload: object, key: SecretStr = NEW) -> str:
    return signed(b'{"alg":"HS256"}', json.dumps(payload).encode(), key)


def claims_of(kind: type[Claims], **changes: Any) -> dict[str, Any]:
    return {"volume": "disk", "exp": int(time.time()) + 60, **KINDS[kind], **changes}


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_is_for_itself_alone(kind: type[Claims]) -> None:
    token = token_of(claims_of(kind))
    assert type(tokens().read(token, kind)) is kind
    for other in KINDS.keys() - {kind}:
        with pytest.raises(ForbiddenError):
            tokens().read(token, other)


@pytest.mark.parametrize("kind", KINDS)
@given(changes=st.dictionaries(st.sampled_from(NAMES), VALUES, max_size=4), model=st.sampled_from(list(KINDS)))
def test_whatever_a_token_says_it_is_good_or_refused(
    kind: type[Claims], changes: dict[str, Any], model: type[Claims]
) -> None:
    payload = claims_of(kind, **changes)
    with pytest.raises(UnauthenticatedError):
        tokens().read(token_of(payload, OLD), model)
    try:
        claims = tokens().read(token_of(payload), model)
    except (UnauthenticatedError, ForbiddenError):
        return
    assert claims.exp > time.time() - 10
    operation = "operation" if model is ArchiveClaims else "op"
    assert payload[operation] == KINDS[model][operation], "for nothing that it does not say"
    again = tokens().sign(claims)
    assert tokens().read(again, model).exp == claims.exp


@pytest.mark.parametrize("kind", KINDS)
def test_when_a_token_ends_is_a_number(kind: type[Claims]) -> None:
    end = time.time() + 60
    for exp in (int(end), end, end + 1e6, 10**400):
        assert tokens().read(token_of(claims_of(kind, exp=exp)), kind).exp == exp
    for exp in (str(int(end)), True, None, [end], {}, "", float("inf"), float("nan")):
        with pytest.raises((UnauthenticatedError, ForbiddenError)):
            tokens().read(token_of(claims_of(kind, exp=exp)), kind)
    for exp in (0, -1, 1.5, time.time() - 5.5, -(10**400)):
        with pytest.raises(UnauthenticatedError, match="expired"):
            tokens().read(token_of(claims_of(kind, exp=exp)), kind)


DEEP = b"[" * 20_000


@pytest.mark.parametrize(
    ("header", "payload"),
    [
        (DEEP, b"{}"),
        (b'{"alg":"HS256"}', DEEP),
        (b'{"alg":"HS256"}', b'{"exp":' + DEEP),
        (b'{"alg":["HS256"]}', b"{}"),
        (b'{"alg":"HS256","kid":["x"]}', b"{}"),
        (b'{"alg":"HS256","kid":{}}', b"{}"),
        (b'{"alg":"HS256","crit":["exp"]}', b"{}"),
        (b'{"alg":"HS256","b64":false}', b"{}"),
        (b"[]", b"{}"),
        (b"\xff\xfe", b"{}"),
        (b'{"alg":"HS256"}', b"[]"),
        (b'{"alg":"HS256"}', b"1" * 5000),
        (b'{"alg":"HS256"}', b'{"exp":"' + b"\\ud800" * 10 + b'"}'),
        (b"", b""),
    ],
)
def test_a_right_signature_makes_no_token_of_nonsense(header: bytes, payload: bytes) -> None:
    for kind in KINDS:
        with pytest.raises((UnauthenticatedError, ForbiddenError)):
            tokens().read(signed(header, payload), kind)


@given(st.text(st.characters(), max_size=50), st.text(st.characters(), max_size=50), st.integers(0, 4))
def test_any_text_around_a_token_makes_it_none(before: str, after: str, dots: int) -> None:
    token = token_of(claims_of(DownloadClaims))
    for text in (before + token, token + after, before + "." * dots + after):
        if text not in (token, f"{token}="):
            with pytest.raises(UnauthenticatedError):
                tokens().read(text, DownloadClaims)


@pytest.mark.parametrize("text", ["\udcff", "a.\udcff.b", "\udcff" * 3 + "..", "a.b.é", "a" * 100_000])
def test_bytes_that_are_no_letters_make_no_token(text: str) -> None:
    with pytest.raises(UnauthenticatedError):
        tokens().read(text, DownloadClaims)


def test_a_token_is_only_so_long() -> None:
    maker = tokens()
    long = download().model_copy(update={"relpath": "한" * 1000})
    token = maker.sign(long)
    assert 8000 < len(token) < MAX_TOKEN_BYTES
    assert maker.read(token, DownloadClaims).relpath == long.relpath
    assert not maker._known, "what would fill the memory is not remembered"
    with pytest.raises(TooLargeError):
        maker.sign(long.model_copy(update={"relpath": "한" * 10_000}))
    with pytest.raises(UnauthenticatedError, match="too long"):
        maker.read(token_of(claims_of(DownloadClaims, relpath="a" * 50_000)), DownloadClaims)


def test_a_selection_names_its_files_or_where_they_are() -> None:
    for changes in ({"files": []}, {"selection": "0" * 32}, {"files": [], "selection": "../x"}):
        with pytest.raises(ForbiddenError):
            tokens().read(token_of(claims_of(ArchiveClaims, **changes)), ArchiveClaims)
    kept = token_of(claims_of(ArchiveClaims, files=[], selection="0" * 32))
    assert tokens().read(kept, ArchiveClaims).selection == "0" * 32
