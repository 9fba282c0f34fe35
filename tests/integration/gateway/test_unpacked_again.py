"""Archives that are uploaded once more with the token of an upload that was forgotten."""

from __future__ import annotations

import io
import shutil
import zipfile

import pytest
from harness.uploads import session_of
from harness.world import World

pytestmark = pytest.mark.anyio


async def test_what_became_of_an_upload_is_not_that_of_the_next_one_of_its_token(world: World) -> None:
    await world.make_folder()
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        archive.writestr("a", b"1")
    data = target.getvalue()
    token = await world.upload_token("in/archive", len(data))
    for _ in range(2):
        headers = {"Tus-Resumable": "1.0.0", "Upload-Length": str(len(data))}
        assert (await world.client("POST", f"/files?token={token}", headers=headers)).status == 201
        assert (await world.patch(token, 0, data, extract="1")).status == 204
        assert (world.folder / "in/a").read_bytes() == b"1"
        shutil.rmtree(world.folder / "in")
        del world.store.records[f"upload:{session_of(token)}"]
    assert len(world.events("archive.unpacked")) == 2
