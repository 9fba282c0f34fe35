"""Which request heads are simple enough to be answered without the HTTP library."""

from __future__ import annotations

import pytest

from gateway.express.head import SimpleHead, read_simple_head

FIRST = "GET /download?token=a.b-c_d HTTP/1.1"
HOST = "Host: localhost:6021"


def read(*lines: str, end: str = "\r\n\r\n") -> SimpleHead | None:
    return read_simple_head(("\r\n".join(lines) + end).encode("latin-1"))


def test_what_a_download_needs_is_read() -> None:
    head = read(FIRST, HOST, "User-Agent: curl/8", "Accept: */*", "RANGE:bytes=0-9\t", "connection: Keep-Alive")
    assert head == SimpleHead("/download?token=a.b-c_d", {"Range": "bytes=0-9"})


@pytest.mark.parametrize(
    "lines",
    [
        ("POST /download HTTP/1.1", HOST),
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
        (FIRST, HOST, "", FIRST, HOST),
        ("", FIRST, HOST),
    ],
)
def test_everything_else_is_left(lines: tuple[str, ...]) -> None:
    assert read(*lines) is None


@pytest.mark.parametrize("end", ["", "\r\n", "\n\n", "\r\n\r\nbody"])
def test_a_part_of_a_head_is_left(end: str) -> None:
    assert read(FIRST, HOST, end=end) is None
