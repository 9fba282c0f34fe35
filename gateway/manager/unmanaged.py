"""Folders outside of all volumes, which Backend.AI's manager calls unmanaged.

It says that they are on a volume `noop`, which its own storage proxy always has, and which holds nothing and does
nothing. The answers are those of that volume, for as long as no other one has its name; what is deleted or cloned
there ends by an event (`absent`), and nothing can be uploaded. Its listing names one entry without a name; this one
is empty.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, Final

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from backends.outside import NOWHERE
from domain.errors import NotFoundError, Subject, UnsupportedError
from gateway.gate import Gate
from gateway.problems import file_not_found


def is_unmanaged(gate: Gate, volume: str) -> bool:
    """Whether this is where the manager says that unmanaged folders are."""
    return volume == NOWHERE and NOWHERE not in gate.volumes


def answering_unmanaged(gate: Gate) -> Middleware:
    """Middleware that answers what was asked of unmanaged folders, once its parameters were found good."""

    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            return await handler(request)
        except NotFoundError as error:
            answer = _ANSWERS.get((request.method, request.path))
            if answer is None or error.subject is not Subject.VOLUME or not is_unmanaged(gate, error.message):
                raise
            return answer()

    return middleware


def _told(document: Mapping[str, Any]) -> Callable[[], web.Response]:
    return lambda: web.json_response(text=json.dumps(document))


def _done() -> web.Response:
    return web.Response(status=204)


def _no_scope() -> web.Response:
    raise NotFoundError("unmanaged folders have no quota scope", subject=Subject.QUOTA_SCOPE)


def _no_file() -> web.Response:
    return file_not_found().response()


def _no_room() -> web.Response:
    raise UnsupportedError("nothing can be uploaded into an unmanaged folder", subject=Subject.VFOLDER)


_ANSWERS: Final[Mapping[tuple[str, str], Callable[[], web.Response]]] = {
    ("GET", "/volume/hwinfo"): _told({"status": "healthy", "status_info": None, "metadata": {}}),
    ("GET", "/folder/fs-usage"): _told({"capacity_bytes": 0, "used_bytes": 0}),
    ("POST", "/quota-scope"): _done,
    ("GET", "/quota-scope"): _no_scope,
    ("PATCH", "/quota-scope"): _done,
    ("DELETE", "/quota-scope/quota"): _no_scope,
    ("POST", "/folder/create"): _done,
    ("GET", "/folder/mount"): _told({"path": "."}),
    ("GET", "/folder/usage"): _told({"file_count": 0, "used_bytes": 0}),
    ("GET", "/folder/used-bytes"): _told({"used_bytes": 0}),
    ("POST", "/folder/file/list"): _told({"items": []}),
    ("POST", "/folder/file/rename"): _done,
    ("POST", "/folder/file/move"): _done,
    ("POST", "/folder/file/fetch"): _no_file,
    ("POST", "/folder/file/delete"): _told({"status": "ok"}),
    ("POST", "/folder/file/upload"): _no_room,
}
