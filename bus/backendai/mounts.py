"""Answers the manager that wants storage mounted or unmounted on this node.

Penstock does not mount by itself. An operator names the programs that do (they may need rights Penstock should not
have); without one, the answer tells whether the directory is a mount point already.

Every wish for a volume of this node is answered, by `volume_mounted` or `volume_unmounted`, as Backend.AI's own
storage proxy does it: with no message where all is as it was wanted, or was before, else with one.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import anyio
from loguru import logger

from bus.backendai.peer import Peer
from bus.backendai.programs import MountPrograms, filled_in
from bus.backendai.wire import parse_broadcast
from bus.backendai.wishes import Wish
from bus.backendai.words import Broadcast
from domain.errors import BusError, MalformedEventError

_PAUSE_SECONDS: Final = 1.0
_NODE_TYPE: Final = "storage_proxy"
_TOLD_LETTERS: Final = 500
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

    async def run(self) -> None:
        """Listen for ever. What is broadcast while nobody listens is not heard, as with all of their listeners."""
        while True:
            try:
                await self._peer.listen(self._heard)
            except* (BusError, OSError) as errors:
                logger.warning("listening to Backend.AI: {}", errors.exceptions[0])
            await anyio.sleep(_PAUSE_SECONDS)

    async def _heard(self, data: bytes) -> None:
        try:
            wish = Wish.of(parse_broadcast(data))
        except MalformedEventError:
            return
        if wish is None or wish.volume not in self._places:
            return
        path = self._places[wish.volume] / wish.directory
        problem = await self._problem(wish, path)
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
            problem = await _run(filled_in(program, wish.fields(path)))
            if problem:
                return problem
        if await _is_mounted(path) is wish.mount:
            return ""
        return "nothing is mounted there" if wish.mount else "it is still mounted"


async def _is_mounted(path: Path) -> bool:
    # Left behind when the time is over: a server that is away can hold the call for ever.
    return await anyio.to_thread.run_sync(os.path.ismount, path, abandon_on_cancel=True)


async def _run(command: Sequence[str]) -> str:
    """Run a program; returns what is wrong, empty if nothing is."""
    try:
        done = await anyio.run_process(command, check=False, stderr=subprocess.STDOUT)
    except OSError as error:
        return f"{command[0]}: {error.strerror}"
    if done.returncode:
        return done.stdout.decode(errors="replace").strip()[:_TOLD_LETTERS] or f"exit code {done.returncode}"
    return ""
