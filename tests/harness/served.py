"""Archives answered as a gateway does, with all there is to be chosen about them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web
from harness.redis_server import free_port
from harness.world import FOLDER, Answer, World

from domain.ids import VFolderId
from domain.paths import RelativePath
from gateway.archive.answer import ArchiveOf, Packing, send_archive
from gateway.archive.manifest import Gatherer
from gateway.middlewares import around

FORMS = [packing.value for packing in Packing]


class Served:
    """Sends directories of FOLDER."""

    def __init__(self, world: World, port: int) -> None:
        self._world = world
        self.port = port

    async def get(
        self, form: str, relpath: str = "d", method: str = "GET", headers: dict[str, str] | None = None, **how: bool
    ) -> Answer:
        query = "".join(f"&{name}={int(value)}" for name, value in how.items())
        url = f"http://127.0.0.1:{self.port}/?form={form}&path={relpath}{query}"
        async with self._world.session.request(method, url, headers=headers) as answer:
            return Answer(answer.status, answer.headers, await answer.read())


@asynccontextmanager
async def served(world: World) -> AsyncIterator[Served]:
    gate, folder = world.gate, VFolderId.parse(FOLDER)

    async def answer(request: web.Request) -> web.StreamResponse:
        how: dict[str, Any] = {name: request.query.get(name) == "1" for name in ("strict", "no_cache")}
        path, packing = RelativePath.parse(request.query["path"]), Packing(request.query["form"])
        with gate.archived.of_archive() as take:
            gatherer = Gatherer(gate.files("disk", folder), gate.settings.archive_limit, take)
            archive = ArchiveOf(gate.stock("disk", folder), await gatherer.directory(path), packing, "d", **how)
            return await send_archive(gate, request, archive)

    app = web.Application(middlewares=[around("client", gate.observer, gate.spans)])
    app.router.add_get("/", answer)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    port = free_port()
    try:
        await web.TCPSite(runner, "127.0.0.1", port).start()
        yield Served(world, port)
    finally:
        await runner.cleanup()
