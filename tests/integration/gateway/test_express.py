"""Downloads that are answered without the HTTP library: the same answers, whoever gives them."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path

import anyio
import jwt
import pytest
from harness.line import Line
from harness.spans import Tracer
from harness.uploads import let_pass
from harness.world import ONCE, TOKEN_SECRET, Answer, World, open_world

from domain.spans import NoSpans
from gateway.express.downloads import ExpressDownloads
from gateway.express.request import SimpleRequest

pytestmark = pytest.mark.anyio

DATA = os.urandom(300_000)
#: A field that nobody heeds, but makes a head no simple one.
ORDINARY = "X-Unheard-Of: 1"


class Spied:
    """Which requests were answered at once."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.answers: list[bool] = []
        real: Callable[..., bool] = ExpressDownloads.answer

        def answer(express: ExpressDownloads, head: SimpleRequest, transport: asyncio.Transport | None) -> bool:
            self.answers.append(real(express, head, transport))
            return self.answers[-1]

        monkeypatch.setattr(ExpressDownloads, "answer", answer)


@pytest.fixture
def spied(monkeypatch: pytest.MonkeyPatch) -> Spied:
    return Spied(monkeypatch)


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with open_world(tmp_path) as opened:
        await opened.make_folder()
        await opened.upload("f.bin", DATA)
        await opened.upload("d/small é.txt", b"0123456789")
        await opened.upload("empty", b"")
        (opened.folder / "link").symlink_to("f.bin")
        (opened.folder / "out").symlink_to("/etc/passwd")
        os.mkfifo(opened.folder / "pipe")
        yield opened


def head_of(target: str, fields: Sequence[str] = ()) -> bytes:
    return "\r\n".join([f"GET {target} HTTP/1.1", "Host: localhost", *fields, "", ""]).encode()


async def get(line: Line, target: str, *fields: str) -> Answer:
    line.send(head_of(target, fields))
    return await line.answer()


def comparable(answer: Answer) -> tuple[int, dict[str, str], bytes]:
    passing = {"Date": "any", "X-Request-ID": "any"}
    assert set(passing) <= set(answer.headers)
    return answer.status, {**answer.headers, **passing}, answer.body


async def tag_of(world: World, target: str) -> str:
    async with Line.open(world) as line:
        return str((await get(line, target)).headers["ETag"])


# [D18]
@pytest.mark.parametrize(
    ("name", "fields", "at_once", "status"),
    [
        ("d/small é.txt", (), True, 200),
        ("empty", (), False, 200),
        ("f.bin", (), False, 200),
        ("f.bin", ("Range: bytes=0-65535",), True, 206),
        ("f.bin", ("Range: bytes=-1000",), True, 206),
        ("f.bin", ("Range: bytes=299999-",), True, 206),
        ("f.bin", ("Range: bytes=0-262144",), False, 206),
        ("f.bin", ("Range: bytes=300000-",), False, 416),
        ("f.bin", ("Range: nonsense",), False, 200),
        ("f.bin", ("Range: bytes=5-6", "If-Range: {tag}"), True, 206),
        ("d/small é.txt", ("Range: bytes=5-6", 'If-Range: "another"'), True, 200),
        ("f.bin", ("Range: bytes=5-6", "If-Match: {tag}"), True, 206),
        ("f.bin", ("Range: bytes=5-6", 'If-Match: "another"'), False, 412),
        ("f.bin", ("If-None-Match: {tag}",), False, 304),
        ("d/small é.txt", ("If-Modified-Since: Thu, 01 Jan 2099 00:00:00 GMT",), False, 304),
        ("link", ("Range: bytes=0-9",), False, 206),
        ("out", ("Range: bytes=0-9",), False, 404),
        ("pipe", (), False, 400),
        ("d", (), False, 400),
        ("nothing", (), False, 404),
    ],
)
async def test_it_makes_no_difference_who_answers(
    world: World, spied: Spied, name: str, fields: tuple[str, ...], at_once: bool, status: int
) -> None:
    target = f"/download?token={await world.download_token(name)}"
    tag = await tag_of(world, target) if any("{tag}" in field for field in fields) else ""
    asked = [field.format(tag=tag) for field in fields]
    await anyio.sleep(0.02)  # what was asked before is counted
    spied.answers.clear()
    world.watching.answers.clear()
    async with Line.open(world) as line, Line.open(world) as other:
        ordinary = await get(other, target, *asked, ORDINARY)
        assert not spied.answers
        assert ordinary.status == status
        told = await get(line, target, *asked)
        assert spied.answers == [at_once]
        assert comparable(told) == comparable(ordinary)
        assert comparable(await get(line, target, *asked)) == comparable(ordinary)  # and again on the connection
    await world.settled(lambda: len(world.watching.answers) == 3)
    counted = [(one.method, one.endpoint, one.status) for one in world.watching.answers]
    assert counted == [("GET", "/download", status)] * 3


# [D19]
async def test_tokens_that_are_not_good(world: World, spied: Spied) -> None:
    good = await world.download_token("f.bin")
    claims = jwt.decode(good, options={"verify_signature": False})
    late = jwt.encode({**claims, "exp": int(time.time()) - 3600}, TOKEN_SECRET)
    forged = jwt.encode(claims, "another secret, as long as it should be")
    other = await world.upload_token("new", 1)
    for token, expected in ((late, 401), (forged, 401), ("nonsense", 401), (other, 403)):
        async with Line.open(world) as line:
            answer = await get(line, f"/download?token={token}", "Range: bytes=0-9")
            assert answer.status == expected
    assert not any(spied.answers)


