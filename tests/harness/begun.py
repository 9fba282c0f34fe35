"""Small uploads that are begun, and then come in one request or are asked for."""

from __future__ import annotations

import random
from dataclasses import dataclass

from harness.fields import BODY
from harness.line import Line
from harness.tus import Collection
from harness.uploads import session_of
from harness.world import Answer, World

#: All of one.
DATA = random.Random(1).randbytes(4096)


@dataclass
class Begun:
    """An upload of which no byte has come."""

    session: str
    target: str
    #: Fields of who may use it.
    fields: dict[str, str]


async def begin(world: World, front: str, name: str = "new/a", size: int = len(DATA)) -> Begun:
    """Begin one by one of the ways there are."""
    if front in ("token", "named"):
        token = await world.upload_token(name, size)
        session = session_of(token)
        if front == "token":
            return Begun(session, f"/upload?token={token}", {})
        return Begun(session, f"/files/{session}", {"Authorization": f"Bearer {token}"})
    collection = await Collection.open(world)
    url = await collection.begin(size, name)
    session = url.rpartition("/")[2]
    if front == "bearer":
        return Begun(session, url, {"Authorization": f"Bearer {collection.token}"})
    return Begun(session, f"{url}?token={collection.token}", {})


async def send(world: World, begun: Begun, data: bytes = DATA, *, method: str = "PATCH", **more: str) -> Answer:
    """A request in one piece, on a connection of its own; a field that is empty is left out."""
    dashed = {name.replace("_", "-"): value for name, value in more.items()}
    told = {"Content-Length": str(len(data)), **BODY, "Upload-Offset": "0", **begun.fields, **dashed}
    lines = [f"{name}: {value}" for name, value in told.items() if value]
    head = [f"{method} {begun.target} HTTP/1.1", "Host: x", *lines]
    async with Line.open(world) as line:
        line.head("GET", "/", {})
        assert (await line.answer()).status == 200
        line.send("\r\n".join([*head, "", ""]).encode() + data)
        answer = await line.answer(method)
    if world.relays:
        await world.take_over()
    return answer


async def look(world: World, begun: Begun) -> tuple[int, str | None]:
    answer = await send(world, begun, b"", method="HEAD", Content_Type="", Upload_Offset="", Content_Length="")
    return answer.status, answer.headers.get("Upload-Offset")


def told(world: World) -> list[str]:
    """Which uploads were told of."""
    return [str(event.body["session"]) for event in world.events("file.uploaded")]
