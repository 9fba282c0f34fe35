"""Which requests are simple enough to be answered without the HTTP library."""

from __future__ import annotations

import pytest

from gateway.express.request import SimpleRequest, read_simple_request

FIRST = "GET /download?token=a.b-c_d HTTP/1.1"
HOST = "Host: localhost:6021"
POST = "POST /files?token=a.b HTTP/1.1"


def read(*lines: str, end: str = "\r\n\r\n") -> SimpleRequest | None:
    return read_simple_request(("\r\n".join(lines) + end).encode("latin-1"))


def test_what_a_download_needs_is_read() -> None:
    head = read(FIRST, HOST, "User-Agent: curl/8", "Accept: */*", "RANGE:bytes=0-9\t", "connection: Keep-Alive")
    assert head == SimpleRequest("GET", "/download?token=a.b-c_d", {"Range": "bytes=0-9"})


@pytest.mark.parametrize(
    "lines",
    [
        ("POST /download HTTP/1.1", HOST),
        (FIRST, "Host: a b"),
        ("PUT /files HTTP/1.1", HOST, "Content-Length: 0"),
        ("PATCH /upload?token=x HTTP/1.1", HOST, "Content-Length: 0", "Upload-Length: 0"),
        ("PATCH /upload?token=x HTTP/1.1", HOST, "Content-Length: 0", "Upload-Checksum: md5 a"),
        ("PATCH /upload?token=x HTTP/1.1", HOST, "Upload-Offset: 0"),
        (POST, HOST, "Content-Length: 262145"),
        (POST, HOST, "Content-Length: 9999999"),
        (FIRST, HOST, "Upload-Length: 1"),
        (POST, HOST, "Content-Length: +0"),
        (POST, HOST, "Content-Length: 0", "Content-Length: 0"),
        (POST, HOST, "Content-Length: 0", "Transfer-Encoding: chunked"),
        (POST, HOST, "Content-Length: 0", "Expect: 100-continue"),
        (POST, HOST, "Content-Length: 0", "Upload-Checksum: md5 a"),
        (POST, HOST, "Content-Length: 0", "X-HTTP-Method-Override: PATCH"),
        (POST, HOST, "Content-Length: 0", "Range: bytes=0-1"),
        ("HEAD /download HTTP/1.1", HOST),
        ("GET /download HTTP/1.0", HOST),
        ("GET  /download HTTP/1.1", HOST),
        ("GET /a b HTTP/1.1", HOST),
        ("GET /\x01 HTTP/1.1", HOST),
        (FIRST,),
        (FIRST, "Host:"),
        (FIRST, HOST, HOST),
        (FIRST, HOST, "Range: bytes=0-1", "range: bytes=2-3"),
        (FIRST, HOST, "Connection: close"),
        (FIRST, HOST, "Connection: keep-alive, Upgrade"),
        (FIRST, HOST, "Content-Length: 0"),
        (FIRST, HOST, "Transfer-Encoding: chunked"),
        (FIRST, HOST, "Expect: 100-continue"),
        (FIRST, HOST, "Origin: https://a.example"),
        (FIRST, HOST, "X-Forwarded-For: 1.2.3.4"),
        (FIRST, HOST, "traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
        (FIRST, HOST, "Want-Repr-Digest: sha-256=1"),
        (FIRST, HOST, "Range : bytes=0-1"),
        (FIRST, HOST, "Range: bytes=0-1", " folded"),
        (FIRST, HOST, "Range"),
        (FIRST, HOST, "Accept: \x00"),
        (FIRST, HOST, "Accept: a\nRange: bytes=0-1"),
        (FIRST, HOST, "Accept: a\rb"),
        (FIRST, HOST, "Accept: \xe9"),
        (FIRST, HOST, "Accept: " + "a" * 20_000),
        (FIRST, HOST, *["Accept: a"] * 100),
        (FIRST, HOST, "", FIRST, HOST),
        ("", FIRST, HOST),
    ],
)
def test_everything_else_is_left(lines: tuple[str, ...]) -> None:
    assert read(*lines) is None


@pytest.mark.parametrize("end", ["", "\r\n", "\n\n", "\r\n\r\nbody"])
def test_a_part_of_a_head_is_left(end: str) -> None:
    assert read(FIRST, HOST, end=end) is None


def test_what_a_small_upload_needs_is_read() -> None:
    fields = ["Content-Length: 6", "tus-resumable:1.0.0", "Authorization: Bearer a.b", "Accept: */*"]
    assert read(POST, HOST, *fields, end="\r\n\r\na\r\n\r\nb") == SimpleRequest(
        "POST",
        "/files?token=a.b",
        {"Content-Length": "6", "Tus-Resumable": "1.0.0", "Authorization": "Bearer a.b"},
        b"a\r\n\r\nb",
    )


@pytest.mark.parametrize(("count", "is_read"), [(256 << 10, True), ((256 << 10) + 1, False)])
def test_bodies_are_small(count: int, is_read: bool) -> None:
    found = read(POST, HOST, f"Content-Length: {count}", end="\r\n\r\n" + "x" * count)
    assert (found is not None) is is_read


def test_a_body_with_something_behind_it_is_left() -> None:
    assert read(POST, HOST, "Content-Length: 3", end="\r\n\r\n1234") is None


@pytest.mark.parametrize(("body", "missing"), [("", 3), ("12", 1), ("123", 0)])
def test_of_a_body_in_pieces_it_is_known_how_much_is_missing(body: str, missing: int) -> None:
    found = read(POST, HOST, "Content-Length: 3", end=f"\r\n\r\n{body}")
    assert found is not None
    assert (found.missing, found.body) == (missing, body.encode())


def test_what_the_bytes_of_one_that_was_begun_need_is_read() -> None:
    fields = ["Content-Length: 1", "Upload-Offset: 0", "Content-Type: application/offset+octet-stream"]
    assert read("PATCH /upload?token=a.b HTTP/1.1", HOST, *fields, end="\r\n\r\nx") == SimpleRequest(
        "PATCH",
        "/upload?token=a.b",
        {"Content-Length": "1", "Upload-Offset": "0", "Content-Type": "application/offset+octet-stream"},
        b"x",
    )
