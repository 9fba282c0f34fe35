"""Conditions under which uploads are refused."""

from __future__ import annotations

import os
import shutil
from dataclasses import replace
from io import BytesIO
from itertools import product
from pathlib import Path
from zipfile import ZipFile

import pytest
from harness.fields import metadata
from harness.openapi_names import empty_folder, fill, leave_empty
from harness.openapi_provoked import OTHER_SHA256, UPLOADS, Provoked
from harness.openapi_requests import (
    HELLO,
    OPERATIONS,
    READ_BACK,
    Begun,
    barely,
    begin,
    claim,
    filled,
    rightly,
    token,
)
from harness.world import World

from gateway.client import finished_uploads
from gateway.openapi.examples import SESSION
from gateway.tokens import UploadClaims

#: Where uploads begin.
COLLECTIONS = ("/files", "/uploads")
SENDING = [key for key in UPLOADS if OPERATIONS[key].bytes]
#: More bytes than any upload may have.
HUGE = str(10**15 - 1)


async def take_up(world: World, upload: Begun, **announced: str) -> None:
    """Begin an upload a token stands for."""
    length = str(world.gate.tokens.read(upload.token, UploadClaims).size)
    creation = barely(world, ("client", "POST", "/files")).but(Authorization=f"Bearer {upload.token}")
    answer = await creation.but(Upload_Length=length, **announced).send()
    assert answer.status == 201, answer.body


async def no_place(path: Path, provoked: Provoked) -> None:
    """Uploads whose destination is no place for a file any more when their last byte is there."""
    async with filled(path) as world:
        for key, name in product(UPLOADS, ("box", "a.txt/below", "away/x")):
            empty_folder(world)
            upload = claim(world, relpath=name)
            if key[2] in COLLECTIONS:
                fill(world)
            await take_up(world, upload)
            right = await rightly(world, key, upload)
            fill(world)
            await provoked.send(right)


async def read_back(path: Path, provoked: Provoked) -> None:
    """Finished uploads whose place has become another one, also between two looks at it."""

    async def is_there(*_: object) -> bool:
        return True

    def no_way_there(file: Path) -> None:
        file.parent.rmdir()
        file.parent.touch()

    async with filled(path) as world:
        upload = claim(world, relpath="box/file")
        await take_up(world, upload)
        right = await rightly(world, READ_BACK, upload)
        file = world.folder / "box" / "file"
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(finished_uploads, "_is_still_there", is_there)
            for make in (leave_empty, Path.mkdir, os.mkfifo, no_way_there):
                shutil.rmtree(file.parent)
                file.parent.mkdir()
                make(file)
                await provoked.send(right)
        file.parent.unlink()
        file.parent.symlink_to("/etc")
        await provoked.send(right)


async def too_long(path: Path, provoked: Provoked) -> None:
    """Uploads that are longer than was said, or than any may be."""
    async with filled(path) as world:
        for key in SENDING:
            upload = claim(world)
            if key[2] not in COLLECTIONS:
                await take_up(world, upload)
            await provoked.send((await rightly(world, key, upload)).but(HELLO * 3))
            huge = claim(world, size=int(HUGE))
            right = barely(world, key).but(HELLO, Content_Type=OPERATIONS[key].bytes[0], Upload_Complete="?0")
            right = right.but(path=right.path.replace(SESSION, huge.session), Upload_Length=HUGE)
            await provoked.send(right.but(query={"token": huge.token}))
        below = f"Bearer {await token(world, 'upload-below')}"
        post = barely(world, ("client", "POST", "/uploads")).but(b"h", Authorization=below, Upload_Complete="?0")
        begun = await post.but(Upload_Length=None).send()
        patch = barely(world, ("client", "PATCH", "/uploads/{session}")).but(b"h", Authorization=below)
        patch = patch.but(path=f"/{begun.headers['Location']}", Content_Type="application/partial-upload")
        await provoked.send(patch.but(Upload_Offset="1", Upload_Length=HUGE, Upload_Complete="?0"))


