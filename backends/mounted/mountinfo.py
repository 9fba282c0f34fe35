"""How a directory is mounted on this host, from `/proc/self/mountinfo` (Linux, proc(5)). Blocking."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from typing import Final

_TABLE: Final = "/proc/self/mountinfo"
#: A directory for each mounted ext4, and one for each of their journals, named after its device.
_EXT4: Final = "/proc/fs/ext4"
_JOURNALS: Final = "/proc/fs/jbd2"
_ESCAPED: Final = re.compile(r"\\([0-7]{3})")
_NETWORK: Final = frozenset({"nfs", "nfs4"})
#: File systems whose journal brings changes of names and attributes to the disk in the order they were made.
_ORDERED: Final = frozenset({"ext4", "xfs"})
#: File systems of this host alone, which never wait for another one to tell what they have in memory.
_LOCAL: Final = frozenset({"ext4", "xfs", "btrfs", "tmpfs"})
#: File systems only one host writes to; what it has in memory is there for all who ask.
_ONE_HOST: Final = _LOCAL | {"ext2", "ext3", "f2fs", "zfs", "bcachefs", "overlay", "ramfs"}
_WRITE_SIZE: Final = re.compile(r"(?:^|,)wsize=([0-9]+)")
#: Most bytes written at once where every write waits for the storage.
_UNIT_BYTES: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class MountedAs:
    """One mount."""

    point: str
    #: `nfs`, `fuse` or `direct`.
    kind: str
    #: What is mounted: `server:/export`, a device, or what a FUSE file system calls its source.
    source: str
    options: str
    #: Its type, as the kernel names it.
    file_system: str = ""

    @property
    def keeps_order(self) -> bool:
        """Whether what was made durable last has everything before it durable as well, but for bytes of files."""
        return self.file_system in _ORDERED

    @property
    def has_journal(self) -> bool:
        """Whether an ext4 has a journal, as far as the kernel tells; others are taken to have one."""
        device = os.path.basename(self.source)
        if self.file_system != "ext4" or not os.path.isdir(f"{_EXT4}/{device}"):
            return True
        return os.path.isdir(_JOURNALS) and any(name.startswith(f"{device}-") for name in os.listdir(_JOURNALS))

    @property
    def is_local(self) -> bool:
        """Whether what is in memory can be looked at without waiting for another host or process."""
        return self.file_system in _LOCAL

    @property
    def is_shared(self) -> bool:
        """Whether other hosts may change what is on it."""
        return self.file_system not in _ONE_HOST

    @property
    def write_unit(self) -> int | None:
        """Most bytes of one write that others are to go on from; None: any number, for all are on this host.

        Where there are several hosts, each keeps in memory what was written to it, brings it to the storage in any
        order (so that a file can be longer than what is there of it), and may die or be cut off meanwhile. There,
        every write has to wait for the storage, and be no more than what goes there in one message.
        """
        if not self.is_shared:
            return None
        told = _WRITE_SIZE.search(self.options)
        return min(int(told[1]), _UNIT_BYTES) if told else _UNIT_BYTES


#: What is assumed of a mount of which nothing is known.
UNKNOWN: Final = MountedAs("/", "direct", "", "")


def mounted_as(path: str, table: str | None = None) -> MountedAs:
    """The mount a directory lies on; something plain if that cannot be told.

    Args:
        table: the text of the mount table; None: the present one.
    """
    if table is None:
        try:
            with open(_TABLE, encoding="utf-8", errors="surrogateescape") as file:
                table = file.read()
        except OSError:
            return UNKNOWN
    real = os.path.realpath(path)
    found = [mount for line in table.splitlines() if (mount := _parsed(line)) and _holds(mount.point, real)]
    # Of mounts on one point the last one hides the others.
    return max(reversed(found), key=lambda mount: len(mount.point), default=UNKNOWN)


def _holds(point: str, path: str) -> bool:
    return point in (path, "/") or path.startswith(f"{point}/")


def _parsed(line: str) -> MountedAs | None:
    before, dash, after = line.partition(" - ")
    left, right = before.split(" "), after.split(" ")
    if not dash or len(left) < 6 or len(right) < 3:
        return None
    kind = "nfs" if right[0] in _NETWORK else "fuse" if right[0].startswith("fuse") else "direct"
    options = ",".join(dict.fromkeys([*left[5].split(","), *right[2].split(",")]))
    return MountedAs(_plain(left[4]), kind, _plain(right[1]), options, right[0])


def _plain(text: str) -> str:
    return _ESCAPED.sub(lambda match: chr(int(match[1], 8)), text)
