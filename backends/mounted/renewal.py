"""Moving an upload to another file, which no call reaches that was begun with the one before. Blocking.

Such a call may be one the storage gave no answer to in time: it is done all the same, whenever the storage likes.
"""

from __future__ import annotations

import os
from contextlib import suppress

from backends.descriptor import SharedDescriptor
from backends.mounted import lasting, staging
from backends.mounted.beneath import Beneath
from backends.mounted.durable import sync_between
from backends.mounted.errors import translated
from backends.mounted.helping.extents import copy_range
from domain.errors import NotFoundError, Subject


class Renewal:
    """The first bytes of an upload on their way into another file."""

    def __init__(self, root: Beneath, session: str) -> None:
        """Begin. Raises NotFoundError (subject upload)."""
        self._session = session
        (self._part,) = staging.part_names(session, 1)
        with staging.area_of(root, session) as (area, name):
            self._before = SharedDescriptor(os.open(name, staging.READING, dir_fd=area))
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
            self._new = SharedDescriptor(os.open(self._part, flags, staging.FILE_MODE, dir_fd=area))
        self._copied = 0

    def step(self, count: int) -> bool:
        """Copy some more of `count` bytes; True when there are no more."""
        with self._before.use() as source, self._new.use() as target, translated("copying", Subject.UPLOAD):
            copied = copy_range(source, target, self._copied, self._copied, count - self._copied)
        self._copied += copied
        return not copied or self._copied == count

    def put(self, root: Beneath) -> None:
        """Have it be the upload from now on, durably."""
        with staging.area_of(root, self._session) as (area, name):
            with self._before.use() as source, self._new.use() as target:
                staging.keep_note(target, staging.read_note(source))
                os.fsync(target)
                if root.mounted.write_unit is None:
                    lasting.begin(target)
                    lasting.keep(target, self._copied)
            os.rename(self._part, name, src_dir_fd=area, dst_dir_fd=area)
            sync_between(root, area)

    def close(self, root: Beneath) -> None:
        """Give it back; what was not put is removed. Repeat-safe."""
        self._before.close()
        self._new.close()
        with suppress(NotFoundError, FileNotFoundError), staging.area_of(root, self._session) as (area, _):
            os.unlink(self._part, dir_fd=area)
