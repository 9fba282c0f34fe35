"""What is recorded of one upload, shared by all gateways."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, Final, Self

from domain.errors import PenstockError
from domain.foreign_names import read_path
from domain.ids import VFolderId, VolumeName
from domain.paths import RelativePath
from gateway.protocol.tus import SMALL_BYTES

#: Longest note, in bytes: file systems keep some 4 KiB of attributes with a file.
_NOTE_BYTES: Final = 3000


class UploadState(StrEnum):
    """How far an upload is."""

    OPEN = "open"
    COMMITTING = "committing"
    COMMITTED = "committed"
    #: Expired, dropped, or put into another upload as a part of it.
    GONE = "gone"


@dataclass(frozen=True, slots=True)
class UploadSession:
    """One upload."""

    id: str
    volume: VolumeName
    folder: VFolderId
    #: Where the file is to be; None: it is a part of another upload.
    destination: RelativePath | None
    #: Length in bytes; None: not told yet.
    length: int | None
    #: Unix time after which it may be dropped, unless it is finished.
    expires: float
    #: Unix time at which it was begun; only tokens that were valid then may use it.
    begun: float = 0.0
    state: UploadState = UploadState.OPEN
    #: Upload-Metadata as it was given.
    metadata: str = ""
    #: Size of the file that stood at the destination when committing began.
    replaced_bytes: int | None = None
    #: Whose token may use it; empty: the token made for this very upload.
    owner: str = ""
    #: Upload-Concat as it was given.
    concat: str = ""
    #: Ids of the uploads this one is put together from, in order.
    parts: tuple[str, ...] = ()
    #: Id of the upload that waits for this part.
    final: str = ""
    #: Bytes stored behind this were not compared with their checksum and count for nothing; None: all count.
    floor: int | None = None
    #: Whether the storage may still store bytes behind that it gave no answer to, or drop some, whenever it likes.
    unsettled: bool = False
    #: Whether its length was told after it had begun: whoever recorded that may have died before it was judged.
    length_told: bool = False
    #: Bytes counted against the owner's quota while it is unfinished.
    reserved_bytes: int = 0
    #: Whether they are known to have been found to fit; whoever recorded them may have died before that.
    judged: bool = False
    #: Whether it is an archive to be unpacked where it would be put; and what it became.
    unpack: bool = False
    unpacked_files: int = 0
    unpacked_bytes: int = 0
    #: The last attempt to unpack it that relies on what it unpacks to being counted, and found to fit: some of it
    #: may be at its places. Empty: it is not so.
    admitted: str = ""
    #: SHA-256 the whole file is announced to have, and the one it has once that is known; hexadecimal.
    announced_sha256: str = ""
    sha256: str = ""
    #: SHA-512 the whole file is announced to have; hexadecimal.
    announced_sha512: str = ""
    #: Whether its client has said that it ends where its bytes do, which may not all have come; for protocols in
    #: which its length alone does not tell.
    ended: bool = False
    #: Whether it was begun without a place for its bytes, because all of it may come at once.
    unstaged: bool = False
    #: Whether it is being dropped: whoever writes to it stops, and nobody finds it any more.
    dropped: bool = False

    @property
    def record(self) -> str:
        """Name of the shared record."""
        return f"upload:{self.id}"

    @property
    def is_part(self) -> bool:
        """Whether it becomes no file by itself."""
        return self.destination is None

    @property
    def is_final(self) -> bool:
        """Whether it is put together from parts."""
        return bool(self.parts)

    @property
    def may_come_whole(self) -> bool:
        """Whether one small request may bring all of it, to be put at its place as it is."""
        is_small = self.length is not None and 0 < self.length <= SMALL_BYTES
        return is_small and not (self.is_part or self.is_final or self.unpack)

    @property
    def is_gone(self) -> bool:
        """Whether there was such an upload, and is none any more."""
        return self.state is UploadState.GONE or self.dropped

    @property
    def is_live(self) -> bool:
        """Whether it may still become a file."""
        return self.state in (UploadState.OPEN, UploadState.COMMITTING) and not self.dropped

    def document(self) -> dict[str, object]:
        """As it is stored; what is as usual is left out."""
        return {
            "id": self.id,
            "volume": self.volume,
            "folder": str(self.folder),
            "destination": None if self.destination is None else str(self.destination),
            "length": self.length,
            "expires": self.expires,
            "begun": self.begun,
            "state": self.state.value,
            "metadata": self.metadata,
            "replaced_bytes": self.replaced_bytes,
            **{name: value for name, value in self._rare().items() if value not in ("", None, 0)},
            **({"floor": self.floor} if self.floor is not None else {}),
        }

    def note(self) -> bytes:
        """What is kept beside its bytes, from which `from_note` makes it anew."""
        text = _noted(self)
        return text if len(text) <= _NOTE_BYTES else _noted(replace(self, metadata=""))

    @classmethod
    def from_note(cls, note: bytes) -> Self | None:
        """Read what `note` wrote; None if it is something else."""
        try:
            return cls.parse(json.loads(note))
        except (ValueError, KeyError, TypeError, PenstockError):
            return None

    def _rare(self) -> dict[str, object]:
        return {
            "owner": self.owner,
            "concat": self.concat,
            "parts": list(self.parts) or None,
            "final": self.final,
            "unsettled": self.unsettled,
            "length_told": self.length_told,
            "reserved_bytes": self.reserved_bytes,
            "judged": self.judged,
            "unpack": self.unpack,
            "unpacked_files": self.unpacked_files,
            "unpacked_bytes": self.unpacked_bytes,
            "admitted": self.admitted,
            "announced_sha256": self.announced_sha256,
            "sha256": self.sha256,
            "announced_sha512": self.announced_sha512,
            "ended": self.ended,
            "unstaged": self.unstaged,
            "dropped": self.dropped,
        }

    @classmethod
    def parse(cls, document: Mapping[str, Any]) -> Self:
        """Read what `document` wrote, or an earlier release."""
        known = {name: document[name] for name in cls.__dataclass_fields__ if name in document}
        destination = document["destination"]
        return cls(
            **{
                **known,
                "volume": VolumeName(document["volume"]),
                "folder": VFolderId.parse(document["folder"]),
                "destination": None if destination is None else read_path(destination),
                "state": UploadState(document["state"]),
                "parts": tuple(document.get("parts", ())),
            }
        )


def _noted(session: UploadSession) -> bytes:
    # As escapes, names in other letters than ours would take two or three times as many bytes.
    return json.dumps(session.document(), ensure_ascii=False).encode()
