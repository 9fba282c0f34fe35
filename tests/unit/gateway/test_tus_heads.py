"""Any head of a POST or a PATCH is decided on as a plain reading of tus 1.0.0 says."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from multidict import CIMultiDict

from domain.errors import ChecksumMismatchError, InvalidRequestError, TooLargeError
from gateway.protocol import tus
from gateway.protocol.metadata import file_name, parse_metadata
from gateway.protocol.tus import Accept, Creation, Dialect, Reason, Refuse, UploadView

T = TypeVar("T")

MOST = 1000
TYPE = "application/offset+octet-stream"
SHA256 = base64.b64encode(hashlib.sha256(b"abc").digest()).decode()
OF_NOTHING = base64.b64encode(hashlib.sha256().digest()).decode()
SHA1 = base64.b64encode(hashlib.sha1(b"abc").digest()).decode()
ID = "0123456789abcdef" * 2
OTHER_ID = "f" * 32
#: The one status each reason is answered with.
STATUS = {
    Reason.VERSION: 412,
    Reason.CODING: 501,
    Reason.CONTENT_TYPE: 415,
    Reason.OFFSET_MISMATCH: 409,
    Reason.FINAL: 403,
}

Head = list[tuple[str, str]]
#: Letters as bytes of a head come in: ASCII, and what stands for bytes that are none of UTF-8.
odd = st.text(st.sampled_from("aZ09 ,;=/+-\t\udcff\udce9é"), max_size=12)
numbers = (
    st.integers(0, 1200).map(str)
    | st.sampled_from(["-1", "+1", "1.5", "abc", "", " 1", "1 ", "007", "1_0", "0x1", "\u0665"])
    | st.sampled_from(["9" * 19, "9" * 20, "9" * 1000, "9" * 1001])
    | odd
)
metadata = (
    st.sampled_from(
        [
            "",
            "filename YQ==",
            "filename YQ==,x",
            "filename YQ==,raw /w==",
            "filename /w==",
            "filetype /w==",
            "relativePath /w==",
            "sha256 /w==",
            "name /w==",
            "filename YQ",
            "filename YQ==,filename Yg==",
            "filename YQ==,cl\udcff\udce9 dGVzdA==",
            "a " + "YWFh" * 3000,
            ",",
        ]
    )
    | odd
)
concats = (
    st.sampled_from(
        [
            "partial",
            "partial;x",
            "final",
            "final;",
            f"final;/files/{ID}",
            f"final;http://x/y/{ID}?q {OTHER_ID}/",
            f"final;http://x/\udce9\udcff/{ID}",
            f"final;/files/{ID}x",
            f"final;http://[ {ID}",
            "final;" + " ".join([ID] * 1001),
        ]
    )
    | odd
)
checksums = (
    st.sampled_from(
        [
            f"sha256 {SHA256}",
            f"sha256 {OF_NOTHING}",
            f"sha1 {SHA1}",
            f"md5 {SHA1}",
            "sha3 YQ==",
            "sha1",
            "sha1 ###",
            f"SHA256 {SHA256}",
        ]
    )
    | odd
)
fields = st.fixed_dictionaries(
    {},
    optional={
        "Tus-Resumable": st.sampled_from(["1.0.0", "1.0.0", "1.0.0", "0.2.2", ""]) | odd,
        "Content-Type": st.sampled_from([TYPE, TYPE, TYPE, f"{TYPE}; x=y", TYPE.upper(), "text/plain", ""]) | odd,
        "Content-Length": st.integers(0, 1200).map(str),
        "Transfer-Encoding": st.sampled_from(["chunked", "Chunked", "gzip, chunked", "gzip", "identity"]),
        "Upload-Length": numbers,
        "Upload-Defer-Length": st.sampled_from(["1", "1", "2", "", "01"]) | odd,
        "Upload-Offset": numbers,
        "Upload-Metadata": metadata,
        "Upload-Concat": concats,
        "Upload-Checksum": checksums,
        "X-Anything": odd,
    },
)
twice = st.lists(st.sampled_from(["Upload-Offset", "upload-length", "Upload-Metadata", "X-Anything"]), max_size=1)
heads = st.builds(lambda given, more: [*given.items(), *[(name, "1") for name in more]], fields, twice)
views = st.builds(
    UploadView,
    offset=st.none() | st.integers(0, 1000),
    length=st.none() | st.integers(0, 1000),
    is_final=st.booleans(),
).filter(lambda view: view.offset is None or view.length is None or view.offset <= view.length)


# --- the plain reading ----------------------------------------------------------------------------


@dataclass(frozen=True)
class Number:
    """A field that is a number: whether it is there, whether it is one, and which."""

    text: str | None

    @property
    def is_wrong(self) -> bool:
        return self.text is not None and re.fullmatch("[0-9]{1,1000}", self.text, re.ASCII) is None

    @property
    def value(self) -> int:
        return int(self.text or "0")


def one(head: Head, name: str) -> str | None:
    found = [value for key, value in head if key.lower() == name.lower()]
    return found[0] if found else None


def is_given_twice(head: Head) -> bool:
    names = [key.lower() for key, _ in head if key.lower().startswith(("upload-", "tus-"))]
    return len(names) != len(set(names))


def is_metadata_wrong(text: str) -> bool:
    if not text.isascii() or len(text) > 8192:
        return True
    keys = []
    for pair in text.split(",") if text.strip() else []:
        key, _, value = pair.strip().partition(" ")
        try:
            decoded = base64.b64decode(value.strip(), validate=True)
        except ValueError:
            return True
        if key in ("filename", "relativePath", "filetype", "sha256", "extract"):
            try:
                decoded.decode()
            except UnicodeDecodeError:
                return True
        keys.append(key)
    return "" in keys or len(keys) != len(set(keys))


def parts_of(text: str | None) -> list[str] | None:
    """Ids of a final upload's parts. Raises ValueError: it is none, and nothing else either."""
    if text is None or text.strip() == "partial" or (text.isascii() and re.fullmatch(r"\s*partial\s*;?", text)):
        return None
    kind, _, urls = text.strip().partition(";")
    found = [re.fullmatch(r"(?:[^?#]*/)?([0-9a-f]{32})/*(?:[?#].*)?", url) for url in urls.split()]
    is_broken = any(url.startswith(("http://[", "//[")) for url in urls.split())
    if kind.strip() != "final" or not text.isascii() or not all(found) or not 1 <= len(found) <= 1000 or is_broken:
        raise ValueError(text)
    return [match[1] for match in found if match]


