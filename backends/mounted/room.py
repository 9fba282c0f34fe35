"""How much is free on a volume, as it was a moment ago."""

from __future__ import annotations

import time
from typing import Final

from backends.mounted.beneath import Beneath
from backends.mounted.errors import translated
from backends.mounted.staging import check_room
from domain.errors import Subject

#: So much is not used up by files of this length while it is relied on, in bytes.
_PLENTY: Final = 1 << 30
_SMALL_BYTES: Final = 1 << 20
#: How long it is, in seconds.
_RELIED_ON_SECONDS: Final = 1.0


class Room:
    """Remembers that there was plenty: then whether a small file fits need not be asked for each of them."""

    def __init__(self) -> None:
        self._plenty_until = 0.0

    def surely_holds(self, length: int) -> bool:
        """Whether there was much more than that."""
        return length <= _SMALL_BYTES and time.monotonic() < self._plenty_until

    def check(self, root: Beneath, length: int) -> None:
        """See that the volume could hold so many bytes of an upload. Blocking. Raises StorageFullError."""
        with translated("", Subject.UPLOAD):
            if check_room(root, length) >= _PLENTY:
                self._plenty_until = time.monotonic() + _RELIED_ON_SECONDS
