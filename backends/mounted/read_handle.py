"""A file that is open for reading."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from typing import Final

from backends.contract import FileStat
from backends.descriptor import SharedDescriptor
from backends.mounted import digests
from backends.mounted.beneath import Beneath
from backends.mounted.errors import translated
from backends.mounted.reading import is_unchanged
from backends.outlet import SocketOutlet
from backends.threads import VolumeThreads
from domain.errors import BackendFaultError, Subject

#: Bytes copied to a socket at once: as many as stay near the processor.
_COPY_BYTES: Final = 256 << 10
#: What file systems without it answer to sendfile(2).
_NO_PAGES: Final = frozenset({errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP})


class MountedReadHandle:
    """An open file; also sends to a socket inside the kernel.

    Args:
        mount: root of the volume it lies on; None: it lies on none, and nothing is kept with it.
        is_watched: whether all that is read of it has to be of the state in which it was opened: it is looked at
            after each block, and once it was written to, or its attributes were changed, it fails.
    """

    def __init__(
        self,
        descriptor: SharedDescriptor,
        known: FileStat,
        mount: Beneath | None,
        threads: VolumeThreads,
        *,
        is_watched: bool = False,
    ) -> None:
        self.descriptor = descriptor
        self._mount = mount
        self._threads = threads
        self._is_watched = is_watched
        #: Whether the file system passes pages on; who finds that it does not reads and writes.
        self._passes_pages = True
        self.stat = known

    async def read(self, offset: int, count: int) -> bytes:
        """Read up to `count` bytes; fewer only at the end of the file."""
        return await self._threads.run(self._read, offset, count)

    def _read(self, offset: int, count: int) -> bytes:
        with self.descriptor.use() as fd, translated("reading"):
            parts: list[bytes] = []
            while count > 0 and (part := os.pread(fd, count, offset)):
                parts.append(part)
                offset += len(part)
                count -= len(part)
            self._look(fd)
            return parts[0] if len(parts) == 1 else b"".join(parts)

    async def is_unchanged(self) -> bool:
        """Whether nobody has written to it since, or changed its attributes."""
        return await self._threads.run(self._is_unchanged)

    def _is_unchanged(self) -> bool:
        with self.descriptor.use() as fd, translated("reading"):
            return is_unchanged(fd, self.stat)

    def _is_as_opened(self, fd: int) -> bool:
        return not self._is_watched or is_unchanged(fd, self.stat)

    def _look(self, fd: int) -> None:
        if not self._is_as_opened(fd):
            raise BackendFaultError("the file was changed while it was sent", subject=Subject.FILE)

    async def forget(self) -> None:
        """Drop what the system has of the file in memory."""
        await self._threads.run(self._forget)

    def _forget(self) -> None:
        with self.descriptor.use() as fd, translated("reading"):
            os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)

    async def sha256(self) -> bytes | None:
        """The digest that was kept with the file."""
        return await self._threads.run(self._sha256)

    def _sha256(self) -> bytes | None:
        with self.descriptor.use() as fd, translated("reading"):
            found = digests.kept(self._mount, fd)
            return found if self._is_as_opened(fd) else None

    async def keep_sha256(self, digest: bytes) -> None:
        """Keep a digest with the file."""
        await self._threads.run(self._keep_sha256, digest)

    def _keep_sha256(self, digest: bytes) -> None:
        if self._mount is None:
            return
        with self.descriptor.use() as fd, translated("reading"):
            digests.keep(self._mount, fd, digest, of=self.stat)

    async def place(self) -> str | None:
        """Where the file is below the volume's root."""
        return await self._threads.run(self._place)

    def _place(self) -> str | None:
        if self._mount is None:
            return None
        with self.descriptor.use() as fd:
            found, root = os.readlink(f"/proc/self/fd/{fd}"), os.readlink(f"/proc/self/fd/{self._mount.fd}")
        below = found.removeprefix(f"{root.rstrip('/')}/")
        # Header fields hold no line breaks; and the kernel marks names that are gone.
        usable = below != found and below.isprintable() and not found.endswith(" (deleted)")
        return below if usable else None

    async def send(self, outlet: SocketOutlet, offset: int, count: int) -> int:
        """Send up to `count` bytes to a socket; fewer if it takes no more now."""
        return await self._threads.run(self._send, outlet, offset, count)

    def _send(self, outlet: SocketOutlet, offset: int, count: int) -> int:
        sent = self._passed_on(outlet, offset, count, self._send_some)
        with self.descriptor.use() as fd, translated("reading"):
            self._look(fd)
        return sent

    async def copy(self, outlet: SocketOutlet, offset: int, count: int) -> int:
        """Send up to `count` bytes to a socket, as they are now, whatever becomes of the file; fewer as `send`."""
        return await self._threads.run(self._copy, outlet, offset, count)

    def _copy(self, outlet: SocketOutlet, offset: int, count: int) -> int:
        return self._passed_on(outlet, offset, count, self._copy_some)

    def _passed_on(
        self, outlet: SocketOutlet, offset: int, count: int, some: Callable[[int, int, int, int], int]
    ) -> int:
        """Pass bytes on to a socket until all are there or it takes no more; returns how many.

        Args:
            some: does some of it, given the socket, the file, an offset and how many are left.
        """
        before = outlet.sent
        with self.descriptor.use() as fd:

            def next_(socket_fd: int) -> int:
                done = outlet.sent - before
                return some(socket_fd, fd, offset + done, count - done)

            outlet.pass_on(next_, lambda: outlet.sent - before == count)
        return outlet.sent - before

    def _send_some(self, socket_fd: int, fd: int, offset: int, count: int) -> int:
        """One call of sendfile, or what does the same."""
        if not self._passes_pages:
            return self._copy_some(socket_fd, fd, offset, count)
        try:
            sent = os.sendfile(socket_fd, fd, offset, count)
        except (BlockingIOError, ConnectionError, TimeoutError):
            raise
        except OSError as error:
            if error.errno not in _NO_PAGES:
                raise BackendFaultError("reading the file failed", subject=Subject.FILE) from error
            self._passes_pages = False
            return self._copy_some(socket_fd, fd, offset, count)
        if sent == 0:
            raise _shorter()
        return sent

    def _copy_some(self, socket_fd: int, fd: int, offset: int, count: int) -> int:
        """Read once and write once. What the socket does not take is read again when it does."""
        with translated("reading"):
            data = os.pread(fd, min(count, _COPY_BYTES), offset)
            self._look(fd)
        if not data:
            raise _shorter()
        try:
            return os.write(socket_fd, data)
        except BlockingIOError:
            raise
        except OSError as error:
            raise ConnectionResetError(error.errno, error.strerror) from error

    async def close(self) -> None:
        """Close, or leave that to a call that still uses the file."""
        await self._threads.finish(self.descriptor.close)


def _shorter() -> BackendFaultError:
    return BackendFaultError("the file became shorter while it was sent", subject=Subject.FILE)