def checksum_of(text: str | None) -> tuple[str, bytes] | None:
    """Algorithm and digest. Raises ValueError."""
    if text is None:
        return None
    algorithm, _, encoded = text.strip().partition(" ")
    sizes = {"sha1": 20, "sha256": 32, "sha512": 64, "md5": 16, "crc32": 4}
    digest = base64.b64decode(encoded.strip(), validate=True)
    if len(digest) != sizes.get(algorithm):
        raise ValueError(text)
    return algorithm, digest


def is_of_nothing(algorithm: str, digest: bytes) -> bool:
    return digest == (bytes(4) if algorithm == "crc32" else hashlib.new(algorithm).digest())


def has_body(head: Head) -> bool:
    return one(head, "Content-Length") not in (None, "0") or one(head, "Transfer-Encoding") is not None


def creation(head: Head) -> Creation | set[int]:
    """What a POST asks for, or the statuses it may be refused with."""
    wrong: set[int] = set()
    text = one(head, "Upload-Metadata") or ""
    length, deferred = Number(one(head, "Upload-Length")), one(head, "Upload-Defer-Length")
    parts: list[str] | None = None
    checksum = None
    try:
        parts = parts_of(one(head, "Upload-Concat"))
        checksum = checksum_of(one(head, "Upload-Checksum"))
    except ValueError:
        wrong.add(400)
    if is_metadata_wrong(text):
        wrong.add(400)
    if parts is not None:
        wrong |= {400} if length.text is not None or deferred is not None else set()
    elif deferred is not None:
        wrong |= {400} if deferred != "1" or length.text is not None else set()
    elif length.text is None or length.is_wrong:
        wrong.add(400)
    elif length.value > MOST:
        wrong.add(413)
    if wrong:
        return wrong
    known = None if parts is not None or deferred is not None else length.value
    if known == 0 and checksum and not has_body(head) and not is_of_nothing(*checksum):
        return {460}
    whole = ""
    if checksum and checksum[0] == "sha256" and known is not None and one(head, "Upload-Concat") is None:
        if has_body(head):
            whole = checksum[1].hex() if one(head, "Content-Length") == str(known) else ""
        elif known == 0 or checksum[1] != hashlib.sha256().digest():
            whole = checksum[1].hex()
    return Creation(known, text, None, whole)


def refused_head(head: Head, dialect: Dialect) -> set[int]:
    wrong: set[int] = set()
    standard = dialect is Dialect.STANDARD
    if standard and one(head, "Tus-Resumable") != "1.0.0":
        wrong.add(412)
    if is_given_twice(head):
        wrong.add(400)
    if (one(head, "Transfer-Encoding") or "chunked").lower() != "chunked":
        wrong.add(501)
    if standard and (one(head, "Content-Type") or "").partition(";")[0].strip().lower() != TYPE:
        wrong.add(415)
    return wrong


