"""Uploads whose length is told later."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from harness.tus import Collection
from harness.world import World

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.folder,
    pytest.mark.gateway(uploads_per_owner=5, max_upload_bytes=1 << 20),
]


# [B7] [B9]
async def test_the_length_may_be_told_later(world: World, files: Collection) -> None:
    url = await files.begin(None, Upload_Defer_Length="1")
    head = await files.head(url)
    assert (head.headers["Upload-Defer-Length"], head.headers.get("Upload-Length")) == ("1", None)
    assert (await files.patch(url, 0, b"abc")).status == 204
    assert (await files.patch(url, 3, b"d", Upload_Length="2")).status == 400
    assert (await files.patch(url, 3, b"d", Upload_Length="x")).status == 400
    assert (await files.patch(url, 3, b"d", Upload_Length=str(2 << 20))).status == 413
    assert (await files.patch(url, 3, b"defg", Upload_Length="5")).status == 413
    assert (await files.patch(url, 3, b"d", Upload_Length="5")).status == 204
    assert (await files.head(url)).headers["Upload-Length"] == "5"
    assert (await files.patch(url, 4, b"e", Upload_Length="6")).status == 400
    assert (await files.patch(url, 4, b"e", Upload_Length="5")).status == 204
    assert (world.folder / "a").read_bytes() == b"abcde"


# [A11] [B9]
async def test_a_deferred_upload_may_end_with_an_empty_request(world: World, files: Collection) -> None:
    url = await files.begin(None, Upload_Defer_Length="1")
    await files.patch(url, 0, b"abc")
    answer = await files.patch(url, 3, b"", Upload_Length="3")
    assert (answer.status, answer.headers["Upload-Offset"]) == (204, "3")
    assert (world.folder / "a").read_bytes() == b"abc"


# [A11]
async def test_an_empty_body_of_no_told_length_ends_nothing_anew(world: World, files: Collection) -> None:
    url = await files.begin(3)
    assert (await files.patch(url, 0, b"abc")).status == 204

    async def nothing() -> AsyncIterator[bytes]:
        for piece in ():
            yield piece

    answer = await files.patch(url, 3, nothing())
    assert (answer.status, answer.headers["Upload-Offset"]) == (204, "3")
    assert len(world.events("file.uploaded")) == 1


# [B9] [C6]
async def test_an_upload_whose_length_was_told_is_still_its_owners(world: World, files: Collection) -> None:
    for name in range(5):
        url = await files.begin(None, f"{name}", Upload_Defer_Length="1")
        assert (await files.patch(url, 0, b"1", Upload_Length="3")).status == 204
    assert (await files.create(3, "one more")).status == 429
    assert (await files.patch(url, 1, b"23")).status == 204
    assert (await files.create(3, "one more")).status == 201
