"""What is in memory of all archives a process makes at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final, TypeAlias

from domain.errors import BusyError

#: When somebody may try again, in seconds.
_RETRY_SECONDS: Final = 5.0

#: Counts so many more entries of one archive. Raises BusyError.
Take: TypeAlias = Callable[[int], None]


class EntriesHeld:
    """Entries that were found for archives, from when they are found until those are sent.

    Args:
        most: how many there may be; an archive that is made alone has its own limit.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._count = 0

    @contextmanager
    def of_archive(self) -> Iterator[Take]:
        """Count what is found for one archive, as long as the block lasts."""
        taken = 0

        def take(count: int) -> None:
            nonlocal taken
            if self._count > taken and self._count + count > self._most:
                message = f"archives are being made of {self._most} files and directories"
                raise BusyError(message, retry_after_seconds=_RETRY_SECONDS)
            taken += count
            self._count += count

        try:
            yield take
        finally:
            self._count -= taken
