"""What a body, or the whole of an upload, is announced to hash to (RFC 9530)."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from harness.bodies import pieces
from harness.tus import Collection, sending
from harness.world import World
from integration.gateway.resumable_client import (
    PARTIAL,
    RESUMABLE,
    append,
    begin,
    begun,
    dashed,
    digests_of,
    look,
    opened,
    place,
    problem,
)

pytestmark = [pytest.mark.anyio, pytest.mark.folder, RESUMABLE]

LARGE = os.urandom(2_000_000)


SHA = digests_of(b"abc", "sha-256")
SHA512 = digests_of(b"abc", "sha-512")
BOTH = digests_of(b"abc", "sha-512", "sha-256")
#: Fields that say nothing against `abc`.
RIGHT = [
    *(SHA, SHA512, BOTH, SHA.replace("=:", ":", 2).replace("sha-256:", "sha-256=:"), ""),
    *(f'{SHA};why="there is none", {SHA512}', f"md5=:AAAA:, {SHA}, crc32c=:AAAA:", f"sha-256=:AAAA:, {SHA}"),
    *("md5=:AAAA:", "unixsum=1", "sha-384=token"),
]


@dataclass(frozen=True)
class Wrong:
    """A field that is wrong about some bytes: by which algorithms, and what else stands in it."""

    differ: list[str]
    right: tuple[str, ...] = ()
    more: str = ""

    def of(self, data: bytes) -> str:
        fields = [digests_of(data + b"!", *self.differ), digests_of(data, *self.right), self.more]
        return ", ".join(field for field in fields if field)


WRONG = pytest.mark.parametrize(
    "wrong",
    [
        Wrong(["sha-256"]),
        Wrong(["sha-512"]),
        Wrong(["sha-256", "sha-512"]),
        Wrong(["sha-512"], right=("sha-256",)),
        Wrong(["sha-256"], right=("sha-512",)),
        Wrong(["sha-256"], more="md5=:AAAA:"),
    ],
)
#: And some that make no sense.
SENSELESS = [
    "sha-256",
    "sha-256=abc",
    "sha-256=:abc",
    "sha-256=:a$c=:",
    "sha-256=?1",
    'sha-256="YWJj"',
    SHA[:-1],
    SHA + ",",
    f"{SHA} {SHA512}",
    SHA.upper(),
    f"sha-256={'0' * 64}",
    "=",
]
#: And some that are no digests of their algorithm.
IMPOSSIBLE = ["sha-256=:YWJj:", "sha-256=::", "sha-512=" + SHA.partition("=")[2], f"{SHA}, sha-512=:AAAA:"]


@pytest.mark.parametrize("field", RIGHT)
@pytest.mark.parametrize("name", ["Content-Digest", "Repr-Digest"])
async def test_digests_that_are_right_or_not_known(world: World, files: Collection, name: str, field: str) -> None:
    answer = await begin(files, b"abc", "?1", **{name: field})
    assert place(answer) == (200, "3", "?1")
    if name == "Content-Digest":
        url = await begun(files, b"12", name="b")
        assert place(await append(files, url, 2, "?0", b"abc", **{name: field})) == (204, "5", "?0")
        assert place(await append(files, url, 5, "?1", pieces(b"a", b"bc"), **{name: field})) == (200, "8", "?1")
        assert (world.folder / "b").read_bytes() == b"12abcabc"
    assert (world.folder / "a").read_bytes() == b"abc"


@pytest.mark.parametrize("field", [*SENSELESS, *IMPOSSIBLE])
@pytest.mark.parametrize("name", ["Content-Digest", "Repr-Digest"])
async def test_digests_that_make_no_sense(world: World, files: Collection, name: str, field: str) -> None:
    assert (await begin(files, b"abc", "?1", **{name: field})).status == 400
    assert list(world.folder.iterdir()) == []
    url = await begun(files, b"12", name="b")
    answer = await append(files, url, 2, "?1", b"abc", **{"Content-Digest": field})
    is_impossible = field in IMPOSSIBLE
    kind = "digest-invalid-values" if is_impossible else "https://api.backend.ai/probs/storage/invalid-api-params"
    assert problem(answer) == (400, kind)
    if is_impossible:
        (told,) = answer.json["invalid-digests"]
        assert told["header"] == "Content-Digest"
        assert told["algorithm"] in field
    assert place(await look(files, url)) == (204, "2", "?0")


@pytest.mark.parametrize("data", [b"abc", LARGE], ids=["small", "large"])
@pytest.mark.parametrize("framing", ["announced", "chunked"])
@WRONG
async def test_a_body_that_is_another_one_does_not_count(
    world: World, files: Collection, wrong: Wrong, data: bytes, framing: str
) -> None:
    end, field = len(data) + 2, wrong.of(data)
    url = await begun(files, b"12", Upload_Length=str(end))
    body = data if framing == "announced" else pieces(data[:2], data[2:])
    answer = await append(files, url, 2, "?1", body, Content_Digest=field)
    assert problem(answer) == (400, "digest-mismatching-values")
    assert [one["algorithm"] for one in answer.json["mismatching-digests"]] == wrong.differ
    for one in answer.json["mismatching-digests"]:
        assert one["header"] == "Content-Digest"
        assert f"{one['algorithm']}={one['provided-digest']}" in field
    assert (answer.headers["Upload-Complete"], answer.headers["Upload-Offset"]) == ("?0", "2")
    assert place(await look(files, url)) == (204, "2", "?0")
    assert not (world.folder / "a").exists()
    right = digests_of(data, "sha-512")
    assert place(await append(files, url, 2, "?1", data, Content_Digest=right)) == (200, str(end), "?1")
    assert (world.folder / "a").read_bytes() == b"12" + data


async def test_a_creation_whose_body_is_another_one_leaves_nothing(world: World, files: Collection) -> None:
    for complete in ("?0", "?1"):
        answer = await begin(files, b"abc", complete, Content_Digest=digests_of(b"abd", "sha-256"))
        assert problem(answer) == (400, "digest-mismatching-values")
        assert "Location" not in answer.headers
    assert list(world.folder.iterdir()) == []
    assert not [name for name in world.store.records if name.startswith("upload:")]


@pytest.mark.parametrize("framing", ["announced", "chunked"])
async def test_a_last_body_that_comes_once_more_is_compared(files: Collection, framing: str) -> None:
    url = await begun(files, b"12")
    assert place(await append(files, url, 2, "?1", b"abc")) == (200, "5", "?1")
    for _ in range(2):
        wrong = await append(files, url, 2, "?1", _body(framing), Content_Digest=digests_of(b"abd", "sha-256"))
        assert problem(wrong) == (400, "digest-mismatching-values")
        again = await append(files, url, 2, "?1", _body(framing), Content_Digest=SHA)
        assert place(again) == (200, "5", "?1")


async def test_a_named_creation_that_comes_once_more_is_compared(world: World) -> None:
    files = Collection(world, await world.upload_token("n", 3))
    assert place(await begin(files, b"abc", "?1", name=None)) == (200, "3", "?1")
    wrong = await begin(files, b"abc", "?1", name=None, Content_Digest=digests_of(b"abd", "sha-256"))
    assert problem(wrong) == (400, "digest-mismatching-values")
    assert place(await begin(files, b"abc", "?1", name=None, Content_Digest=SHA)) == (200, "3", "?1")


def _body(framing: str) -> Any:
    return b"abc" if framing == "announced" else pieces(b"a", b"bc")


async def test_an_offset_that_was_told_stays(world: World, files: Collection) -> None:
    """Bytes that are still to be compared are told to nobody."""
    url = await begun(files, b"12")
    fields = {**dashed(PARTIAL), "Upload_Offset": "2", "Upload_Complete": "?0"}
    fields["Content_Digest"] = digests_of(b"something else", "sha-256")
    async with sending(files, "PATCH", url, 1000, 500, **fields) as line:
        assert place(await look(files, url)) == (204, "2", "?0")
        assert (await line.answer()).status == 423
    assert place(await append(files, url, 2, "?1", b"abc", Content_Digest=SHA)) == (200, "5", "?1")
    assert (world.folder / "a").read_bytes() == b"12abc"


@WRONG
async def test_a_whole_that_is_another_one_is_dropped(world: World, files: Collection, wrong: Wrong) -> None:
    """All of it was sent, so that is the end; the file of before stays."""
    (world.folder / "a").write_bytes(b"before")
    field = wrong.of(b"abc")
    url = await begun(files, b"a", Repr_Digest=field)
    answer = await append(files, url, 1, "?1", b"bc")
    assert problem(answer) == (400, "digest-mismatching-values")
    (told,) = answer.json["mismatching-digests"]
    assert told["algorithm"] in wrong.differ
    assert told["header"] == "Repr-Digest"
    assert f"{told['algorithm']}={told['provided-digest']}" in field
    assert answer.headers["Upload-Complete"] == "?1"
    assert (await look(files, url)).status == 410
    assert (world.folder / "a").read_bytes() == b"before"
    assert world.events("file.uploaded") == []
    at_once = await begin(files, b"abc", "?1", Repr_Digest=field)
    assert problem(at_once) == (400, "digest-mismatching-values")
    assert (world.folder / "a").read_bytes() == b"before"


@pytest.mark.parametrize("field", [SHA, SHA512, BOTH])
async def test_a_whole_that_comes_in_parts(world: World, files: Collection, field: str) -> None:
    url = await begun(files, b"a", Repr_Digest=field)
    assert (await append(files, url, 1, "?0", b"b")).status == 204
    await world.let_go(url)
    assert place(await append(files, url, 2, "?1", b"c")) == (200, "3", "?1")
    assert (world.folder / "a").read_bytes() == b"abc"


@pytest.mark.parametrize("field", [digests_of(b"abd", "sha-256"), digests_of(b"abd", "sha-512")])
async def test_the_whole_of_a_token_for_one_upload(world: World, field: str) -> None:
    """Its upload has begun before anybody could tell what it is to be."""
    one = Collection(world, await world.upload_token("one", 3))
    assert problem(await begin(one, b"abc", "?1", Repr_Digest=field)) == (400, "digest-mismatching-values")
    assert not (world.folder / "one").exists()


async def test_the_digest_of_what_is_there_is_told_to_who_wants_it(files: Collection) -> None:
    wanted = {"Want-Repr-Digest": "sha-256=5"}
    url = await begun(files, b"a")
    assert "Repr-Digest" not in (await files.ask("HEAD", url, wanted)).headers
    answer = await append(files, url, 1, "?1", b"bc", **wanted)
    assert answer.headers["Repr-Digest"] == SHA
    assert (await files.ask("HEAD", url, wanted)).headers["Repr-Digest"] == SHA
    assert "Repr-Digest" not in (await look(files, url)).headers


async def test_where_no_digests_are_kept_those_announced_are_compared(tmp_path: Path) -> None:
    async with opened(tmp_path, upload_digests=False) as world:
        files = await Collection.open(world)
        for field in (SHA, SHA512):
            assert (await begin(files, b"abc", "?1", Repr_Digest=field)).status == 200
            assert problem(await begin(files, b"abd", "?1", Repr_Digest=field))[1] == "digest-mismatching-values"
