"""A staging file open for appending."""

from __future__ import annotations

import itertools
import os
import threading
import time
from collections.abc import Callable, Sequence
from typing import Final, ParamSpec, TypeVar

from backends.contract import Hasher, ReadHandle, Synced
from backends.descriptor import SharedDescriptor
from backends.hashing import Hashing
from backends.intake import SocketIntake
from backends.mounted import lasting, staging
from backends.mounted.copying import HasDescriptor
from backends.mounted.durable import start_writeback
from backends.mounted.errors import translated
from backends.mounted.helping.extents import copy_range, share_all
from backends.threads import BoundedThreads
from domain.errors import BackendUnavailableError, Subject, UnsupportedError
from domain.paths import RelativePath

P = ParamSpec("P")
T = TypeVar("T")

#: Bytes after which the kernel is asked to begin writing to the disk.
_WRITEBACK_BYTES: Final = 8 << 20
#: Bytes, and seconds in which some came, after which they are synced: what is sent again when the power fails.
_SYNC_BYTES: Final = 512 << 20
_SYNC_SECONDS: Final = 30.0
#: Bytes taken from a socket at once.
_RECEIVE_BYTES: Final = 512 << 10
#: How long one call may go on taking, so that others get their turn, in seconds.
_RECEIVE_SECONDS: Final = 0.1
_local = threading.local()


def _descriptor(handle: ReadHandle) -> SharedDescriptor:
    if not isinstance(handle, HasDescriptor):
        raise UnsupportedError("not a file of this volume", subject=Subject.FILE)
    return handle.descriptor


def _buffers() -> Sequence[memoryview]:
    """This thread's own: one is filled while the other is hashed."""
    if not hasattr(_local, "buffers"):
        _local.buffers = [memoryview(bytearray(_RECEIVE_BYTES)) for _ in range(2)]
    found: Sequence[memoryview] = _local.buffers
    return found


class MountedStaging:
    """Writes behind what is there; what comes from a socket is moved on the thread that writes it.

    Args:
        unit: most bytes of one write, each of which waits for the storage; None: they may be any, and do not.
        sync: makes all of it durable where it is, for a destination. Blocking.
    """

    def __init__(
        self,
        opened: staging.Appendable,
        threads: BoundedThreads,
        unit: int | None,
        sync: Callable[[RelativePath], Synced],
    ) -> None:
        self._descriptor = opened.descriptor
        self._sync = sync
        self._threads = threads
        self._unit = unit
        self._written_back = opened.size
        self._synced = opened.synced
        self._synced_at = time.monotonic()
        self.offset = opened.size
        self.hashers: list[Hasher] = []
        #: A call was given up. It may be over by now, but nobody knows what it has done, and hashers have seen.
        self.is_stuck = False

    async def _run(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return await self._threads.run(function, *args, **kwargs)
        except BackendUnavailableError:
            self.is_stuck = True
            raise

    async def append(self, chunks: Sequence[bytes | memoryview]) -> None:
        """Write behind what is there."""
        await self._run(self._append, chunks)

    def _append(self, chunks: Sequence[bytes | memoryview]) -> None:
        before = self.offset
        try:
            self._write(chunks)
        finally:
            if self.hashers:
                self._hash(chunks, self.offset - before)

    def _write(self, chunks: Sequence[bytes | memoryview]) -> None:
        """Write all chunks; if that fails, `offset` tells how much was stored."""
        with self._descriptor.use() as fd, translated("uploading", Subject.UPLOAD):
            try:
                self.offset += staging.write(fd, chunks, self.offset, self._unit)
            except OSError:
                self.offset = os.fstat(fd).st_size
                raise
            if self._unit is None:
                self._bring_to_disk(fd)

    def _bring_to_disk(self, fd: int) -> None:
        if self.offset - self._written_back >= _WRITEBACK_BYTES:
            start_writeback(fd, self._written_back, self.offset - self._written_back)
            self._written_back = self.offset
        late = time.monotonic() - self._synced_at >= _SYNC_SECONDS
        if self.offset - self._synced >= (1 if late else _SYNC_BYTES):
            with lasting.syncing(fd):
                os.fdatasync(fd)
            lasting.keep(fd, self.offset)
            self._synced, self._synced_at = self.offset, time.monotonic()

    def _hash(self, chunks: Sequence[bytes | memoryview], stored: int) -> None:
        for chunk in chunks:
            for hasher in self.hashers:
                hasher.update(chunk[:stored])
            stored = max(stored - len(chunk), 0)

    async def append_last(self, chunks: Sequence[bytes | memoryview], destination: RelativePath) -> Synced:
        """Write behind what is there, and sync it; all on one thread."""
        return await self._run(self._append_last, chunks, destination)

    def _append_last(self, chunks: Sequence[bytes | memoryview], destination: RelativePath) -> Synced:
        self._append(chunks)
        self._descriptor.close()
        return self._sync(destination)

    async def truncate(self, offset: int) -> None:
        """Drop what is behind an offset, for good."""
        await self._run(self._truncate, offset)

    def _truncate(self, offset: int) -> None:
        with self._descriptor.use() as fd, translated("uploading", Subject.UPLOAD):
            if offset < self._synced:
                lasting.keep(fd, offset)
                self._synced = offset
            os.ftruncate(fd, offset)
            with lasting.syncing(fd):
                os.fsync(fd)  # what is dropped may be on the disk already
            self.offset = offset
            self._written_back = min(self._written_back, offset)

    async def share_all(self, handle: ReadHandle) -> bool:
        """Share all bytes of an open file of this volume, where its file system can (reflinks)."""
        return await self._run(self._share_all, _descriptor(handle))

    def _share_all(self, source: SharedDescriptor) -> bool:
        with source.use() as source_fd, self._descriptor.use() as fd, translated("copying", Subject.UPLOAD):
            if not share_all(source_fd, fd):
                return False
            self.offset = os.fstat(fd).st_size
            return True

    async def append_from(self, handle: ReadHandle, offset: int, count: int) -> int:
        """Append bytes of an open file of this volume inside the kernel."""
        return await self._run(self._append_from, _descriptor(handle), offset, count)

    def _append_from(self, source: SharedDescriptor, offset: int, count: int) -> int:
        with source.use() as source_fd, self._descriptor.use() as fd, translated("copying", Subject.UPLOAD):
            copied = copy_range(source_fd, fd, offset, self.offset, count)
            self.offset += copied
            return copied

    async def receive(self, intake: SocketIntake) -> None:
        """Write what a socket has behind what is there."""
        await self._run(self._receive, intake)

    def _receive(self, intake: SocketIntake) -> None:
        until = time.monotonic() + _RECEIVE_SECONDS
        hashing = Hashing(self.hashers)
        try:
            for buffer in itertools.cycle(_buffers()):
                count = intake.fill(buffer) if intake.left else 0
                if count == 0:
                    break
                before = self.offset
                try:
                    self._write([buffer[:count]])
                finally:
                    # What is stored counts, also where the storage is full in the middle of it.
                    hashing.update(buffer[: self.offset - before])
                if time.monotonic() > until:
                    break
        finally:
            hashing.finish()

    async def close(self) -> None:
        """Close, or leave that to a write that still runs; of what that stores hashers are not fed any more."""
        self.hashers.clear()  # they may go on where the upload is opened next, and are fed there
        if not self._descriptor.is_closed:
            await self._threads.finish(self._descriptor.close)
