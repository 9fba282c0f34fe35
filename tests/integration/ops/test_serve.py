"""What `penstock serve` waits for before it says that it runs."""

from __future__ import annotations

import anyio
import pytest
from harness.redis_server import free_port
from loguru import logger

from gateway.settings import Listen
from ops import serve

pytestmark = pytest.mark.anyio


async def test_it_waits_for_as_long_as_nobody_listens_and_tells_the_log(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serve, "_START_SECONDS", 0.1)
    listen, told, served = Listen(host="127.0.0.1", port=free_port()), [], anyio.Event()
    sink = logger.add(lambda message: told.append(message.record["message"]), level="ERROR")

    async def wait() -> None:
        await serve.wait_for_port(listen)
        served.set()

    try:
        with anyio.fail_after(20):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(wait)
                while len(told) < 2:
                    await anyio.sleep(0.01)
                assert not served.is_set()
                async with await anyio.create_tcp_listener(local_host=listen.host, local_port=listen.port):
                    await served.wait()
    finally:
        logger.remove(sink)
    assert set(told) == {f"nobody listens on port {listen.port} of 127.0.0.1"}
