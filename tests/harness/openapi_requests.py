"""Every operation of both ports, asked rightly, in the world its examples tell of."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from uuid import uuid4

import anyio
import pytest
from harness.fields import TUS, metadata
from harness.line import Line
from harness.world import FOLDER, Answer, Direct, World, open_world

from domain.ids import VolumeName
from gateway.openapi.examples import FILE, SESSION, TASK
from gateway.openapi.operations import CLIENT, MANAGER, Operation
from gateway.openapi.parameters import parameters
from gateway.tokens import UploadClaims

#: Port, method, path.
Key = tuple[str, str, str]
OPERATIONS: dict[Key, Operation] = {
    **{("manager", *key): operation for key, operation in MANAGER.items()},
    **{("client", *key): operation for key, operation in CLIENT.items()},
}
HELLO = b"hello"
#: Header fields of a request that is right, where an operation looks at them.
SOUND = {
    **TUS,
    "Upload-Offset": "0",
    "Upload-Length": "5",
    "Upload-Metadata": metadata(filename="up"),
    "Upload-Complete": "?1",
    "Content-Disposition": "attachment; filename=up",
    "X-HTTP-Method-Override": "PATCH",
}
#: Paths of downloads, and whose tokens they take.
DOWNLOADS = {"/download": "download", "/download-archive": "archive-download-token"}
#: What only finished uploads can be asked.
READ_BACK = ("client", "GET", "/files/{session}")
SCOPE_PATH = "/volumes/{volume}/quota-scope/{type}/{uuid}"
FOLDER_PATH = f"{SCOPE_PATH}/vfolder/{{folder}}"


@dataclass(frozen=True)
class Request:
    """One request for an operation."""

    world: World
    key: Key
    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Any = None

    def but(
        self, body: Any = None, path: str = "", query: Mapping[str, str] | None = None, **fields: Any
    ) -> Request:
        """The same with other things: keys of its JSON, or header fields (`If_Match`; None: without it)."""
        named = {name.replace("_", "-"): value for name, value in fields.items()}
        headers = {name: value for name, value in {**self.headers, **named}.items() if value is not None}
        body = {**self.body, **body} if isinstance(body, dict) else self.body if body is None else body
        return replace(self, path=path or self.path, query=query or self.query, headers=headers, body=body)

    async def send(self) -> Answer:
        query = "&".join(f"{name}={value}" for name, value in self.query.items())
        url = f"{self.path}?{query}" if query else self.path
        is_said_twice = len({name.lower() for name in self.headers}) < len(self.headers)
        if is_said_twice or "Transfer-Encoding" in self.headers:
            async with Line.open(self.world) as line:
                line.head(self.key[1], url, self.headers)
                line.send(self.body or b"")
                return await line.answer(self.key[1])
        with anyio.fail_after(20):
            if self.key[0] == "manager":
                return await self.world.manager(self.key[1], url, self.body, headers=dict(self.headers))
            return await self.world.client(self.key[1], url, headers=dict(self.headers), data=self.body)


def barely(world: World, key: Key) -> Request:
    """An operation asked as its example says."""
    _, _, path = key
    operation, query = OPERATIONS[key], {}
    for told in parameters(path, operation):
        if told["in"] == "path":
            path = path.replace(f"{{{told['name']}}}", told["example"])
        elif "example" in told:
            query[told["name"]] = str(told["example"])
    path = path.replace(TASK, world.extra.get("task", str(uuid4())))
    headers = {one.name: SOUND[one.name] for one in operation.fields if one.name in SOUND}
    return Request(world, key, path, query, headers, dict(operation.example) if operation.body else None)


@dataclass(frozen=True)
class Begun:
    """An upload, and the token for it."""

    token: str
    session: str


def claim(world: World, relpath: str = "up", size: int = len(HELLO), session: str = "") -> Begun:
    """An upload nobody has heard of, with a token for it."""
    session, exp = session or uuid4().hex, world.gate.tokens.expiry()
    claims = UploadClaims(volume="disk", vfid=FOLDER, relpath=relpath, size=size, session=session, exp=exp)
    return Begun(world.gate.tokens.sign(claims), session)


async def begin(world: World, **announced: str) -> Begun:
    """An upload of which no byte is there."""
    made, creation = claim(world), barely(world, ("client", "POST", "/files"))
    answer = await creation.but(Authorization=f"Bearer {made.token}", **announced).send()
    assert answer.status == 201, answer.body
    return made


async def rightly(world: World, key: Key, upload: Begun | None = None, data: bytes = HELLO) -> Request:
    """An operation asked as it should be, in a world that is `filled`; its upload has begun, or is finished.

    Args:
        data: what is uploaded.
    """
    request, operation, path = barely(world, key), OPERATIONS[key], key[2]
    if key[0] == "manager" or not operation.security:
        return request
    if path in DOWNLOADS:
        return request.but(query={"token": await token(world, DOWNLOADS[path])})
    if operation.bytes:
        request = request.but(data, Content_Type=operation.bytes[0], Upload_Length=str(len(data)))
    if key[1] == "PUT" and upload is None:
        return request.but(Authorization=f"Bearer {await world.upload_token('up', len(HELLO))}")
    if path in ("/files", "/uploads") and upload is None:
        return request.but(Authorization=f"Bearer {await token(world, 'upload-below')}")
    upload = upload or await begin(world)
    if not operation.bytes and key[1] != "DELETE":
        # All of it is there, so that it is finished by who looks.
        (world.folder / ".upload" / upload.session).write_bytes(data)
        if path.startswith("/uploads"):
            async with world.gate.uploads.opened.use(upload.session) as held:
                await world.gate.uploads.end(held)
    if key == READ_BACK:
        assert (await (await rightly(world, ("client", "HEAD", key[2]), upload)).send()).status == 200
    if path == "/upload":
        return request.but(query={"token": upload.token})
    path = request.path.replace(SESSION, upload.session)
    return request.but(path=path, Authorization=f"Bearer {upload.token}")


async def token(world: World, kind: str) -> str:
    """What the manager's port makes for clients."""
    answer = await barely(world, ("manager", "POST", f"/folder/file/{kind}")).send()
    return str(answer.json["token"])


