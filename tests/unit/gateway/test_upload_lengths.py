"""What requests of uploads may say of lengths, offsets, parts and checksums, on both sides of each limit."""

from __future__ import annotations

import base64
import hashlib
from typing import Any

import pytest

from domain.errors import InvalidRequestError, PenstockError, TooLargeError
from gateway.protocol import resumable, tus
from gateway.protocol.checksum import ALGORITHMS, Crc32, parse_checksum
from gateway.protocol.concat import parse_concat
from gateway.protocol.resumable import Append, ExceedingLengthError, InconsistentLengthError, length_with
from gateway.protocol.tus import Accept, Dialect, Reason, Refuse, UploadView, decide_patch

MOST = 100
ID = "0123456789abcdef" * 2
OTHER = "f" * 32
Expected = Accept | Reason | type[PenstockError]


def patch(offset: object, size: int | None, **more: str) -> dict[str, str]:
    fields = {"Tus-Resumable": "1.0.0", "Content-Type": tus.CONTENT_TYPE, "Upload-Offset": str(offset)}
    length = {} if size is None else {"Content-Length": str(size)}
    return {**fields, **length, **{name.replace("_", "-"): value for name, value in more.items()}}


@pytest.mark.parametrize(
    ("fields", "upload", "expected"),
    [
        (patch(0, 10), UploadView(0, 10), Accept(0, 10)),
        (patch(0, 11), UploadView(0, 10), TooLargeError),
        (patch(4, 6), UploadView(4, 10), Accept(4, 6)),
        (patch(4, 7), UploadView(4, 10), TooLargeError),
        (patch(4, None), UploadView(4, 10), Accept(4, 6)),
        (patch(10, 0), UploadView(10, 10), Accept(10, 0)),
        (patch(10, 1), UploadView(10, 10), TooLargeError),
        (patch(4, 96), UploadView(4, None), Accept(4, 96)),
        (patch(4, 97), UploadView(4, None), TooLargeError),
        (patch(4, 1, Upload_Length="4"), UploadView(4, None), TooLargeError),
        (patch(4, 0, Upload_Length="4"), UploadView(4, None), Accept(4, 0, 4)),
        (patch(4, 0, Upload_Length="3"), UploadView(4, None), InvalidRequestError),
        (patch(4, 96, Upload_Length="100"), UploadView(4, None), Accept(4, 96, 100)),
        (patch(4, 96, Upload_Length="101"), UploadView(4, None), TooLargeError),
        (patch(4, 1, Upload_Length="10"), UploadView(4, 10), Accept(4, 6)),
        (patch(4, 1, Upload_Length="11"), UploadView(4, 10), InvalidRequestError),
        (patch(4, 1), UploadView(5, 10), Reason.OFFSET_MISMATCH),
        (patch(4, 1), UploadView(3, 10), Reason.OFFSET_MISMATCH),
        (patch("", 1), UploadView(0, 10), InvalidRequestError),
        (patch("+1", 1), UploadView(1, 10), InvalidRequestError),
        (patch(0, 1), UploadView(None, None, is_final=True), Reason.FINAL),
        (patch(0, 1, Transfer_Encoding=" Chunked"), UploadView(0, 10), Accept(0, 10)),
        (patch(0, 1, Transfer_Encoding="gzip, chunked"), UploadView(0, 10), Reason.CODING),
        (patch(0, 1, Content_Type=f"{tus.CONTENT_TYPE.upper()} ; a=b"), UploadView(0, 10), Accept(0, 10)),
        (patch(0, 1, Content_Type="text/plain"), UploadView(0, 10), Reason.CONTENT_TYPE),
        (patch(0, 1, Tus_Resumable="0.2.2"), UploadView(0, 10), Reason.VERSION),
    ],
)
def test_a_patch_of_tus(fields: dict[str, str], upload: UploadView, expected: Expected) -> None:
    if isinstance(expected, type):
        with pytest.raises(expected) as raised:
            decide_patch(fields, upload, Dialect.STANDARD, MOST)
        assert type(raised.value) is expected
        return
    decided = decide_patch(fields, upload, Dialect.STANDARD, MOST)
    assert (decided.reason if isinstance(decided, Refuse) else decided) == expected