def patch(head: Head, view: UploadView, dialect: Dialect) -> tuple[int, int, int | None, str | None] | set[int]:
    """Offset, most bytes, the length that is told and the checksum's algorithm; or statuses."""
    wrong = refused_head(head, dialect) | ({403} if view.is_final else set())
    offset, length = Number(one(head, "Upload-Offset")), Number(one(head, "Upload-Length"))
    if offset.text is None or offset.is_wrong:
        wrong.add(400)
    elif offset.value != view.offset:
        wrong.add(409)
    if wrong:
        return wrong  # nothing else matters then
    if length.is_wrong:
        return {400}
    told = length.value if length.text is not None else None
    if told is not None and told > MOST:
        return {413}
    if told is not None and (told < offset.value or (view.length is not None and told != view.length)):
        return {400}
    end = view.length if view.length is not None else told if told is not None else MOST
    try:
        checksum = checksum_of(one(head, "Upload-Checksum"))
    except ValueError:
        wrong.add(400)
        checksum = None
    if one(head, "Content-Length") is not None and offset.value + int(one(head, "Content-Length") or 0) > end:
        wrong.add(413)
    if wrong:
        return wrong
    news = told if view.length is None else None
    return offset.value, end - offset.value, news, checksum[0] if checksum else None


# --- the tests --------------------------------------------------------------------------------------


def answered(decide: Callable[[], T | Refuse]) -> T | int:
    """What was decided, or the status of the refusal."""
    try:
        found = decide()
    except ChecksumMismatchError:
        return 460
    except TooLargeError:
        return 413
    except InvalidRequestError:
        return 400
    return STATUS[found.reason] if isinstance(found, Refuse) else found


# [B3] [B4] [B5] [B6] [B7]
@settings(max_examples=600)
@given(heads)
@example([("Upload-Length", "1"), ("Upload-Metadata", "filename YQ==,cl\udcff\udce9 dGVzdA==")])
@example([("Upload-Concat", f"final;http://x/\udce9\udcff/{ID}")])
@example([("Upload-Length", "3"), ("Content-Length", "3"), ("Upload-Checksum", f"sha256 {SHA256}")])
@example([("Upload-Length", "0"), ("Upload-Checksum", f"sha256 {SHA256}")])
def test_creations_are_read_as_they_are_written(head: Head) -> None:
    expected = creation(head)
    found = answered(lambda: tus.read_creation(CIMultiDict(head), MOST))
    if isinstance(expected, set):
        assert found in expected
        return
    assert isinstance(found, Creation), found
    assert (found.length, found.metadata, found.sha256) == (expected.length, expected.metadata, expected.sha256)
    text = one(head, "Upload-Concat")
    assert (None if found.concat is None else found.concat.text) == text
    assert (list(found.concat.parts) if found.concat and found.concat.parts else None) == parts_of(text)


# [A2] [A6] [A7] [A8] [A10] [B9] [B12] [B16]
@settings(max_examples=600)
@given(heads, views, st.sampled_from(Dialect))
def test_patches_are_decided_on_as_they_are_written(head: Head, view: UploadView, dialect: Dialect) -> None:
    expected = patch(head, view, dialect)
    found = answered(lambda: tus.decide_patch(CIMultiDict(head), view, dialect, MOST))
    if isinstance(expected, set):
        assert found in expected
        return
    assert isinstance(found, Accept), found
    algorithm = found.checksum.algorithm if found.checksum else None
    assert (found.offset, found.limit, found.length, algorithm) == expected


# [A2]
@given(heads, st.sampled_from(Dialect))
def test_what_a_head_says_by_itself_needs_no_look_at_the_upload(head: Head, dialect: Dialect) -> None:
    found = answered(lambda: tus.check_head(CIMultiDict(head), dialect))
    assert found in (refused_head(head, dialect) or {None})


# [A2]
@pytest.mark.parametrize("version", ["0.2.2", None])
def test_the_version_is_looked_at_first(version: str | None) -> None:
    head = CIMultiDict([("Upload-Offset", "1"), ("Upload-Offset", "2"), ("Transfer-Encoding", "gzip, chunked")])
    if version is not None:
        head["Tus-Resumable"] = version
    refused = tus.check_head(head, Dialect.STANDARD)
    assert refused is not None
    assert refused.reason is Reason.VERSION


# [B4] [B6]
@given(st.dictionaries(st.from_regex("[a-z]{1,8}", fullmatch=True), st.binary(max_size=20), max_size=5))
def test_metadata_may_be_any_bytes_but_where_it_is_text(pairs: dict[str, bytes]) -> None:
    value = ",".join(f"{key} {base64.b64encode(data).decode()}" for key, data in pairs.items())

    def text(data: bytes) -> str | None:
        try:
            return data.decode()
        except UnicodeDecodeError:
            return None

    must_be_text = {"filename", "filetype", "extract"} & pairs.keys()
    if any(text(pairs[key]) is None for key in must_be_text):
        with pytest.raises(InvalidRequestError):
            parse_metadata(value)
        return
    found = parse_metadata(value)
    assert found == {key: text(data) for key, data in pairs.items() if text(data) is not None}


def test_a_name_that_is_no_text_is_none() -> None:
    assert file_name(parse_metadata("name /w==")) is None