@asynccontextmanager
async def opened(path: Path, *, workers: bool = False, **more: Any) -> AsyncIterator[World]:
    """A world in which nothing lingers; streams end when all is sent, and without workers tasks never end."""

    async def wait(*_: object) -> None:
        """A worker that never comes."""

    await anyio.Path(path).mkdir(exist_ok=True)
    actors = {"trash_seconds": 3600, "attempts": 1}
    with pytest.MonkeyPatch.context() as patch:
        if not workers:
            patch.setattr(Direct, "start", wait)
        settings = {"resumable_uploads": True, "command_seconds": 5.0, **more}
        async with open_world(path, actors=actors, **settings) as world:
            world.gate.stopping.set()
            world.gate.uploads.opened._linger_seconds = 0
            world.gate.uploads.opened._patience = 0.05
            yield world


@asynccontextmanager
async def filled(path: Path, **more: Any) -> AsyncIterator[World]:
    """The world of the examples: a folder with a file, and a task that goes on."""
    async with opened(path, **more) as world:
        await world.make_folder()
        await world.upload(FILE, HELLO)
        world.extra["task"] = (await barely(world, ("manager", "POST", "/tasks")).send()).json["task_id"]
        yield world


def changed(part: Any, **members: Any) -> Any:
    """The same part, in the same state, with other methods."""
    made = object.__new__(type("Changed", (type(part),), members))
    made.__dict__.update(vars(part))
    return made


async def add_volume(world: World) -> None:
    """The same volume under another name."""
    world.gate.volumes["tape"] = made = changed(world.volume)
    made.name = VolumeName("tape")