def test_backend_ai_s_clients_name_neither_version_nor_type() -> None:
    fields = {"Upload-Offset": "0", "Content-Length": "1"}
    assert decide_patch(fields, UploadView(0, 10), Dialect.BACKEND_AI, MOST) == Accept(0, 10)


@pytest.mark.parametrize(
    ("offset", "complete", "size", "told", "known", "expected"),
    [
        (0, True, 10, None, None, 10),
        (0, True, None, None, None, None),
        (0, False, 10, None, None, None),
        (0, False, 10, 10, None, 10),
        (0, False, 10, 9, None, InconsistentLengthError),
        (4, True, 6, 10, 10, 10),
        (4, False, 6, None, 10, 10),
        (4, False, 7, None, 10, ExceedingLengthError),
        (4, True, 5, None, 10, InconsistentLengthError),
        (4, True, 6, 11, None, InconsistentLengthError),
        (4, False, 1, 11, 10, InconsistentLengthError),
        (4, False, None, 4, None, 4),
        (4, False, None, 3, None, InconsistentLengthError),
        (4, False, 96, None, None, None),
        (4, False, 97, None, None, TooLargeError),
        (0, False, 0, 100, None, 100),
        (0, False, 0, 101, None, TooLargeError),
        (0, True, 0, None, None, 0),
    ],
)
def test_an_append_of_the_ietf_s(
    offset: int, complete: bool, size: int | None, told: int | None, known: int | None, expected: Any
) -> None:
    append = Append(offset, complete, size, told, None)
    if isinstance(expected, type):
        with pytest.raises(expected) as raised:
            length_with(append, known, MOST)
        assert type(raised.value) is expected
    else:
        assert length_with(append, known, MOST) == expected


@pytest.mark.parametrize(
    ("seconds", "age"), [(None, ""), (1.9, ", max-age=1"), (0.5, ", max-age=0"), (-5, ", max-age=0")]
)
def test_limits_that_are_told(seconds: float | None, age: str) -> None:
    assert resumable.limits(MOST, seconds) == f"max-size=100, min-size=0{age}"


@pytest.mark.parametrize(
    ("value", "parts"),
    [
        ("partial", None),
        (" partial ", None),
        ("partial;", None),
        (f"final;{ID}", (ID,)),
        (f"final ; /files/{ID}  https://x/y/{OTHER}/?a=b#c ", (ID, OTHER)),
        ("final;" + " ".join([ID] * 1000), (ID,) * 1000),
    ],
)
def test_parts_that_are_told(value: str, parts: tuple[str, ...] | None) -> None:
    concat = parse_concat(value)
    assert concat is not None
    assert (concat.text, concat.parts) == (value, parts)
    assert parse_concat(None) is None


@pytest.mark.parametrize(
    "value",
    [
        *("", "final", "final;", "final; ", f"partial;{ID}", f"whole;{ID}", f"final;{ID}é"),
        *(f"final;{ID[1:]}", f"final;{ID}0", f"final;{ID.upper()}", f"final;{ID} /files/", f"final;http://[/{ID}"),
        "final;" + " ".join([ID] * 1001),
    ],
)
def test_parts_that_are_none(value: str) -> None:
    with pytest.raises(InvalidRequestError):
        parse_concat(value)


def checksum(algorithm: str, digest: bytes) -> dict[str, str]:
    return {"Upload-Checksum": f" {algorithm}  {base64.b64encode(digest).decode()} "}


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_checksums_of_bodies(algorithm: str) -> None:
    hasher = Crc32() if algorithm == "crc32" else hashlib.new(algorithm)
    hasher.update(b"some ")
    other = hasher.copy()
    hasher.update(b"bytes")
    found = parse_checksum(checksum(algorithm, hasher.digest()))
    assert found is not None
    assert found.matches(b"some bytes")
    assert not found.matches(b"some byte")
    other.update(b"bytes")
    assert other.digest() == hasher.digest()
    for digest in (hasher.digest()[:-1], hasher.digest() + b"x", b""):
        with pytest.raises(InvalidRequestError):
            parse_checksum(checksum(algorithm, digest))


@pytest.mark.parametrize("value", ["", "sha1", "sha1 !", "sha3 AAAA", "SHA1 AAAA", "sha1 AA AA"])
def test_checksums_that_are_none(value: str) -> None:
    assert parse_checksum({}) is None
    with pytest.raises(InvalidRequestError):
        parse_checksum({"Upload-Checksum": value})
