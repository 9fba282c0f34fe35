"""Files at which archives broke off: who asks again gets the rest, and is told of them there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from backends.contract import FileStat, ReadAccess
from domain.recent import Recent
from gateway.archive.composition import Composition
from gateway.archive.contents import ChangedError, Contents, UnreadableError
from gateway.archive.crew import Crew
from gateway.archive.manifest import Member

#: Files remembered at most.
_REMEMBERED: Final = 10_000


class Faults:
    """Where files of one volume could not be read when it was their turn.

    In an archive whose every byte had its place before, it is too late then to tell of them, and without them it is
    another one. So the connection ends, and for who asks again they are tried before anything is laid out.
    """

    def __init__(self) -> None:
        #: By what tells a file, and its bytes, from others: at which offset.
        self._met = Recent[FileStat, int](_REMEMBERED)

    def keep(self, error: UnreadableError) -> None:
        """Take note of one."""
        self._met[error.member.stat] = error.offset

    async def left_out(self, composition: Composition, files: ReadAccess, crew: Crew) -> Composition:
        """What is packed without those that still cannot be read; what cannot be is told.

        Raises:
            BusyError: too many archives of the volume are being made.
        """
        if not self._met:
            return composition
        members, contents = composition.members, Contents(files, composition.members)
        broken: dict[str, str] = {}
        for member in await crew.run(self._among, members):
            if (failure := await self._failure(contents, member)) is not None:
                broken[member.name] = failure.message
        if not broken:
            return composition
        left = [member for member in members if member.name not in broken]
        return replace(composition, members=left, errors=[*composition.errors, *broken.values()])

    def _among(self, members: Sequence[Member]) -> Sequence[Member]:
        return [member for member in members if member.stat in self._met]

    async def _failure(self, contents: Contents, member: Member) -> UnreadableError | None:
        """Why a file cannot be read now."""
        try:
            await contents.try_at(member, self._met.get(member.stat, 0))
        except ChangedError:
            return None  # since it was looked at just now; whoever sends it comes upon that
        except UnreadableError as error:
            return error
        self._met.pop(member.stat, None)
        return None
