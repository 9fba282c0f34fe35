"""What lies in the volume's area and belongs to nothing. Blocking.

Whatever is begun is written down first, and its note is removed last; a directory without one was made by an owner
that was stopped in the middle and shut out, by a restored backup, or by hand.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Final
from uuid import UUID, uuid4

from backends.mounted.area import BUILDS, LOST, PURGING, TRASH, Area
from backends.mounted.beneath import names_in
from backends.mounted.errors import translated
from backends.mounted.trash import trash_note
from backends.powers import Leftover
from domain.errors import InvalidRequestError, Subject
from domain.ids import VFolderId

#: Where something may lie, and where its note would be.
_PLACES: Final[Mapping[str, str]] = {TRASH: TRASH, PURGING: TRASH, BUILDS: BUILDS}
_UUID: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


class Leftovers:
    """The search of one mounted volume."""

    def __init__(self, area: Area) -> None:
        self._area = area

    def find(self) -> list[Leftover]:
        """What there is."""
        with translated("looking for leftovers", Subject.VOLUME):
            return [*self._without_note(), *self._lost()]

    def _without_note(self) -> Iterator[Leftover]:
        for place, notes in _PLACES.items():
            # In this order: a note is written before what it is of is there, and removed when that is not any more.
            found = list(self._directories(place))
            with self._area.place(notes) as directory:
                noted = {name.removesuffix(".json") for name in names_in(directory) if name.endswith(".json")}
            for name, modified in found:
                if name.partition(".")[0] not in noted and self._area.exists(place, name):
                    yield Leftover(f"{place}/{name}", "nothing says what it was", modified)

    def _lost(self) -> Iterator[Leftover]:
        for name, modified in self._directories(LOST):
            yield Leftover(f"{LOST}/{name}", "left by an owner that was shut out", modified)

    def _directories(self, place: str) -> Iterator[tuple[str, float]]:
        with self._area.place(place) as directory:
            for name in names_in(directory):
                with suppress(FileNotFoundError, NotADirectoryError), directory.below((name,)) as found:
                    yield name, os.fstat(found.fd).st_mtime

    def discard(self, leftover: Leftover) -> None:
        """Put it into the trash, with a note, from which it is purged."""
        place, _, name = leftover.name.partition("/")
        if place not in {*_PLACES, LOST} or "/" in name or name in ("", ".", ".."):
            raise InvalidRequestError("no leftover of this volume", field="name")
        noted = place in (TRASH, PURGING) and _UUID.fullmatch(name)
        trash = UUID(name) if noted else uuid4()
        with translated(leftover.name, Subject.VOLUME):
            note = {"folder": str(VFolderId(None, trash)), "paths": [], "whole": True}
            self._area.write_json(TRASH, trash_note(trash), note)
            if not noted:
                with self._area.place(place) as old, self._area.place(TRASH) as home, suppress(FileNotFoundError):
                    os.rename(name, str(trash), src_dir_fd=old.fd, dst_dir_fd=home.fd)
