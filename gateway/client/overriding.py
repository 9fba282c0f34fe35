"""`X-HTTP-Method-Override` (tus 1.0): the method that is meant, from clients that cannot send it.

Where the field is there, it is the method, and the one on the request line means nothing. The answer is one to the
latter all the same, as whoever is on the way sees that only.
"""

from __future__ import annotations

from typing import Final

from aiohttp import web
from aiohttp.typedefs import Handler

from domain.errors import InvalidRequestError
from gateway.client.tus_answers import expect

_FIELD: Final = "X-HTTP-Method-Override"
#: Methods that may be meant: those of tus that not everybody can send, and that never answer with a file.
MEANT: Final = ("DELETE", "HEAD", "PATCH")


@web.middleware
async def overriding(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Have a request of tus served as what it means to be.

    Raises:
        InvalidRequestError: it means several things.
        web.HTTPMethodNotAllowed: it means none of those that may be, or one its URL does not have.
    """
    meant = [name.upper() for name in request.headers.getall(_FIELD, ())]
    if not _is_of_tus(request.path) or not meant or meant == [request.method]:
        return await handler(request)
    if len(meant) > 1:
        raise InvalidRequestError("is given more than once", field=_FIELD)
    if meant[0] not in MEANT:
        raise web.HTTPMethodNotAllowed(request.method, [*MEANT, "OPTIONS"])
    match = await request.app.router.resolve(request.clone(method=meant[0]))
    return await match.handler(request)


def others(path: str, *methods: str) -> web.RouteDef:
    """The route of all methods a path of tus does not have; comes last of its routes.

    The HTTP library has none for them, and would ask for their bodies before anybody knows what is meant.

    Args:
        methods: those it has.
    """

    async def refuse(request: web.Request) -> web.StreamResponse:
        raise web.HTTPMethodNotAllowed(request.method, methods)

    return web.route("*", path, refuse, expect_handler=expect)


def _is_of_tus(path: str) -> bool:
    return path in ("/upload", "/files") or path.startswith("/files/")
