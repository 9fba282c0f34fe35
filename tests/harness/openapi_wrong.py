"""Conditions under which requests are refused for what they say, or for who sends them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any
from uuid import uuid4

from harness.openapi_provoked import COMMANDS, OTHER_SHA256, Provoked, all_of
from harness.openapi_requests import (
    DOWNLOADS,
    HELLO,
    OPERATIONS,
    SCOPE_PATH,
    Request,
    barely,
    filled,
    opened,
    token,
)
from harness.world import FOLDER

from gateway.openapi.examples import SESSION
from gateway.openapi.refusals import OTHER_CODING
from gateway.tokens import ArchiveClaims, DownloadClaims, UploadClaims

#: What no body here hashes to.
OTHER_DIGEST = f"sha-256=:{'A' * 43}=:"
#: Header fields that are wrong.
WRONG_FIELDS = (
    {"Authorization": None},
    {"Tus_Resumable": None},
    {"Upload_Offset": "3"},
    {"X_HTTP_Method_Override": None},
    {"Repr_Digest": OTHER_DIGEST},
    {"Upload_Metadata": OTHER_SHA256},
    {"Content_Type": "text/plain"},
    {"Idempotency_Key": "two words"},
    {"If_Match": '"another"'},
    {"Range": "bytes=1000000-"},
)


async def too_often(path: Path, provoked: Provoked) -> None:
    async with opened(path, peer_rate=1e-6, manager_peer_rate=1e-6) as world:
        await world.manager("GET", "/volumes")
        await world.client("GET", "/docs")
        await provoked.send(*(barely(world, key) for key in OPERATIONS))


def wrongly(right: Request, other: str) -> Iterator[Request]:
    """A request with one thing wrong at a time."""
    operation, bearer = OPERATIONS[right.key], f"Bearer {other}"
    if operation.security == ("manager",):
        yield right.but(X_BackendAI_Storage_Auth_Token="another")
    if set(OTHER_CODING) & set(operation.refusals):
        sent = b"5\r\nhello\r\n0\r\n\r\n" if isinstance(right.body, bytes) else b"0\r\n\r\n"
        yield right.but(sent, Transfer_Encoding="gzip, chunked")
    if "Tus-Resumable" in right.headers and right.body is None:
        yield right.but(tus_resumable="1.0.0")  # once more, in other letters
    if isinstance(right.body, dict):
        yield replace(right, body={"nonsense": 1})
        yield replace(right, body=b" " * 2000)
        yield right.but({name: "nowhere" for name in right.body if name.endswith("volume")})
        yield right.but({name: "../away" for name in right.body if name.endswith("relpath")})
    if operation.query:
        yield right.but(query={"token": "x", **right.query, "nonsense": "1"}, Authorization=None)
        yield right.but(query={**right.query, **({"volume": "nowhere"} if "volume" in right.query else {})})
    if "token" in right.query:
        yield from (right.but(query={**right.query, "token": token}) for token in (other, f"{other}x", "x"))
    if "/disk" in right.path:
        yield right.but(path=right.path.replace("/disk", "/nowhere"))
    if "{session}" in right.key[2] and operation.security:
        yield right.but(path=right.path[:-32] + "0" * 32)
    for fields in ({"Authorization": bearer}, *WRONG_FIELDS):
        looked_at = {*right.headers, *(one.name for one in operation.fields)}
        if looked_at & {name.replace("_", "-") for name in fields}:
            yield right.but(**fields)
    if right.key[0] == "manager" and not operation.security:
        yield replace(right, body={})
    if isinstance(right.body, bytes):
        yield right.but(right.body * 3)  # which may be the end of the upload


async def wrong(path: Path, provoked: Provoked) -> None:
    async with filled(path, max_body_bytes=1024) as world:
        other = await token(world, "download")
        for right in await all_of(world):
            await provoked.send(*(request for request in wrongly(right, other) if request != right))


async def elsewhere(path: Path, provoked: Provoked) -> None:
    """Volumes that are not here any more, or cannot be; and keys and options that are none."""
    async with filled(path) as world:
        tokens, exp = world.gate.tokens, world.gate.tokens.expiry()
        gone: dict[str, Any] = {"volume": "nowhere", "vfid": FOLDER, "exp": exp}
        upload = UploadClaims(relpath="up", size=5, session=SESSION, **gone)
        several = ArchiveClaims(volume="nowhere", virtual_folder_id=FOLDER, files=("a.txt",), exp=exp)
        for key, operation in OPERATIONS.items():
            right = barely(world, key)
            if key[0] == "manager":
                names = [name for name in right.body or () if name.endswith("volume")]
                await provoked.send(right.but(dict.fromkeys(names, "no name")) if names else right)
                await provoked.send(right.but(path=right.path.replace("/user/", "/nobody/")))
            elif operation.security:
                claims = {"/download": DownloadClaims(relpath="a.txt", **gone), "/download-archive": several}
                token = tokens.sign(claims.get(key[2], upload))
                if operation.bytes:
                    right = right.but(HELLO, Content_Type=operation.bytes[0])
                await provoked.send(right.but(query={"token": token}))
        await provoked.send(barely(world, ("manager", "PUT", SCOPE_PATH)).but({"options": None}))


async def used_key(path: Path, provoked: Provoked) -> None:
    async with filled(path) as world:
        used = {"Idempotency_Key": "used"}
        request = barely(world, ("manager", "POST", "/quota-scope"))
        await request.but({"qsid": f"project:{uuid4()}"}, **used).send()
        await provoked.send(*(right.but(**used) for right in await all_of(world, COMMANDS)))


async def no_permission(path: Path, provoked: Provoked) -> None:
    """Tokens that do not permit what they are for, and those for something else."""
    async with filled(path) as world:
        for name in ("upload", "upload-below"):
            right = barely(world, ("manager", "POST", f"/folder/file/{name}"))
            await provoked.send(right.but({"permission": "ro"}))
        up = await world.upload_token("up", 5)
        for method, where in product(("GET", "HEAD"), DOWNLOADS):
            await provoked.send(barely(world, ("client", method, where)).but(query={"token": up}))
