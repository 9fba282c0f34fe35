"""What the ports tell of themselves; it needs no secret."""

from __future__ import annotations

from typing import Final

from gateway.openapi.answers.status import ClientStatus, Document, ManagerStatus, ProcessHealth
from gateway.openapi.operations.common import json
from gateway.openapi.operations.operation import Operation, Reply, Table
from gateway.openapi.refusals import NO_BODY_HERE, TOO_MANY

_MANAGER: Final = Operation((json(ManagerStatus, "who is there"),), NO_BODY_HERE)
_PAGE: Final = Reply(200, "a page", media=("text/html",), fields=("Content-Security-Policy",))

#: Whoever watches over us is never refused.
MANAGER: Final[Table] = {
    ("GET", "/"): _MANAGER,
    ("GET", "/status"): _MANAGER,
    ("GET", "/health"): Operation((json(ProcessHealth, "how it is, be it good or bad"),)),
    ("GET", "/openapi.json"): Operation((json(Document, "this document"),)),
    ("GET", "/docs"): Operation((_PAGE,)),
}
CLIENT: Final[Table] = {
    ("GET", "/"): Operation((json(ClientStatus, "who is there"),)),
    ("GET", "/openapi.json"): Operation((json(Document, "this document"),), TOO_MANY),
    ("GET", "/docs"): Operation((_PAGE,), TOO_MANY),
}
