"""What workers are to do with a mounted volume, as it has it written down. Blocking.

work/<id>.json    what is to be done
work/<id>.state   how far it is, in the words of whoever does it
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any, Final
from uuid import UUID

from backends.contract import Operation
from backends.mounted.area import DONE, WORK, Area
from backends.mounted.beneath import names_in
from backends.mounted.errors import missing, translated
from backends.powers import Work
from domain.errors import Subject
from domain.ids import VFolderId
from domain.tasks import TaskKind

_NOTE: Final = ".json"


class WorkList:
    """The list of one mounted volume."""

    def __init__(self, area: Area) -> None:
        self._area = area

    def begin(self, op: Operation, work: Work) -> None:
        """Write down what is to be done, unless it was done meanwhile."""
        with translated(work.id, Subject.TASK):
            if not self._area.exists(DONE, str(work.id)):
                self._area.write_json(WORK, _note(work.id), _document(work), epoch=op.epoch)

    def all(self) -> list[Work]:
        """What was begun and has not ended."""
        with translated(WORK, Subject.VOLUME):
            with self._area.place(WORK) as place:
                names = [name.removesuffix(_NOTE) for name in names_in(place) if name.endswith(_NOTE)]
            return [work for name in names if (work := self._read(UUID(name))) is not None]

    def keep(self, work: UUID, state: bytes) -> None:
        """Keep how far it is."""
        with translated(work, Subject.TASK):
            self._check(work)
            self._area.write_bytes(WORK, _state(work), state)

    def kept(self, work: UUID) -> bytes:
        """How far it is."""
        with translated(work, Subject.TASK):
            self._check(work)
            return self._area.read_bytes(WORK, _state(work))

    def _check(self, work: UUID) -> None:
        if not self._area.exists(WORK, _note(work)):
            raise missing(str(work), Subject.TASK)

    def end(self, op: Operation, work: UUID) -> Work | None:
        """Take it off the list, and leave word of it for whoever repeats its beginning or this."""
        with translated(work, Subject.TASK):
            found = self._read(work)
            if found is None:
                trace = self._area.read_json(DONE, str(op.id))
                return _parse(work, trace) if trace else None
            self._area.write_json(DONE, str(op.id), _document(found), epoch=op.epoch)
            self._area.write_json(DONE, str(work), {"ended": True})
            self._area.remove(WORK, _state(work))
            self._area.remove(WORK, _note(work))
            return found

    def _read(self, work: UUID) -> Work | None:
        note = self._area.read_json(WORK, _note(work))
        return _parse(work, note) if note else None


def _document(work: Work) -> dict[str, Any]:
    return {"kind": work.kind, "folder": str(work.folder or ""), "options": dict(work.options)}


def _parse(work: UUID, document: dict[str, Any]) -> Work | None:
    # What a later release has begun, a later release has to do.
    with suppress(ValueError):
        folder = VFolderId.parse(document["folder"]) if document["folder"] else None
        return Work(work, TaskKind(document["kind"]), folder, document["options"])
    return None


def _note(work: UUID) -> str:
    return f"{work}{_NOTE}"


def _state(work: UUID) -> str:
    return f"{work}.state"
