"""Opening names beneath a directory, so that nothing a user writes or links leads out of it.

The kernel does it where it can: `openat2(2)` with RESOLVE_BENEATH and RESOLVE_NO_MAGICLINKS (Linux 5.6).
Elsewhere the same is done name by name with O_NOFOLLOW, reading links and resolving them inside the root.
Both raise OSError: EXDEV where a path would lead out, ELOOP where links go in circles.
"""

from __future__ import annotations

import ctypes
import errno
import os
import stat

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

_SYS_OPENAT2 = 437
_RESOLVE_NO_XDEV = 0x01
_RESOLVE_NO_MAGICLINKS = 0x02
_RESOLVE_NO_SYMLINKS = 0x04
_RESOLVE_BENEATH = 0x08
_RESOLVE_CACHED = 0x20
DIRECTORY = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC
#: Links followed before a path is taken for a circle, as in the kernel.
_MAX_LINKS = 40
#: openat2 answers EAGAIN when something was renamed meanwhile; it asks to be called again.
_MAX_RACES = 32


class OpenHow(ctypes.Structure):
    """What openat2(2) is asked for."""

    _fields_ = (("flags", ctypes.c_uint64), ("mode", ctypes.c_uint64), ("resolve", ctypes.c_uint64))


_call = ctypes.CDLL(None, use_errno=True).syscall
#: The same, called without letting other threads run meanwhile: for calls that wait for nothing.
_at_once = ctypes.PyDLL(None).syscall
_call.argtypes = _at_once.argtypes = (
    ctypes.c_long,
    ctypes.c_int,
    ctypes.c_char_p,
    ctypes.POINTER(OpenHow),
    ctypes.c_size_t,
)
_call.restype = _at_once.restype = ctypes.c_long
_HOW_BYTES = ctypes.sizeof(OpenHow)
#: What is mounted below a root may be somebody else's: there, opening alone may wait.
_AT_ONCE = _RESOLVE_BENEATH | _RESOLVE_NO_SYMLINKS | _RESOLVE_NO_XDEV | _RESOLVE_CACHED
READ_AT_ONCE = OpenHow(os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC, 0, _AT_ONCE)
DIRECTORY_AT_ONCE = OpenHow(DIRECTORY, 0, _AT_ONCE)


def _openat2(dir_fd: int, path: bytes, flags: int, mode: int, resolve: int) -> int:
    how = OpenHow(flags | os.O_CLOEXEC, mode, resolve)
    for _ in range(_MAX_RACES):
        fd = int(_call(_SYS_OPENAT2, dir_fd, path, how, _HOW_BYTES))
        if fd >= 0:
            return fd
        if ctypes.get_errno() not in (errno.EAGAIN, errno.EINTR):
            break
    number = ctypes.get_errno()
    raise OSError(number, os.strerror(number))


def has_openat2() -> bool:
    """Whether the kernel (and a sandbox around us) lets us use openat2."""
    root = os.open("/", DIRECTORY)
    try:
        os.close(_openat2(root, b".", DIRECTORY, 0, _RESOLVE_BENEATH))
    except OSError:
        return False
    finally:
        os.close(root)
    return True


class KernelResolver:
    """Resolution by openat2."""

    def open(self, root_fd: int, parts: Sequence[str], flags: int, mode: int = 0) -> int:
        """Open a path beneath `root_fd`; links inside are followed."""
        resolve = _RESOLVE_BENEATH | _RESOLVE_NO_MAGICLINKS
        return _openat2(root_fd, _joined(parts), flags, mode, resolve)

    def open_plain(self, root_fd: int, parts: Sequence[str]) -> int:
        """Open a directory beneath `root_fd` along which no name may be a link."""
        return _openat2(root_fd, _joined(parts), DIRECTORY, 0, _RESOLVE_BENEATH | _RESOLVE_NO_SYMLINKS)

    def open_at_once(self, root_fd: int, parts: Sequence[str], how: OpenHow) -> int | None:
        """Open something of the root's own mount of which all names lie in the kernel's memory; None otherwise.

        None of them may be a link.
        """
        fd = int(_at_once(_SYS_OPENAT2, root_fd, _joined(parts), how, _HOW_BYTES))
        return fd if fd >= 0 else None


class WalkingResolver:
    """Resolution name by name, for kernels without openat2."""

    def open(self, root_fd: int, parts: Sequence[str], flags: int, mode: int = 0) -> int:
        """Open a path beneath `root_fd`; links inside are followed."""
        stack = [os.dup(root_fd)]
        try:
            return self._walk(stack, list(parts) or ["."], flags, mode)
        finally:
            for fd in stack:
                os.close(fd)

    def open_plain(self, root_fd: int, parts: Sequence[str]) -> int:
        """Open a directory beneath `root_fd` along which no name may be a link."""
        fd = os.dup(root_fd)
        for part in parts:
            try:
                deeper = os.open(part, DIRECTORY | os.O_NOFOLLOW, dir_fd=fd)
            finally:
                os.close(fd)
            fd = deeper
        return fd

    def open_at_once(self, root_fd: int, parts: Sequence[str], how: OpenHow) -> int | None:
        """None: a walk may wait at every name."""

    def _walk(self, stack: list[int], names: list[str], flags: int, mode: int) -> int:
        links = 0
        while True:
            name = names.pop(0)
            if name == "..":
                if len(stack) == 1:
                    raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))
                os.close(stack.pop())
            elif name != ".":
                target = self._link(stack[-1], name) if names or not flags & os.O_NOFOLLOW else None
                if target is not None:
                    links += 1
                    if links > _MAX_LINKS:
                        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
                    names[:0] = self._names(target)
                elif not names:
                    return os.open(name, flags | os.O_NOFOLLOW | os.O_CLOEXEC, mode, dir_fd=stack[-1])
                else:
                    stack.append(os.open(name, DIRECTORY | os.O_NOFOLLOW, dir_fd=stack[-1]))
            if not names:
                return os.open(".", flags | os.O_CLOEXEC, mode, dir_fd=stack[-1])

    @staticmethod
    def _link(dir_fd: int, name: str) -> str | None:
        try:
            if not stat.S_ISLNK(os.stat(name, dir_fd=dir_fd, follow_symlinks=False).st_mode):
                return None
            return os.readlink(name, dir_fd=dir_fd)
        except FileNotFoundError:
            return None

    @staticmethod
    def _names(target: str) -> list[str]:
        if target.startswith("/"):
            raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))
        return [name for name in target.split("/") if name] or ["."]


Resolver = KernelResolver | WalkingResolver


def find_resolver() -> Resolver:
    """The kernel's resolution if there is one, else ours."""
    return KernelResolver() if has_openat2() else WalkingResolver()


def _joined(parts: Sequence[str]) -> bytes:
    """Names as the kernel takes them."""
    return "/".join(parts).encode("utf-8", "surrogateescape") or b"."
