"""Looking after uploads nobody asks about any more: one round."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import aclosing

from loguru import logger

from backends.contract import Volume
from bus.contract import Bus
from domain.errors import BackendUnavailableError, BusBrokenError, BusClosedError, ConflictError, PenstockError
from domain.ids import VolumeName
from gateway.uploads.finishing import Finisher
from gateway.uploads.session import UploadSession, UploadState
from gateway.uploads.sessions import Known, Sessions


class Sweep:
    """Finishes commits that were interrupted and drops uploads that expired.

    Rules: what is wrong with one upload is nothing to the others. One that is in use, that another process has to
    look after, or whose storage is away, is passed over and takes nobody's place.
    """

    def __init__(
        self, bus: Bus, volumes: Mapping[VolumeName, Volume], sessions: Sessions, finisher: Finisher
    ) -> None:
        self._bus = bus
        self._volumes = volumes
        self._sessions = sessions
        self._finisher = finisher
        #: Those of volumes that are not served here, found in the last round.
        self._elsewhere: set[str] = set()

    async def sweep(self, limit: int) -> None:
        """Look after up to `limit` uploads. Raises BusError."""
        done, elsewhere, away = 0, set[str](), set[VolumeName]()
        async with aclosing(self._sessions.due()) as due:
            async for session_id in due:
                session = None if session_id in self._elsewhere else await self._looked_up(session_id)
                if session_id in self._elsewhere or (session and session.volume not in self._volumes):
                    elsewhere.add(session_id)
                elif session and session.volume not in away:
                    done += await self._done(session, away)
                if done >= limit:
                    self._elsewhere |= elsewhere
                    return
        self._elsewhere = elsewhere

    async def _looked_up(self, session_id: str) -> UploadSession | None:
        """What is recorded of an upload that is due; None if there is nothing to do about it here."""
        try:
            known = await self._sessions.load(session_id)
            if known is not None:
                return known.session
            await self._sessions.settled(session_id)
        except (BusBrokenError, BusClosedError):
            raise
        except PenstockError as error:
            logger.warning("looking after upload {}: {}", session_id, error)
        return None

    async def _done(self, session: UploadSession, away: set[VolumeName]) -> bool:
        """Look after one; False if that has to wait."""
        try:
            # Not waiting also means not asking: a writer that is at work keeps its upload.
            async with self._bus.leases.hold(f"upload:{session.id}", wait_seconds=0):
                known = await self._sessions.load(session.id, session.volume)
                if known is not None:
                    await self._look_after(known)
            return True
        except ConflictError:
            return False
        except (BusBrokenError, BusClosedError):
            raise
        except PenstockError as error:
            if isinstance(error, BackendUnavailableError):
                away.add(session.volume)
            logger.warning("looking after upload {}: {}", session.id, error)
        except Exception:  # noqa: BLE001  a defect in one is nothing to the others
            logger.exception("looking after upload {} failed by a defect", session.id)
        return False

    async def _look_after(self, known: Known) -> None:
        session = known.session
        if session.state is UploadState.COMMITTING:
            await self._finisher.finish(known)
        elif session.state is UploadState.OPEN and session.expires <= self._bus.clock.now():
            logger.info("upload {} {}", session.id, "was dropped" if session.dropped else "expired")
            await self._finisher.expire(session)
