"""Turns events and catalogue changes into the keys and arguments the scripts walk over."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from bus.codec import encode_envelope
from bus.streams.link import Argument
from domain.catalogue import Bump, Change, Default, Index, Put, Recount, Remove, Unindex
from domain.envelope import Envelope
from domain.projection import project


class Call:
    """Keys and arguments of one script call, gathered in the order the script reads them."""

    def __init__(self, keys: Sequence[str], args: Sequence[Argument]) -> None:
        self.keys: list[str] = list(keys)
        self.args: list[Argument] = list(args)

    def events(self, events: Sequence[Envelope]) -> None:
        """Add how many events there are, then each."""
        self.args.append(len(events))
        for event in events:
            self.event(event, encode_envelope(event))

    def event(self, event: Envelope, data: bytes) -> None:
        """Add one event, which is encoded already, with the catalogue changes that follow from it."""
        self.args += (event.id.bytes, data)
        self.changes(project(event))

    def changes(self, changes: Sequence[Change]) -> None:
        """Add catalogue changes."""
        self.args.append(len(changes))
        for change in changes:
            self._change(change)

    def _change(self, change: Change) -> None:
        match change:
            case Put(record, fields):
                self._pairs("P", record, fields)
            case Default(record, fields):
                self._pairs("D", record, fields)
            case Bump(record, deltas):
                self._pairs("B", record, deltas)
            case Recount(record, fields, since, again):
                self._pairs("C", record, fields)
                self.args += (since.added_bytes, since.added_files, since.changes, since.made, again)
            case Remove(record):
                self.keys.append(record)
                self.args.append("R")
            case Index(index, member):
                self.keys.append(index)
                self.args += ("I", member)
            case Unindex(index, member):
                self.keys.append(index)
                self.args += ("U", member)

    def _pairs(self, op: str, record: str, pairs: Mapping[str, Argument]) -> None:
        self.keys.append(record)
        self.args += (op, len(pairs))
        for name, value in pairs.items():
            self.args += (name, value)
