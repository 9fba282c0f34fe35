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
_MEANT: Final = ("DELETE", "HEAD", "PATCH")
#: Methods of tus, by paths; all others are those of uploads, where POST is for who means another one.
_METHODS: Final = {
    "/upload": ("HEAD", "OPTIONS", "PATCH"),
    "/files": ("OPTIONS", "POST"),
    "/files/": ("OPTIONS", "POST"),
}
_OF_UPLOADS: Final = ("DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST")


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
    if meant[0] not in _MEANT:
        raise not_allowed(request)
    match = await request.app.router.resolve(request.clone(method=meant[0]))
    return await match.handler(request)


def not_allowed(request: web.Request) -> web.HTTPMethodNotAllowed:
    """The answer to a method that a path of tus does not have, or that says nothing by itself."""
    return web.HTTPMethodNotAllowed(request.method, _METHODS.get(request.path, _OF_UPLOADS))


def others(path: str) -> web.RouteDef:
    """The route of all methods a path of tus does not have; comes last of its routes.

    The HTTP library has none for them, and would ask for their bodies before anybody knows what is meant.
    """

    async def refuse(request: web.Request) -> web.StreamResponse:
        raise not_allowed(request)

    return web.route("*", path, refuse, expect_handler=expect)


def _is_of_tus(path: str) -> bool:
    return path in ("/upload", "/files") or path.startswith("/files/")
