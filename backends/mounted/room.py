"""How much is free on a volume, as it was a moment ago."""

from __future__ import annotations

import time
from typing import Final

from backends.mounted.beneath import Beneath
from backends.mounted.errors import translated
from backends.mounted.staging import check_room
from domain.errors import Subject
from domain.ids import VFolderId
from domain.recent import Recent

#: So much is not used up by files of this length while it is relied on, in bytes.
_PLENTY: Final = 1 << 30
_SMALL_BYTES: Final = 1 << 20
#: How long it is, in seconds.
_RELIED_ON_SECONDS: Final = 1.0
#: Folders remembered at most.
_REMEMBERED: Final = 1000


class Room:
    """Remembers where there was plenty: then whether a small file fits need not be asked for each of them.

    Folders are told apart, for a file system may tell for each what its project's quota leaves it.
    """

    def __init__(self) -> None:
        #: Until when there is plenty, by folders (monotonic, in seconds); the one looked at last comes last.
        self._plenty_until = Recent[VFolderId, float](_REMEMBERED)

    def surely_holds(self, folder: VFolderId, length: int) -> bool:
        """Whether there was much more than that."""
        return length <= _SMALL_BYTES and time.monotonic() < self._plenty_until.get(folder, 0.0)

    def check(self, root: Beneath, folder: VFolderId, length: int) -> None:
        """See that a folder could hold so many bytes of an upload. Blocking. Raises StorageFullError."""
        with translated("", Subject.UPLOAD):
            if check_room(root, length) >= _PLENTY:
                self._plenty_until[folder] = time.monotonic() + _RELIED_ON_SECONDS
