"""`penstock serve`: everything on one machine, in one command."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

import anyio
import redis
from loguru import logger

from domain.errors import BusBrokenError
from gateway.settings import Listen, TlsListen
from ops.embedded import Home, mend_log, server_binary, server_config
from ops.settings import Settings, load_settings
from ops.supervisor import Program, Supervisor, penstock

_START_SECONDS: Final = 30.0
_LOOK_SECONDS: Final = 0.05
#: By which address of this machine that is reached which listens on all of them.
_NEAR: Final = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104


class Serve:
    """The embedded server and all roles, supervised."""

    def __init__(self, home: Home, config: Path | None, tell: Callable[[str], None]) -> None:
        self._home = home
        self._config = config
        self._tell = tell
        self._claim = home.claim()
        overlay = home.prepare(config)
        metrics = {"PROMETHEUS_MULTIPROC_DIR": str(home.metrics.resolve())}
        os.environ.update({**overlay, **metrics})
        self.settings = load_settings(config)
        self._own_redis = "PENSTOCK__BUS__URL" in overlay

    async def run(self) -> None:
        """Start everything, and stop it on SIGTERM or SIGINT."""
        supervisor = Supervisor()
        programs: list[Program] = []
        with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._start, supervisor, programs, tasks)
                async for _ in signals:
                    break
                self._tell("stopping")
                await supervisor.stop(programs)
                tasks.cancel_scope.cancel()

    async def _start(self, supervisor: Supervisor, programs: list[Program], tasks: anyio.abc.TaskGroup) -> None:
        if self._own_redis:
            await self._keep(self._redis(), supervisor, programs, tasks)
        await self._wait_for_redis()
        roles = ["worker", "actor", *["gateway"] * self.settings.gateway.processes]
        for number, role in enumerate(roles):
            program = penstock(role, self._config, {}, name=f"{role}-{number}")
            await self._keep(program, supervisor, programs, tasks)
        gateway = self.settings.gateway
        for listen in (gateway.client, gateway.manager):
            await wait_for_port(listen)
        self._tell(banner(self.settings, self._home))

    @staticmethod
    async def _keep(
        program: Program, supervisor: Supervisor, programs: list[Program], tasks: anyio.abc.TaskGroup
    ) -> None:
        programs.append(program)
        await supervisor.keep(program, tasks)

    def _redis(self) -> Program:
        mend_log(self._home)
        config = server_config(self._home, self.settings.bus.url.get_secret_value())
        words = ["embedded-redis", server_binary(), str(config), str(os.getpid())]
        return Program("redis", [sys.executable, "-m", "ops.cli", *words])

    async def _wait_for_redis(self) -> None:
        """Wait until Redis answers and has read its log."""
        client = redis.Redis.from_url(self.settings.bus.url.get_secret_value(), socket_timeout=1.0)
        try:
            with anyio.fail_after(_START_SECONDS):
                while not await anyio.to_thread.run_sync(_is_ready, client):
                    await anyio.sleep(_LOOK_SECONDS)
        except TimeoutError as error:
            raise BusBrokenError(f"Redis did not answer within {_START_SECONDS:g} s") from error
        finally:
            client.close()


async def wait_for_port(listen: Listen) -> None:
    """Wait until somebody listens there, and tell the log again and again while nobody does."""
    while True:
        with anyio.move_on_after(_START_SECONDS):
            await _wait_for_listener(listen)
            return
        logger.error("nobody listens on port {} of {}", listen.port, listen.host)


async def _wait_for_listener(listen: Listen) -> None:
    while True:
        try:
            stream = await anyio.connect_tcp(_near(listen), listen.port)
        except OSError:
            await anyio.sleep(_LOOK_SECONDS)
        else:
            await stream.aclose()
            return


def _near(listen: Listen) -> str:
    return _NEAR.get(listen.host, listen.host)


def _url(listen: Listen) -> str:
    scheme = "https" if isinstance(listen, TlsListen) and listen.tls_certificate else "http"
    host = _near(listen)
    return f"{scheme}://[{host}]:{listen.port}" if ":" in host else f"{scheme}://{host}:{listen.port}"


def _is_ready(client: redis.Redis) -> bool:
    try:
        info = client.info("persistence")
    except redis.RedisError:
        return False
    return isinstance(info, dict) and info.get("loading") == 0


def banner(settings: Settings, home: Home) -> str:
    """Where everything is, and three lines to try it."""
    client, manager = _url(settings.gateway.client), _url(settings.gateway.manager)
    volume = next(iter(settings.volumes))
    folder = "user:00000000-0000-4000-8000-000000000001/10000000-0000-4000-8000-000000000001"
    body = f'"volume":"{volume}","vfid":"{folder}"'
    field = "cut -d'\"' -f4"
    yours = (
        "" if home.has_manager_secret else "set PENSTOCK__GATEWAY__MANAGER_SECRET to your manager's secret, and "
    )
    # In a shell: A is the manager's secret as a header, M and C are the two ports.
    return f"""
Penstock is running.
  clients      {client}
  manager      {manager}
  metrics      {_url(settings.internal.gateway)}/metrics
  secrets      {home.secrets_file.resolve()}
  data         {home.path.resolve()}

Try it ({yours}paste all three lines; the first makes a folder, the second uploads a file, the third downloads it):
  . {home.secrets_file.resolve()}; M={manager}; C={client}; A="X-BackendAI-Storage-Auth-Token: $PENSTOCK__GATEWAY__MANAGER_SECRET"; curl -s -H "$A" $M/folder/create -d '{{{body}}}'
  T=$(curl -s -H "$A" $M/folder/file/upload -d '{{{body},"relpath":"hello.txt","size":6}}' | {field}); echo hello | curl -s -X PATCH -H "Upload-Offset: 0" -H "Content-Type: application/offset+octet-stream" -H "Tus-Resumable: 1.0.0" --data-binary @- "$C/upload?token=$T"
  T=$(curl -s -H "$A" $M/folder/file/download -d '{{{body},"relpath":"hello.txt"}}' | {field}); curl -s "$C/download?token=$T"

Ctrl-C stops everything; the next start finds its data again.
"""  # noqa: E501  a line to paste cannot be broken