async def too_much_in_it(path: Path, provoked: Provoked) -> None:
    """Archives that have more in them than may be unpacked."""
    data = BytesIO()
    with ZipFile(data, "w") as archive:
        for name in ("a", "b"):
            archive.writestr(name, "")
    packed, announced = data.getvalue(), metadata(filename="up.zip", extract="1")
    async with filled(path, unpack_entries=1) as world:
        below = await token(world, "upload-below")
        creation = barely(world, ("client", "POST", "/files")).but(Authorization=f"Bearer {below}")
        creation = creation.but(Upload_Metadata=announced, Upload_Length=str(len(packed)))
        for key in UPLOADS:
            if "{session}" in key[2]:
                session = (await creation.send()).headers["Location"].rpartition("/")[2]
                await provoked.send(await rightly(world, key, Begun(below, session), packed))


async def other_uploads(path: Path, provoked: Provoked) -> None:
    """Uploads that somebody else is at, that are gone, or become something else than was announced."""
    async with filled(path) as world:
        for key in (*UPLOADS, READ_BACK):
            upload = await begin(world)
            if key[1] == "DELETE":
                await rightly(world, READ_BACK, upload)
            right = await rightly(world, key, upload)
            async with world.gate.bus.leases.hold(f"upload:{upload.session}", wait_seconds=10):
                await provoked.send(right)
            drop = await rightly(world, ("client", "DELETE", "/files/{session}"), upload)
            assert (await drop.send()).status in (204, 410)
            await provoked.send(right)
            other = await begin(world, Upload_Metadata=OTHER_SHA256)
            if key != READ_BACK:
                await provoked.send(await rightly(world, key, other))
            else:
                await provoked.send(
                    right.but(path=f"/files/{other.session}", Authorization=f"Bearer {other.token}")
                )


async def other_digests(path: Path, provoked: Provoked) -> None:
    """Digests that are none; and bytes for what is complete."""
    async with filled(path) as world:
        for key in SENDING:
            if not key[2].startswith("/uploads"):
                continue
            upload = claim(world)
            await take_up(world, upload)
            right = await rightly(world, key, upload)
            await provoked.send(right.but(Content_Digest="sha-256=:AA==:"))
            assert (await right.send()).status == 200
            if key[1] == "PATCH":
                await provoked.send(right.but(b"", Upload_Offset="5", Upload_Complete="?0"))
            else:
                await provoked.send(right.but(b"other"))


async def other_tokens(path: Path, provoked: Provoked) -> None:
    """Tokens for an upload of another length."""
    async with filled(path) as world:
        for key in UPLOADS:
            upload = claim(world)
            await take_up(world, upload)
            longer = claim(world, size=6, session=upload.session)
            right = (await rightly(world, key, upload)).but(query={"token": longer.token}, Authorization=None)
            await provoked.send(right.but(b"hello!", Upload_Length="6") if key in SENDING else right)


async def begun_again(path: Path, provoked: Provoked) -> None:
    """An upload of which some is there already; and one that would have to be named by its token."""
    post, put = ("client", "POST", "/uploads"), ("client", "PUT", "/uploads")
    async with filled(path) as world:
        for key in (post, put):
            right = replace(await rightly(world, put), key=key)
            await provoked.send(right.but(b"h", Upload_Complete="?0"), right)
        await provoked.send(replace(await rightly(world, post), key=put))


async def part_of_another(path: Path, provoked: Provoked) -> None:
    """A part for which another upload waits already; and bytes for an upload that takes none of its own."""
    async with filled(path) as world:
        right = (await rightly(world, ("client", "POST", "/files"))).but(Content_Type=None)
        right = replace(right, body=None)
        part = await right.but(Upload_Concat="partial", Upload_Metadata=None).send()
        final = right.but(Upload_Concat=f"final;/{part.headers['Location']}", Upload_Length=None)
        assert (await final.send()).status == 201
        await provoked.send(final.but(Upload_Metadata=metadata(filename="another")))
        await provoked.send(replace(final, body=HELLO).but(Content_Type="application/offset+octet-stream"))
        begun = await final.send()
        for method in ("PATCH", "POST"):
            patch = barely(world, ("client", method, "/files/{session}"))
            patch = patch.but(HELLO, Content_Type="application/offset+octet-stream")
            patch = patch.but(Authorization=final.headers["Authorization"], Upload_Length=None)
            await provoked.send(patch.but(path=f"/{begun.headers['Location']}"))
