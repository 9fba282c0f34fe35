"""All that lies in a directory, each with its status, by one call: `fts(3)` of the GNU C library. Blocking.

A status takes the kernel 1 µs, and Python 2 µs more for the call and for the object it makes of the answer. Here
the library asks for all of a directory while other threads run, and what is wanted is read from its answers, which
are laid out as `fts.h` and `struct stat` say for the machines below. They take some 300 bytes for each entry until
the directory is done with.

The library takes names, not descriptors, and the only name nobody can put another directory under is `.`: so a
thread works in the directory meanwhile, which it may only where no other shares its working directory with it.
"""

from __future__ import annotations

import ctypes
import os
import struct
import sys
from _thread import _count, _local  # what `threading` has more takes a helper longer to load than all the rest

from backends.mounted.helping.resolving import DIRECTORY

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Self

#: Kinds of entries, `fts_info`.
DIRECTORIES = (1, 2)  # the second lies in itself, as a mount may
REGULAR = 8
UNKNOWN = 10  # its status could not be had

#: Of an entry: address of the next one (0: none), its kind, and the address of its status.
ENTRY = struct.Struct("<16xQ74xH4xQ")
_STATUSES = {"x86_64": struct.Struct("<16xQ24xq8xq"), "aarch64": struct.Struct("<20xI24xq8xq")}
_machine = os.uname().machine
#: Of a status: how many names, size in bytes, and blocks as `st_blocks`.
STATUS = _STATUSES.get(_machine, struct.Struct(""))
#: Of a status: device and inode.
IDENTITY = struct.Struct("<QQ")
#: All of this process, to read from at an address; what lies there is known to be ours.
MEMORY = memoryview((ctypes.c_char * sys.maxsize).from_address(0))

_ERROR = struct.Struct("<56xi")
_NAME_LENGTH = struct.Struct("<66xH")
_NAME = 112
_PHYSICAL_WHERE_IT_IS = 0x10 | 0x04
_CLONE_FS = 0x200

_libc = ctypes.CDLL(None, use_errno=True)
_dot = ctypes.create_string_buffer(b".")
_only_dot = (ctypes.c_void_p * 2)(ctypes.addressof(_dot), None)
_of_thread = _local()


def _find() -> bool:
    try:
        opened, read, children, close = (_libc.fts_open, _libc.fts_read, _libc.fts_children, _libc.fts_close)
        known = (os.confstr("CS_GNU_LIBC_VERSION") or "").startswith("glibc")
    except (AttributeError, ValueError, OSError):
        return False
    opened.restype = read.restype = children.restype = ctypes.c_void_p
    opened.argtypes = (ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p)
    read.argtypes = close.argtypes = (ctypes.c_void_p,)
    children.argtypes = (ctypes.c_void_p, ctypes.c_int)
    return known and sys.maxsize > 1 << 32 and _machine in _STATUSES


_is_there = _find()


def can_be_used() -> bool:
    """Whether this thread may ask this way."""
    if not _is_there or not _count():
        return _is_there  # what is the only thread shares its working directory with nobody
    try:
        return bool(_of_thread.stands_alone)
    except AttributeError:
        # A sandbox may forbid the call, as that of Docker does.
        _of_thread.stands_alone = _libc.unshare(_CLONE_FS) == 0
        return bool(_of_thread.stands_alone)


class Children:
    """What lies in an open directory, for as long as a `with` takes.

    Raises:
        OSError: it cannot be read.
    """

    def __init__(self, fd: int) -> None:
        self._fd = fd
        #: Address of the first one; 0: there is none.
        self.first = 0
        self._stream: int | None = None

    def __enter__(self) -> Self:
        before = os.open(".", DIRECTORY)
        try:
            os.fchdir(self._fd)
            try:
                self._ask()
            finally:
                os.fchdir(before)
        finally:
            os.close(before)
        return self

    def _ask(self) -> None:
        ctypes.set_errno(0)
        self._stream = _libc.fts_open(_only_dot, _PHYSICAL_WHERE_IT_IS, None)
        if self._stream is None:
            raise _failure(ctypes.get_errno())
        _libc.fts_read(self._stream)
        ctypes.set_errno(0)
        self.first = _libc.fts_children(self._stream, 0) or 0
        if not self.first and (number := ctypes.get_errno()):
            self.__exit__()
            raise _failure(number)

    def __exit__(self, *_: object) -> None:
        if self._stream is not None:
            _libc.fts_close(self._stream)
            self._stream = None


def name_of(entry: int) -> str:
    """Name of an entry at an address."""
    (length,) = _NAME_LENGTH.unpack_from(MEMORY, entry)
    return os.fsdecode(ctypes.string_at(entry + _NAME, length))


def error_of(entry: int) -> OSError:
    """Why the status of an entry at an address could not be had."""
    return _failure(*_ERROR.unpack_from(MEMORY, entry))


def _failure(number: int) -> OSError:
    return OSError(number, os.strerror(number))
