"""The last bytes of a body, which are sent so that nobody can change them any more.

What sendfile puts on a connection are the pages of the file themselves, until the receiver's program has read them:
on this machine, or in a container on it, long after its kernel acknowledged them. So whoever writes to the file
changes what is under way. The last bytes are therefore copied, more of them than a receiver's kernel holds, and the
very last ones are kept back until so many copied bytes were acknowledged that all pages before them were read. Then
the file is looked at a last time.
"""

from __future__ import annotations

import fcntl
import struct
import termios
from contextlib import suppress
from pathlib import Path
from typing import Final, Protocol, runtime_checkable

from backends.outlet import SocketOutlet
from backends.powers import SendsToSocket

#: Linux's own limit of what a receiver's kernel holds, in bytes, where nothing else is set.
_USUAL_BYTES: Final = 6 << 20
_MOST_BYTES: Final = 64 << 20


@runtime_checkable
class CopiesToSocket(SendsToSocket, Protocol):
    """Power of a ReadHandle: what it has sent is not changed by who writes to the file afterwards."""

    async def copy(self, outlet: SocketOutlet, offset: int, count: int) -> int:
        """Send like `send`, but copies."""


def _receiver_bytes() -> int:
    """What the kernel of a receiver on this machine holds at most (tcp(7): tcp_rmem)."""
    with suppress(OSError, ValueError, IndexError):
        return min(int(Path("/proc/sys/net/ipv4/tcp_rmem").read_text().split()[2]), _MOST_BYTES)
    return _USUAL_BYTES


RECEIVER_BYTES: Final = _receiver_bytes()
#: The very last bytes.
LAST_BYTES: Final = 64 << 10
#: All that is copied: more than a receiver holds, so that something is under way while the rest is waited for.
TAIL_BYTES: Final = RECEIVER_BYTES + (2 << 20)


def unacknowledged(socket_fd: int) -> int:
    """Bytes on a connection that the receiver's kernel has not acknowledged (tcp(7): SIOCOUTQ)."""
    with suppress(OSError):
        found: tuple[int] = struct.unpack("i", fcntl.ioctl(socket_fd, termios.TIOCOUTQ, bytes(4)))
        return found[0]
    return 0  # this kind of connection does not tell
