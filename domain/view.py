"""The catalogue held in memory: what events, applied one after the other, make of it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

from domain.catalogue import Bump, Change, Default, Index, Put, Recount, Remove, Unindex, UsageMarks


class View:
    """Records and indexes."""

    def __init__(self) -> None:
        self.records: dict[str, dict[str, str]] = {}
        self.indexes: dict[str, set[str]] = defaultdict(set)

    def apply(self, change: Change) -> None:
        """Make one change."""
        match change:
            case Put(record, fields):
                known = self.records.setdefault(record, {})
                known.update({name: str(value) for name, value in fields.items()})
            case Default(record, fields):
                known = self.records.setdefault(record, {})
                known.update({name: str(value) for name, value in fields.items() if name not in known})
            case Bump(record, deltas):
                self._bump(record, deltas)
            case Recount():
                self._recount(change)
            case Remove(record):
                self.records.pop(record, None)
            case Index(index, member):
                self.indexes[index].add(member)
            case Unindex(index, member):
                self.indexes[index].discard(member)

    def _bump(self, record: str, deltas: Mapping[str, int]) -> None:
        present = self.records.get(record)
        if present is not None:
            present.update({name: str(int(present.get(name, 0)) + by) for name, by in deltas.items()})

    def _recount(self, change: Recount) -> None:
        present = self.records.get(change.record)
        now = UsageMarks.parse(present or {})
        if present is None or (now.made, now.changes) != (change.since.made, change.since.changes):
            return
        more = {
            "file_bytes": now.added_bytes - change.since.added_bytes,
            "files": now.added_files - change.since.added_files,
        }
        present.update({name: str(value) for name, value in change.fields.items()})
        present["again"] = str(change.again) if any(more.values()) else ""
        self._bump(change.record, more)
