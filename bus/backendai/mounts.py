"""Answers the manager that wants storage mounted or unmounted on this node.

Penstock does not mount by itself. An operator names the programs that do (they may need rights Penstock should not
have); without one, the answer tells whether the directory is a mount point already.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import anyio
from loguru import logger
from redis.asyncio import Redis
from redis.exceptions import RedisError

from bus.backendai.wire import CHANNEL, Heard, broadcast_text, parse_broadcast
from bus.backendai.words import Broadcast
from domain.errors import MalformedEventError

_PAUSE_SECONDS: Final = 1.0
_POLL_SECONDS: Final = 1.0
_NODE_TYPE: Final = "storage_proxy"
_TOLD_LETTERS: Final = 500


@dataclass(frozen=True, slots=True)
class MountPrograms:
    """What mounts and unmounts; empty: nothing does.

    Each word may hold `{path}`, `{location}`, `{type}` and `{options}`.
    """

    mount: Sequence[str] = ()
    unmount: Sequence[str] = ()
    seconds: float = 60.0


@dataclass(frozen=True, slots=True)
class _Wish:
    """What the manager wants mounted or unmounted."""

    name: str
    directory: str
    volume: str
    scope: str
    location: str = ""
    type: str = ""
    options: str = ""

    @property
    def mount(self) -> bool:
        """Whether it is to be mounted, not unmounted."""
        return self.name == "do_volume_mount"

    @property
    def problem(self) -> str:
        """Why it cannot be done at all; empty if it can."""
        if len(Path(self.directory).parts) != 1 or self.directory in (".", ".."):
            return "the directory leads out of the volume"
        if any(word.startswith("-") for word in (self.directory, self.location, self.type)):
            return "a word that looks like an option of the program"
        return ""

    @classmethod
    def of(cls, heard: Heard) -> _Wish | None:
        """Read an event; None if it is about something else."""
        given = [value if isinstance(value, str) else "" for value in heard.arguments]
        match heard.name:
            case "do_volume_mount" if len(given) >= 6:
                return cls(heard.name, *given[:6])
            case "do_volume_unmount" if len(given) >= 3:
                return cls(heard.name, *given[:3])
            case _:
                return None


class Mounts:
    """Listens to one Backend.AI's manager on behalf of one node.

    Args:
        places: directory of each volume on this node.
    """

    def __init__(self, peer: Redis, node: str, places: Mapping[str, Path], programs: MountPrograms) -> None:
        self._peer = peer
        self._node = node
        self._places = places
        self._programs = programs

    async def run(self) -> None:
        """Listen for ever. What is broadcast while nobody listens is not heard, as with all of their listeners."""
        while True:
            try:
                await self._listen()
            except (RedisError, OSError) as error:
                logger.warning("listening to Backend.AI: {}", type(error).__name__)
            await anyio.sleep(_PAUSE_SECONDS)

    async def _listen(self) -> None:
        async with self._peer.pubsub() as channel:
            await channel.subscribe(CHANNEL)
            while True:
                message = await channel.get_message(ignore_subscribe_messages=True, timeout=_POLL_SECONDS)
                if message is not None:
                    await self._heard(message["data"])

    async def _heard(self, data: bytes) -> None:
        try:
            wish = _Wish.of(parse_broadcast(data))
        except MalformedEventError:
            return
        if wish is None or wish.volume not in self._places:
            return
        path = self._places[wish.volume] / wish.directory
        problem = wish.problem or await self._do(wish, path)
        name = "volume_mounted" if wish.mount else "volume_unmounted"
        arguments = (self._node, _NODE_TYPE, str(path), wish.scope, problem or None)
        await self._peer.publish(CHANNEL, broadcast_text(Broadcast(name, arguments), self._node))

    async def _do(self, wish: _Wish, path: Path) -> str:
        """Mount or unmount; returns what is wrong, empty if it is as it was wanted."""
        program = self._programs.mount if wish.mount else self._programs.unmount
        if program:
            problem = await self._run(program, wish, path)
            if problem:
                return problem
        is_mounted = await anyio.to_thread.run_sync(os.path.ismount, path)
        if is_mounted is wish.mount:
            return ""
        return "nothing is mounted there" if wish.mount else "it is still mounted"

    async def _run(self, program: Sequence[str], wish: _Wish, path: Path) -> str:
        fields = {"path": path, "location": wish.location, "type": wish.type, "options": wish.options}
        command = [word.format_map(fields) for word in program]
        try:
            with anyio.fail_after(self._programs.seconds):
                done = await anyio.run_process(command, check=False, stderr=subprocess.STDOUT)
        except TimeoutError:
            return f"{command[0]} did not end within {self._programs.seconds:g} s"
        except OSError as error:
            return f"{command[0]}: {error.strerror}"
        if done.returncode:
            return done.stdout.decode(errors="replace").strip()[:_TOLD_LETTERS] or f"exit code {done.returncode}"
        return ""
