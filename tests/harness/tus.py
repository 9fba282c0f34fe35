"""A tus client for tests: each request by hand, so that nothing is hidden."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from harness.fields import BODY, TUS, metadata
from harness.line import Line
from harness.world import FOLDER, Answer, World

#: Bytes of an upload that cannot come whole in one small request.
LARGE = 300_000


@dataclass
class Collection:
    """The collection, with one token for all uploads below a directory."""

    world: World
    token: str

    @classmethod
    async def open(cls, world: World, owner: str = "somebody", relpath: str = ".") -> Collection:
        body = {"volume": "disk", "vfid": FOLDER, "relpath": relpath, "owner": owner}
        answer = await world.manager("POST", "/folder/file/upload-below", body)
        assert answer.status == 200, answer.body
        return cls(world, answer.json["token"])

    async def ask(self, method: str, url: str, headers: dict[str, str], data: Any = None) -> Answer:
        fields = {"Authorization": f"Bearer {self.token}", **headers}
        return await self.world.client(method, url, headers=fields, data=data)

    async def create(
        self, length: object, name: str | None = "a", data: bytes | None = None, **headers: str
    ) -> Answer:
        """POST, with the first bytes or without; `Upload_Concat` stands for `Upload-Concat`."""
        fields = {**(TUS if data is None else BODY), **({} if length is None else {"Upload-Length": str(length)})}
        if name is not None:
            fields["Upload-Metadata"] = metadata(filename=name)
        return await self.ask("POST", "/files", {**fields, **_dashed(headers)}, data)

    async def begin(self, length: object, name: str | None = "a", **headers: str) -> str:
        """URL of a new upload."""
        answer = await self.create(length, name, **headers)
        assert answer.status == 201, answer.body
        return "/" + answer.headers["Location"]

    async def part(self, length: int | None, data: bytes = b"") -> str:
        """URL of a new part with what is there of it; None: its length is told later."""
        deferred = {"Upload_Defer_Length": "1"} if length is None else {}
        url = await self.begin(length, None, Upload_Concat="partial", **deferred)
        if data:
            answer = await self.patch(url, 0, data)
            assert answer.status == 204, answer.body
        return url

    async def patch(self, url: str, offset: object, data: Any, **headers: str) -> Answer:
        return await self.ask("PATCH", url, {**BODY, "Upload-Offset": str(offset), **_dashed(headers)}, data)

    async def head(self, url: str) -> Answer:
        return await self.ask("HEAD", url, dict(TUS))

    async def delete(self, url: str) -> Answer:
        return await self.ask("DELETE", url, dict(TUS))


@asynccontextmanager
async def sending(
    files: Collection, method: str, url: str, size: int, sent: int, **fields: str
) -> AsyncIterator[Line]:
    """A request of which the head and some bytes were sent, and stored."""
    head = {"Authorization": f"Bearer {files.token}", "Content-Length": str(size), **_dashed(fields)}
    async with Line.open(files.world) as line:
        line.head(method, url, head)
        line.send(b"x" * sent)
        await files.world.stored(sent)
        yield line


def is_told_to_try_again(answer: Answer) -> bool:
    """Whether somebody who has lost an upload is told how to go on."""
    return (answer.status, answer.json["retry"]) == (423, "later") and int(answer.headers["Retry-After"]) >= 1


def _dashed(headers: dict[str, str]) -> dict[str, str]:
    return {name.replace("_", "-"): value for name, value in headers.items()}
