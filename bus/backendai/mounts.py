"""Answers the manager that wants storage mounted or unmounted on this node.

Penstock does not mount by itself. An operator names the programs that do (they may need rights Penstock should not
have); without one, the answer tells whether the directory is a mount point already.

Every wish for a volume of this node is answered, by `volume_mounted` or `volume_unmounted`, as Backend.AI's own
storage proxy does it: with no message where all is as it was wanted, or was before, else with one. Wishes wait for
each other only where they are for the same directory.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from threading import Thread
from typing import Final
from weakref import WeakValueDictionary

import anyio
from anyio.abc import TaskGroup
from loguru import logger

from bus.backendai.peer import Peer
from bus.backendai.programs import MountPrograms, filled_in
from bus.backendai.running import Running
from bus.backendai.wire import parse_broadcast
from bus.backendai.wishes import Wish
from bus.backendai.words import Broadcast
from domain.errors import BusError, MalformedEventError

_PAUSE_SECONDS: Final = 1.0
_NODE_TYPE: Final = "storage_proxy"
#: Wishes that are seen to at once; more are refused, as those that hang would else become ever more.
_MOST: Final = 64
_DEFECT: Final = "an internal error; the log of the bridge has the details"


class Mounts:
    """Listens to one Backend.AI's manager on behalf of one node.

    Args:
        places: directory of each volume on this node.
    """

    def __init__(self, peer: Peer, node: str, places: Mapping[str, Path], programs: MountPrograms) -> None:
        self._peer = peer
        self._node = node
        self._places = places
        self._programs = programs
        #: Who is at a directory.
        self._turns: WeakValueDictionary[Path, anyio.Lock] = WeakValueDictionary()
        #: By directory what was killed there, and may live on.
        self._left: dict[Path, Running] = {}
        self._at_once = 0

    async def run(self) -> None:
        """Listen for ever. What is broadcast while nobody listens is not heard, as with all of their listeners."""
        async with anyio.create_task_group() as wishes:
            while True:
                try:
                    await self._peer.listen(partial(self._heard, wishes))
                except* (BusError, OSError) as errors:
                    logger.warning("listening to Backend.AI: {}", errors.exceptions[0])
                await anyio.sleep(_PAUSE_SECONDS)

    async def _heard(self, wishes: TaskGroup, data: bytes) -> None:
        try:
            wish = Wish.of(parse_broadcast(data))
        except MalformedEventError:
            return
        if wish is None or wish.volume not in self._places:
            return
        path = self._places[wish.volume] / wish.directory
        if self._at_once < _MOST:
            self._at_once += 1
            wishes.start_soon(self._see_to, wish, path)
        else:
            await self._answer(wish, path, "too many wishes at once")

    async def _see_to(self, wish: Wish, path: Path) -> None:
        try:
            async with self._turns.setdefault(path, anyio.Lock()):
                problem = await self._problem(wish, path)
            await self._answer(wish, path, problem)
        finally:
            self._at_once -= 1

    async def _answer(self, wish: Wish, path: Path, problem: str) -> None:
        arguments = (self._node, _NODE_TYPE, str(path), wish.scope, problem or None)
        answer = Broadcast("volume_mounted" if wish.mount else "volume_unmounted", arguments)
        try:
            await self._peer.say(answer, self._node)
        except BusError as error:
            logger.warning("the answer about {} does not reach Backend.AI: {}", path, error)

    async def _problem(self, wish: Wish, path: Path) -> str:
        """See to a wish; returns what is wrong, empty if it is as it was wanted."""
        try:
            with anyio.fail_after(self._programs.seconds):
                return wish.problem or await self._do(wish, path)
        except TimeoutError:
            return f"it took longer than {self._programs.seconds:g} s"
        except Exception:  # noqa: BLE001  a defect met by one wish must not stop the bridge
            logger.exception("{} cannot be seen to", path)
            return _DEFECT

    async def _do(self, wish: Wish, path: Path) -> str:
        # What is mounted already would be mounted over itself, if the program lets it.
        if await _is_mounted(path) is wish.mount:
            return ""
        program = self._programs.mount if wish.mount else self._programs.unmount
        if program:
            problem = await self._run(path, filled_in(program, wish.fields(path)))
            if problem:
                return problem
        if await _is_mounted(path) is wish.mount:
            return ""
        return "nothing is mounted there" if wish.mount else "it is still mounted"

    async def _run(self, path: Path, command: Sequence[str]) -> str:
        """Run a program, once what was left behind at its directory is gone; returns what is wrong."""
        if path in self._left:
            await self._left[path].end()
            del self._left[path]
        try:
            running = await Running.start(command)
        except OSError as error:
            return f"{command[0]}: {error.strerror}"
        try:
            return await running.problem()
        finally:
            running.leave()
            if not running.has_ended:
                self._left[path] = running


async def _is_mounted(path: Path) -> bool:
    """Whether something is mounted there.

    A server that is away can hold the call for ever. So its thread is left behind when the time is over, and is one
    that holds up no process that is to end.
    """
    loop = asyncio.get_running_loop()
    found: asyncio.Future[bool] = loop.create_future()

    def tell(answer: bool) -> None:  # noqa: FBT001  the loop hands it on so
        if not found.done():
            found.set_result(answer)

    def look() -> None:
        answer = os.path.ismount(path)
        with suppress(RuntimeError):  # the loop is closed
            loop.call_soon_threadsafe(tell, answer)

    Thread(target=look, name="mount point", daemon=True).start()
    return await found