async def test_a_token_ends_while_it_is_remembered(
    world: World, spied: Spied, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = f"/download?token={await world.download_token('f.bin')}"
    settings = world.gate.settings
    async with Line.open(world) as line:
        assert (await get(line, target, "Range: bytes=0-9")).status == 206
        let_pass(monkeypatch, settings.token_seconds + settings.token_skew_seconds + 1)
        assert (await get(line, target, "Range: bytes=0-9")).status == 401
    assert spied.answers == [True, False]


async def test_what_is_replaced_or_removed_is_seen_at_once(world: World, spied: Spied) -> None:
    target = f"/download?token={await world.download_token('d/small é.txt')}"
    async with Line.open(world) as line:
        first = await get(line, target)
        await world.upload("d/small é.txt", b"another")
        second = await get(line, target)
        assert second.body == b"another"
        assert first.headers["ETag"] != second.headers["ETag"]
        (world.folder / "d" / "small é.txt").unlink()
        assert (await get(line, target)).status == 404
    assert spied.answers == [True, True, False]


async def test_a_token_with_a_rate_is_slowed_down(world: World, spied: Spied) -> None:
    claims = jwt.decode(await world.download_token("f.bin"), options={"verify_signature": False})
    slow = jwt.encode({**claims, "rate": 1_000_000}, TOKEN_SECRET)
    async with Line.open(world) as line:
        assert (await get(line, f"/download?token={slow}", "Range: bytes=0-9")).status == 206
    assert spied.answers == [False]


async def test_requests_in_a_row_are_answered_in_their_order(world: World, spied: Spied) -> None:
    """Heads that come in one piece, or while an answer is being made, are the library's."""
    target = f"/download?token={await world.download_token('f.bin')}"
    async with Line.open(world) as line:
        for start in range(20):
            line.send(head_of(target, [f"Range: bytes={start}-{start}"]))
            if start % 3 == 0:
                await anyio.sleep(0.02)
        got = [(await line.answer()).body for _ in range(20)]
    assert b"".join(got) == DATA[:20]
    assert any(spied.answers)


async def test_a_head_in_two_pieces(world: World, spied: Spied) -> None:
    target = f"/download?token={await world.download_token('f.bin')}"
    head = head_of(target, ["Range: bytes=0-9"])
    async with Line.open(world) as line:
        for cut in (4, len(head) - 2):
            line.send(head[:cut])
            await anyio.sleep(0.05)
            line.send(head[cut:])
            assert (await line.answer()).body == DATA[:10]
    assert not spied.answers


async def test_more_fields_than_may_be(world: World, spied: Spied) -> None:
    target = f"/download?token={await world.download_token('f.bin')}"
    async with Line.open(world) as line:
        assert (await get(line, target, *["Accept: a"] * 200)).status == 400
    assert not spied.answers


async def test_an_upload_and_a_download_on_one_connection(world: World) -> None:
    target = f"/download?token={await world.download_token('f.bin')}"
    token = await world.upload_token("new", 10)
    # Bytes of a body that look like a request are bytes.
    body = head_of(target)[:10]
    patch = [f"PATCH /upload?token={token} HTTP/1.1", "Host: a", "Tus-Resumable: 1.0.0", "Upload-Offset: 0"]
    patch += ["Content-Type: application/offset+octet-stream", "Content-Length: 10", "", ""]
    async with Line.open(world) as line:
        assert (await get(line, target, "Range: bytes=0-9")).body == DATA[:10]
        line.send("\r\n".join(patch).encode())
        await anyio.sleep(0.1)
        line.send(body)
        assert (await line.answer()).status == 204
        assert (await get(line, target, "Range: bytes=0-9")).body == DATA[:10]
    assert (world.folder / "new").read_bytes() == body


async def test_one_who_does_not_read_is_not_answered_for_ever(world: World, spied: Spied) -> None:
    target = f"/download?token={await world.download_token('f.bin')}"
    async with Line.open(world) as line:
        line.pause()
        for _ in range(400):
            line.send(head_of(target, ["Range: bytes=0-200000"]))
            await anyio.sleep(0.002)
        assert spied.answers.count(True) < 100  # the sockets' buffers are full long before
        line.resume()
        for _ in range(400):
            assert (await line.answer()).body == DATA[:200_001]


async def test_a_peer_who_asks_too_much_is_refused(tmp_path: Path, spied: Spied) -> None:
    async with open_world(tmp_path, peer_rate=ONCE) as world:
        await world.make_folder()
        (world.folder / "f.bin").write_bytes(DATA)
        target = f"/download?token={await world.download_token('f.bin')}"
        async with Line.open(world) as line:
            told = [(await get(line, target, "Range: bytes=0-9")).status for _ in range(3)]
    assert told == [206, 429, 429]
    assert spied.answers == [True, False, False]


async def test_what_goes_the_ordinary_way_counts_once(tmp_path: Path, spied: Spied) -> None:
    async with open_world(tmp_path, peer_rate=10) as world:
        await world.make_folder()
        target = f"/download?token={await world.download_token('nothing')}"
        async with Line.open(world) as line:
            told = [(await get(line, target)).status for _ in range(20)]
    assert told.count(429) <= 2  # twice as many as in a second may come at once
    assert spied.answers == [False] * 20


async def test_who_traces_or_sends_files_itself_hears_of_every_request(tmp_path: Path) -> None:
    async with open_world(tmp_path, NoSpans()) as world:
        assert ExpressDownloads.offered(world.gate) is not None
    async with open_world(tmp_path, Tracer()) as world:
        assert ExpressDownloads.offered(world.gate) is None
    async with open_world(tmp_path, offload="X-Sendfile", offload_prefix="/srv") as world:
        assert ExpressDownloads.offered(world.gate) is None
