"""Storing a body that a thread takes from its socket; see `gateway.transfer.handover`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import anyio

from backends.intake import SocketIntake
from backends.powers import ReceivesFromSocket
from bus.contract import Lease
from domain.errors import BackendUnavailableError
from gateway.transfer.handover import Handover

#: How much should be there before a thread is bothered, in bytes, and how long that is waited for, in seconds.
_GATHER_BYTES: Final = 256 << 10
_GATHER_SECONDS: Final = 0.05


class SocketBody:
    """One body on its way from a socket to staging."""

    def __init__(self, handover: Handover, idle_seconds: float, lease: Lease, moved: Callable[[int], None]) -> None:
        self._handover = handover
        self._idle_seconds = idle_seconds
        self._lease = lease
        #: Called with how many bytes were just stored.
        self._moved = moved

    async def store(self, staging: ReceivesFromSocket) -> None:
        """Append the body to a staging file.

        Raises:
            FencedError: the lease is lost.
            ConnectionError: the sender is gone or stands still.
            PenstockError: the storage failed.
        """
        early = self._handover.begin()
        left = self._handover.left
        intake = SocketIntake(self._handover.socket_fd, left)
        try:
            if early:
                await self._append(staging, early)
            await self._receive(staging, intake)
        except (ConnectionError, BackendUnavailableError):
            # A stuck thread may still take bytes, whoever counts them.
            self._handover.cut()
            raise
        finally:
            intake.close()
            self._handover.end(left - intake.left)

    async def _append(self, staging: ReceivesFromSocket, early: list[bytes]) -> None:
        await self._lease.confirm()
        before = staging.offset
        try:
            await staging.append(early)
        finally:
            self._moved(staging.offset - before)
            early.clear()  # hundreds of bodies may be waiting for the rest

    async def _receive(self, staging: ReceivesFromSocket, intake: SocketIntake) -> None:
        while intake.left:
            await self._lease.confirm()
            before = staging.offset
            try:
                await staging.receive(intake)
            finally:
                self._moved(staging.offset - before)
            if intake.ended:
                raise ConnectionAbortedError("the connection was lost in the middle of the body")
            if intake.left and intake.is_dry:
                await self._wait(intake)

    async def _wait(self, intake: SocketIntake) -> None:
        """Wait for bytes; a few are not worth a thread unless no more come for a moment."""
        try:
            with anyio.fail_after(self._idle_seconds):
                await intake.wait(1)
        except TimeoutError as error:
            raise ConnectionAbortedError(f"no byte came for {self._idle_seconds:g} s") from error
        with anyio.move_on_after(_GATHER_SECONDS):
            await intake.wait(_GATHER_BYTES)
