"""What some volumes can do besides. A power is there if the methods are; nothing else declares it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Protocol, runtime_checkable

from backends.contract import Operation, ReadHandle, Staging, Volume
from backends.intake import SocketIntake
from domain.ids import VFolderId
from domain.paths import RelativePath
from domain.usage import Usage


@dataclass(frozen=True, slots=True)
class Mount:
    """How an agent reaches a folder."""

    #: `direct`, `nfs` or `fuse`.
    kind: str
    #: Absolute path on the hosts that mount the volume.
    path: str


@runtime_checkable
class Mountable(Protocol):
    """Folders can be mounted by agents."""

    @property
    def mount_path(self) -> str:
        """Absolute path of the volume on the hosts that mount it."""

    async def mount(self, folder: VFolderId, subpath: RelativePath) -> Mount:
        """Where a folder, or a directory in it, is found. Raises NotFoundError."""


@runtime_checkable
class ClonesFolders(Protocol):
    """The storage copies folders by its own means, without moving bytes through Penstock."""

    async def clone_folder(self, op: Operation, source: VFolderId, destination: VFolderId) -> None:
        """Copy a folder to a new one, whole or not at all. Raises NotFoundError, ConflictError."""


@runtime_checkable
class TakesSnapshots(Protocol):
    """The storage keeps read-only images of folders."""

    async def create_snapshot(self, op: Operation, folder: VFolderId, name: str) -> None:
        """Keep an image. Raises NotFoundError, ConflictError."""

    async def snapshots(self, folder: VFolderId) -> Sequence[str]:
        """Names of the images kept. Raises NotFoundError."""

    async def delete_snapshot(self, op: Operation, folder: VFolderId, name: str) -> None:
        """Drop an image. Raises NotFoundError."""


@runtime_checkable
class CountsFast(Protocol):
    """The storage keeps count by itself."""

    async def fast_usage(self, folder: VFolderId) -> Usage:
        """What a folder holds, as the storage last knew. Raises NotFoundError."""


@runtime_checkable
class ReportsMetrics(Protocol):
    """The storage tells how it is doing."""

    async def metrics(self) -> Mapping[str, float]:
        """Figures by name, with the unit at the end of the name."""


@runtime_checkable
class SendsToSocket(Protocol):
    """Power of a ReadHandle: its bytes can go to a socket inside the kernel."""

    async def send(self, socket_fd: int, offset: int, count: int) -> int:
        """Send up to `count` bytes; returns how many. Fewer: the socket takes no more now.

        The socket must stay open until this returns. Raises ConnectionError if the receiver is gone, and
        BackendFaultError if the file ends before `count` bytes were sent.
        """


@runtime_checkable
class ReceivesFromSocket(Staging, Protocol):
    """Power of a Staging: it takes bytes from a socket by itself."""

    async def receive(self, intake: SocketIntake) -> None:
        """Append what the socket has, up to `intake.left` bytes; returns soon, with the intake telling why.

        Bytes that were taken when the storage fails count as taken. Raises as `Staging.append`.
        """


@runtime_checkable
class KnowsItsPlace(Protocol):
    """Power of a ReadHandle: it is a file on the volume's mount, which others may see as well."""

    async def place(self) -> str | None:
        """Its path below the volume's root, without links; None: there is none that can be told."""


@runtime_checkable
class CopiesFromFiles(Protocol):
    """Power of a Staging: bytes of a file of the same volume get there without passing through Penstock."""

    async def append_from(self, handle: ReadHandle, offset: int, count: int) -> int:
        """Append bytes of an open file; returns how many, at least one. Hashers are not fed.

        Shares the bytes where the storage can (reflinks). Raises as `Staging.append`.
        """


class Capability(StrEnum):
    """What a volume advertises, in Backend.AI's words."""

    VFOLDER = "vfolder"
    QUOTA = "quota"
    METRIC = "metric"
    FAST_SIZE = "fast-size"
    SNAPSHOT = "snapshot"
    CLONE = "clone"


_BY_POWER: Final[Mapping[type, Capability]] = {
    ReportsMetrics: Capability.METRIC,
    CountsFast: Capability.FAST_SIZE,
    TakesSnapshots: Capability.SNAPSHOT,
    ClonesFolders: Capability.CLONE,
}


def capabilities(volume: Volume) -> list[Capability]:
    """What a volume can do, computed from the powers it has."""
    extra = [capability for power, capability in _BY_POWER.items() if isinstance(volume, power)]
    return [Capability.VFOLDER, Capability.QUOTA, *extra]
