"""Bytes of a folder as a file system keeps them: directories are things, renaming is one step."""

from __future__ import annotations

from backends.contract import Committed, Entry, EntryKind, FileStat
from backends.memory.plane import DIRECTORY_STAT, Room, Stored, conflict, missing, refuse
from domain.errors import Subject
from domain.paths import RelativePath

_Parts = tuple[str, ...]


class Tree:
    """Names to files, and None for directories."""

    def __init__(self, room: Room) -> None:
        self._room = room
        self._nodes: dict[_Parts, Stored | None] = {(): None}
        self._staging: dict[str, bytearray] = {}
        self.notes: dict[str, bytes] = {}

    def stat(self, path: RelativePath) -> FileStat:
        """Look at an entry."""
        node = self._node(path)
        return node.stat if node else DIRECTORY_STAT

    def names(self, path: RelativePath) -> list[Entry]:
        """Entries of a directory."""
        if self._node(path) is not None:
            raise conflict("not-a-directory", path)
        depth = len(path.parts)
        below = [p for p in self._nodes if len(p) == depth + 1 and p[:depth] == path.parts]
        return [Entry(parts[-1], self.stat(RelativePath(parts))) for parts in below]

    def read(self, path: RelativePath) -> Stored:
        """A file."""
        node = self._node(path)
        if node is None:
            raise conflict("is-a-directory", path)
        return node

    def make_directory(self, path: RelativePath) -> None:
        """Make a directory whose parent is there."""
        if path.parts in self._nodes:
            raise conflict("exists", path)
        self._require_directory(path.parent)
        self._nodes[path.parts] = None

    def move(self, source: RelativePath, destination: RelativePath) -> None:
        """Rename, with all below."""
        self._require_directory(destination.parent)
        depth = len(source.parts)
        for parts in [p for p in self._nodes if p[:depth] == source.parts]:
            self._put(RelativePath(destination.parts + parts[depth:]), self._nodes.pop(parts))

    def remove(self, path: RelativePath) -> None:
        """Remove an entry with all below it."""
        depth = len(path.parts)
        for parts in [p for p in self._nodes if p[:depth] == path.parts and p]:
            self._release(self._nodes.pop(parts))

    def begin(self, session: str, destination: RelativePath) -> None:
        """Begin an upload; where it is meant for makes no difference."""
        del destination
        self._staging.setdefault(session, bytearray())

    def append(self, session: str, data: bytes) -> int:
        """Add bytes."""
        staged = self._staged(session)
        taken = self._room.take(len(data))
        staged += data[:taken]
        if taken < len(data):
            raise refuse(session)
        return len(staged)

    def staged(self, session: str) -> int:
        """Bytes stored of an upload."""
        return len(self._staged(session))

    def truncate(self, session: str, offset: int) -> None:
        """Drop what was stored of an upload behind an offset."""
        staged = self._staged(session)
        self._room.give(max(len(staged) - offset, 0))
        del staged[offset:]

    def staged_data(self, session: str) -> bytes:
        """What was stored of an upload."""
        return bytes(self._staged(session))

    def commit(self, session: str, destination: RelativePath, sha256: bytes | None) -> Committed:
        """Put the staged bytes at their destination in one step."""
        data = bytes(self._staged(session))
        replaced = self.check_target(destination)
        for depth in range(1, len(destination.parts)):
            parent = destination.parts[:depth]
            if parent not in self._nodes:
                self._nodes[parent] = None
            self._require_directory(RelativePath(parent))
        self._put(destination, Stored(data, digests=[sha256] if sha256 else []))
        del self._staging[session]
        return Committed(len(data), replaced)

    def abort(self, session: str) -> None:
        """Drop an upload."""
        self._room.give(len(self._staging.pop(session, b"")))

    def all_files(self) -> list[Stored]:
        """Every file."""
        return [node for node in self._nodes.values() if node]

    def copy(self) -> Tree:
        """The same contents, on their own."""
        twin = Tree(self._room)
        twin._nodes = dict(self._nodes)
        for node in twin.all_files():
            self._room.take(len(node.data))
        return twin

    def _node(self, path: RelativePath) -> Stored | None:
        for depth in range(len(path.parts)):
            if self._nodes.get(path.parts[:depth]) is not None:
                raise conflict("not-a-directory", path)
        if path.parts not in self._nodes:
            raise missing(path)
        return self._nodes[path.parts]

    def _put(self, path: RelativePath, node: Stored | None) -> None:
        self._release(self._nodes.get(path.parts))
        self._nodes[path.parts] = node

    def _release(self, node: Stored | None) -> None:
        if node is not None:
            self._room.give(len(node.data))

    def _staged(self, session: str) -> bytearray:
        if session not in self._staging:
            raise missing(session, Subject.UPLOAD)
        return self._staging[session]

    def check_target(self, path: RelativePath) -> int | None:
        """Size of what a file would replace there."""
        if path.parts not in self._nodes:
            return None
        node = self._nodes[path.parts]
        if node is None:
            raise conflict("is-a-directory", path)
        return len(node.data)

    def _require_directory(self, path: RelativePath) -> None:
        if self.stat(path).kind is not EntryKind.DIRECTORY:
            raise conflict("not-a-directory", path)
