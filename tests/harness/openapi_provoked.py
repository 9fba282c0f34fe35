"""Refusals that were met, and requests by which they are."""

from __future__ import annotations

import traceback
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

import jsonschema
from harness.fields import metadata
from harness.openapi_requests import (
    DOWNLOADS,
    FOLDER_PATH,
    OPERATIONS,
    READ_BACK,
    SCOPE_PATH,
    Key,
    Request,
    rightly,
)
from harness.openapi_told import Told
from harness.world import World

from gateway.problems import CONTENT_TYPE

#: Status and problem type; no type where it is answered without a problem document, as to HEAD.
Kind = tuple[int, str]
#: What no upload here hashes to.
OTHER_SHA256 = metadata(filename="up", sha256="0" * 64)
TRASHED = [("manager", "POST", "/folder/restore"), ("manager", "POST", "/folder/purge")]
#: Operations that are commands to an actor.
COMMANDS = [key for key in OPERATIONS if any(one.name == "Idempotency-Key" for one in OPERATIONS[key].fields)]
#: Operations on uploads, but for reading them back.
UPLOADS = [
    key
    for key, operation in OPERATIONS.items()
    if key[0] == "client" and operation.security and key[2] not in DOWNLOADS and key != READ_BACK
]
#: Brings itself about in a directory that is not there yet, and sends what is refused then.
Condition = Callable[[Path, "Provoked"], Awaitable[None]]


@dataclass
class Provoked:
    """Refusals that were met, each held against the documents."""

    path: Path
    documents: Mapping[str, Told]
    conditions: Mapping[str, Condition]
    kinds: dict[Key, set[Kind]] = field(default_factory=lambda: defaultdict(set))
    #: By condition what was not as it is told.
    wrong: dict[str, list[str]] = field(default_factory=dict)
    #: The same of the condition that is brought about now.
    _found: list[str] = field(default_factory=list)

    async def meet(self, *names: str) -> None:
        """Bring conditions about, each once."""
        for name in names:
            if name in self.wrong:
                continue
            self._found = self.wrong[name] = []
            try:
                await self.conditions[name](self.path / name, self)
            except Exception:  # noqa: BLE001  what else is met is told as well
                self._found.append(traceback.format_exc())

    async def send(self, *requests: Request) -> None:
        for request in requests:
            answer = await request.send()
            try:
                self.documents[request.key[0]].check(request.key, answer)
            except (AssertionError, jsonschema.ValidationError) as error:
                self._found.append(f"{error}")
            if answer.status >= 400:
                is_problem = answer.headers.get("Content-Type", "").startswith(CONTENT_TYPE) and answer.body
                self.kinds[request.key].add((answer.status, answer.json["type"] if is_problem else ""))


def kinds_of(key: Key) -> set[Kind]:
    """What an operation tells of its refusals."""
    operation = OPERATIONS[key]
    told = {(one.status, one.type) for one in operation.refusals}
    told |= {(reply.status, "") for reply in operation.replies if reply.status >= 400}
    return {(status, "") for status, _ in told} if key[1] == "HEAD" else told


def makes_something(key: Key) -> int:
    """How surely it makes a scope or a folder: 2 at once, 1 if there is something to be cloned, 0 never."""
    making = ("/quota-scope", "/folder/create", "/folder/migrate", SCOPE_PATH, FOLDER_PATH)
    return 1 if key[2].endswith("/clone") else 2 if key[1] in ("POST", "PUT", "PATCH") and key[2] in making else 0


async def all_of(world: World, keys: Iterable[Key] = OPERATIONS, **more: Mapping[str, Any]) -> list[Request]:
    """Operations asked rightly, those last that make what others may miss; deletions are named.

    Args:
        more: keys for the bodies of those whose path ends on a word.
    """
    requests = []
    for key in sorted(keys, key=makes_something):
        right = await rightly(world, key)
        named = {"trash": str(uuid4())} if key in TRASHED else {}
        besides = more.get(key[2].rpartition("/")[2], {}) if key[1] == "POST" else {}
        requests.append(right.but({**named, **besides}) if named or besides else right)
    return requests
