"""Bytes of a folder as an object store keeps them.

A directory is a common prefix of keys, or an empty marker whose key ends in `/`. There is no rename: moving
copies and deletes. An upload is a multipart upload: parts of a least size, and a tail object for what is left
over between requests, so that nothing acknowledged is lost.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from backends.contract import Committed, Entry, EntryKind, FileStat
from backends.memory.plane import DIRECTORY_STAT, Room, Stored, conflict, missing, refuse
from domain.errors import NotFoundError, Subject
from domain.paths import RelativePath


@dataclass(slots=True)
class Multipart:
    """An upload in progress; its key is fixed from the start, as S3 wants it."""

    key: str
    parts: list[bytes] = field(default_factory=list)
    tail: bytes = b""

    @property
    def size(self) -> int:
        """Bytes stored."""
        return sum(map(len, self.parts)) + len(self.tail)


class Bucket:
    """Keys to objects below one prefix."""

    def __init__(self, room: Room, part_bytes: int) -> None:
        self._room = room
        self._part_bytes = part_bytes
        self._objects: dict[str, Stored] = {}
        self._uploads: dict[str, Multipart] = {}
        self.notes: dict[str, bytes] = {}

    def stat(self, path: RelativePath) -> FileStat:
        """Look at an object, or at what lies below a prefix."""
        found = self._objects.get(_key(path))
        if found is not None:
            return found.stat
        if path.is_root or any(key.startswith(_prefix(path)) for key in self._objects):
            return DIRECTORY_STAT
        if any(_key(RelativePath(path.parts[:depth])) in self._objects for depth in range(1, len(path.parts))):
            raise conflict("not-a-directory", path)
        raise missing(path)

    def names(self, path: RelativePath) -> list[Entry]:
        """What lies directly below a prefix."""
        if self.stat(path).kind is not EntryKind.DIRECTORY:
            raise conflict("not-a-directory", path)
        prefix = _prefix(path)
        heads = {key[len(prefix) :].partition("/")[0] for key in self._objects if key.startswith(prefix)}
        below = [RelativePath((*path.parts, head)) for head in heads if head]
        return [Entry(entry.name, self.stat(entry)) for entry in below]

    def read(self, path: RelativePath) -> Stored:
        """An object."""
        if self.stat(path).kind is EntryKind.DIRECTORY:
            raise conflict("is-a-directory", path)
        return self._objects[_key(path)]

    def make_directory(self, path: RelativePath) -> None:
        """Put a marker."""
        if self._exists(path):
            raise conflict("exists", path)
        self._require_directory(path.parent)
        self._objects[_prefix(path)] = Stored(b"")

    def move(self, source: RelativePath, destination: RelativePath) -> None:
        """Copy every object, then delete the originals; not one step, and the contract does not say it is."""
        self._require_directory(destination.parent)
        old, new = _key(source), _key(destination)
        keys = [key for key in self._objects if key == old or key.startswith(_prefix(source))]
        for key in keys:
            self._put(new + key[len(old) :], Stored(self._objects[key].data))
        for key in keys:
            self._delete(key)

    def remove(self, path: RelativePath) -> None:
        """Delete an object, or all below a prefix."""
        prefix = _prefix(path)
        for key in [key for key in self._objects if key == _key(path) or key.startswith(prefix)]:
            self._delete(key)

    def begin(self, session: str, destination: RelativePath) -> None:
        """Begin a multipart upload."""
        self._uploads.setdefault(session, Multipart(_key(destination)))

    def append(self, session: str, data: bytes) -> int:
        """Store full parts and keep the rest as the tail."""
        upload = self._upload(session)
        taken = self._room.take(len(data))
        self._fill(upload, data[:taken])
        if taken < len(data):
            raise refuse(session)
        return upload.size

    def staged(self, session: str) -> int:
        """Bytes stored of an upload."""
        return self._upload(session).size

    def truncate(self, session: str, offset: int) -> None:
        """Drop what was stored of an upload behind an offset; a piece of a part becomes the tail."""
        upload = self._upload(session)
        self._room.give(max(upload.size - offset, 0))
        data = self.staged_data(session)[:offset]
        upload.parts, upload.tail = [], b""
        self._fill(upload, data)

    def staged_data(self, session: str) -> bytes:
        """What was stored of an upload."""
        upload = self._upload(session)
        return b"".join((*upload.parts, upload.tail))

    def _fill(self, upload: Multipart, data: bytes) -> None:
        upload.tail += data
        while len(upload.tail) >= self._part_bytes:
            upload.parts.append(upload.tail[: self._part_bytes])
            upload.tail = upload.tail[self._part_bytes :]

    def commit(self, session: str, destination: RelativePath, sha256: bytes | None) -> Committed:
        """Complete the upload; an object meant for another key is copied there by the store."""
        upload = self._upload(session)
        self._check_parents(destination)
        replaced = self.check_target(destination)
        stored = Stored(self.staged_data(session), digests=[sha256] if sha256 else [])
        self._put(_key(destination), stored, taken=True)
        del self._uploads[session]
        return Committed(upload.size, replaced)

    def abort(self, session: str) -> None:
        """Abort a multipart upload."""
        upload = self._uploads.pop(session, None)
        if upload is not None:
            self._room.give(upload.size)

    def all_files(self) -> list[Stored]:
        """Every object that is no marker."""
        return [stored for key, stored in self._objects.items() if not key.endswith("/")]

    def copy(self) -> Bucket:
        """The same contents, on their own."""
        twin = Bucket(self._room, self._part_bytes)
        for key, stored in self._objects.items():
            twin._put(key, stored)
        return twin

    def _put(self, key: str, stored: Stored, *, taken: bool = False) -> None:
        if not taken:
            self._room.take(len(stored.data))
        if key in self._objects:
            self._delete(key)
        self._objects[key] = stored

    def _delete(self, key: str) -> None:
        self._room.give(len(self._objects.pop(key).data))

    def _upload(self, session: str) -> Multipart:
        if session not in self._uploads:
            raise missing(session, Subject.UPLOAD)
        return self._uploads[session]

    def _exists(self, path: RelativePath) -> bool:
        try:
            self.stat(path)
        except NotFoundError:
            return False
        return True

    def _check_parents(self, path: RelativePath) -> None:
        for depth in range(1, len(path.parts)):
            if _key(RelativePath(path.parts[:depth])) in self._objects:
                raise conflict("not-a-directory", path)

    def check_target(self, path: RelativePath) -> int | None:
        """Size of what a file would replace there."""
        if not self._exists(path):
            return None
        known = self.stat(path)
        if known.kind is EntryKind.DIRECTORY:
            raise conflict("is-a-directory", path)
        return known.size_bytes

    def _require_directory(self, path: RelativePath) -> None:
        if self.stat(path).kind is not EntryKind.DIRECTORY:
            raise conflict("not-a-directory", path)


def _key(path: RelativePath) -> str:
    return "/".join(path.parts)


def _prefix(path: RelativePath) -> str:
    return f"{_key(path)}/" if path.parts else ""
