"""What a volume's owners wrote down of their outcomes, on the volume itself: an inbox that Redis cannot lose.

    .penstock/journal/<epoch, 18 digits>.<number, 6 digits>

Each owner appends to files of its own, so that one which was stopped and goes on too late disturbs nobody. An
entry is on the disk before `append` returns; what a crash tore off at the end of a file is left out in reading. The
oldest files go when all together are larger than the journal is meant to be. Blocking.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

from backends.mounted.area import JOURNAL, Area
from backends.mounted.beneath import names_in, opened
from backends.mounted.durable import sync_directory
from backends.mounted.errors import translated
from backends.mounted.frames import framed, frames
from domain.errors import Subject

_NAME: Final = re.compile(r"\d{18}\.\d{6}")
_MODE: Final = 0o600
#: Size at which a new file is begun, in bytes.
_FILE_BYTES: Final = 2 << 20
#: Size of all files together from which on the oldest go, in bytes.
_TOTAL_BYTES: Final = 16 << 20
_APPEND: Final = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC


class Journal:
    """Outcomes of one volume. Used by one owner at a time; each call on any thread."""

    def __init__(self, area: Area) -> None:
        self._area = area
        self._epoch = -1
        self._number = 0
        self._fd = -1
        self._size = 0

    def append(self, epoch: int, entries: Sequence[bytes]) -> None:
        """Write entries down durably."""
        data = framed(entries)
        with translated(JOURNAL, Subject.VOLUME):
            if epoch != self._epoch or self._size >= _FILE_BYTES:
                self._begin(epoch)
            if os.write(self._fd, data) != len(data):
                self._epoch = -1  # a torn entry hides what follows it, so nothing may follow
                raise OSError(28, os.strerror(28))
            os.fdatasync(self._fd)
            self._size += len(data)

    def read(self) -> list[bytes]:
        """All entries, oldest first."""
        with translated(JOURNAL, Subject.VOLUME):
            return [entry for name in self._names() for entry in frames(self._content(name))]

    def close(self) -> None:
        """Give the open file back."""
        if self._fd >= 0:
            os.close(self._fd)
        self._fd, self._epoch = -1, -1

    def _begin(self, epoch: int) -> None:
        number = self._number + 1 if epoch == self._epoch else self._first_free(epoch)
        self.close()
        with self._area.place(JOURNAL) as directory:
            fd = os.open(f"{epoch:018}.{number:06}", _APPEND | os.O_EXCL, _MODE, dir_fd=directory.fd)
            sync_directory(directory.fd)
        self._fd, self._epoch, self._number, self._size = fd, epoch, number, 0
        self._forget_oldest()

    def _first_free(self, epoch: int) -> int:
        """Number of a file nobody has written: this very epoch may have broken one off."""
        taken = [int(name[19:]) for name in self._names() if int(name[:18]) == epoch]
        return max(taken, default=0) + 1

    def _names(self) -> list[str]:
        with self._area.place(JOURNAL) as directory:
            return sorted(name for name in names_in(directory) if _NAME.fullmatch(name))

    def _content(self, name: str) -> bytes:
        with self._area.place(JOURNAL) as directory:
            try:
                file = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=directory.fd)
            except FileNotFoundError:
                return b""
            with opened(file) as fd:
                return os.read(fd, _TOTAL_BYTES)

    def _forget_oldest(self) -> None:
        with self._area.place(JOURNAL) as directory:
            total = 0
            for name in reversed(self._names()):
                with suppress(FileNotFoundError):
                    total += os.stat(name, dir_fd=directory.fd, follow_symlinks=False).st_size
                    if total > _TOTAL_BYTES:
                        os.unlink(name, dir_fd=directory.fd)
