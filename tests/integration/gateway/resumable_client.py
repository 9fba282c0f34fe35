"""A client of the IETF's resumable uploads for tests: each request by hand, so that nothing is hidden."""

from __future__ import annotations

import base64
import hashlib
import io
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from harness.tus import Collection
from harness.world import Answer, World, open_world

PARTIAL = {"Content-Type": "application/partial-upload"}
MOST = 10_000_000
#: A gateway in which these uploads are switched on.
SETTINGS: dict[str, Any] = {"resumable_uploads": True, "max_upload_bytes": MOST}
RESUMABLE = pytest.mark.gateway(**SETTINGS)
#: Where the draft's problems are registered.
IANA = "https://iana.org/assignments/http-problem-types#"


@asynccontextmanager
async def opened(path: Path, **settings: Any) -> AsyncIterator[World]:
    """A world in which these uploads are switched on, with a folder."""
    async with open_world(path, **SETTINGS, **settings) as world:
        await world.make_folder()
        yield world


def dashed(fields: dict[str, str]) -> dict[str, str]:
    """`Upload_Length` stands for `Upload-Length`."""
    return {name.replace("_", "-"): value for name, value in fields.items()}


def digests_of(data: bytes, *names: str) -> str:
    """A field of digests."""
    hashed = {name: hashlib.new(name.replace("-", ""), data).digest() for name in names}
    return ", ".join(f"{name}=:{base64.b64encode(found).decode()}:" for name, found in hashed.items())


async def begin(
    files: Collection, data: Any, complete: str, method: str = "POST", name: str | None = "a", **fields: str
) -> Answer:
    """The request that creates an upload."""
    named = {} if name is None else {"Content-Disposition": f'inline; filename="{name}"'}
    return await files.ask(
        method, "/uploads", {**named, "Upload-Complete": complete, **dashed(fields)}, _body(data)
    )


async def begun(files: Collection, data: Any = b"", **fields: str) -> str:
    """URL of a new upload that has some bytes."""
    answer = await begin(files, data, "?0", **fields)
    assert answer.status == 201, answer.body
    return "/" + answer.headers["Location"]


async def append(
    files: Collection, url: str, offset: object, complete: str, data: Any = b"", **fields: str
) -> Answer:
    """A request that appends to an upload."""
    head = {**PARTIAL, "Upload-Offset": str(offset), "Upload-Complete": complete}
    return await files.ask("PATCH", url, {**head, **dashed(fields)}, _body(data))


def _body(data: Any) -> Any:
    """As the client library wants to have it."""
    return io.BytesIO(data) if isinstance(data, bytes) and len(data) > 1 << 20 else data


async def look(files: Collection, url: str) -> Answer:
    """Offset retrieval."""
    return await files.ask("HEAD", url, {})


def place(answer: Answer) -> tuple[int, str, str]:
    """Status, and how far an upload is said to be."""
    return answer.status, answer.headers["Upload-Offset"], answer.headers["Upload-Complete"]


def problem(answer: Answer) -> tuple[int, str]:
    """Status, and the last part of a problem's type."""
    assert answer.headers["Content-Type"].startswith("application/problem+json")
    kind = str(answer.json["type"])
    return answer.status, kind.removeprefix(IANA)
