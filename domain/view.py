"""The catalogue held in memory: what events, applied one after the other, make of it."""

from __future__ import annotations

from collections import defaultdict

from domain.catalogue import Bump, Change, Index, Put, Remove, Unindex


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
            case Bump(record, deltas):
                present = self.records.get(record)
                if present is not None:
                    present.update({name: str(int(present.get(name, 0)) + by) for name, by in deltas.items()})
            case Remove(record):
                self.records.pop(record, None)
            case Index(index, member):
                self.indexes[index].add(member)
            case Unindex(index, member):
                self.indexes[index].discard(member)
