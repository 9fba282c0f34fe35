"""A model of what Redis holds that is of no lane, and the scripts by which its events are followed and trimmed."""

from __future__ import annotations

from dataclasses import dataclass, field

from harness.models import ScriptMachine
from hypothesis import strategies as st
from hypothesis.stateful import initialize, rule

from bus.streams.reader import parse_entry

READERS = st.sampled_from(["x", "y"])
FOREVER_MS, HOUR_MS = 600_000, 3_600_000
OWN, ALL, LEASE, TAKEN, MEMBERS = "own", "all", "lease", "taken", "members"
DUE, INDEX, BOX = "due", "index", "box"
TRIMMED, GENERATION, REGISTER, SEEN, EXPIRED = "trimmed", "generation", "readers", "seen", "expired"


@dataclass
class Model:
    """What Redis should hold."""

    holder: str = ""
    #: Who was the last to take the lease; empty: that was forgotten.
    last_holder: str = ""
    told: dict[str, bytes] = field(default_factory=dict)
    records: dict[str, tuple[int, bytes]] = field(default_factory=dict)
    due: dict[str, int] = field(default_factory=dict)
    #: Events of the broadcast, by entry.
    events: dict[str, bytes] = field(default_factory=dict)
    trimmed: str = "0-0"
    #: Catalogue: record -> number of times it was touched.
    folders: dict[str, int] = field(default_factory=dict)
    indexed: set[str] = field(default_factory=set)
    readers: dict[str, str] = field(default_factory=dict)
    generation: str = ""
    #: Up to where parts of the outbox were taken over.
    taken: dict[str, int] = field(default_factory=dict)

    @property
    def last(self) -> str:
        return max([self.trimmed, *self.events], key=parse_entry)


class Followed(ScriptMachine):
    """Events of the broadcast, and who follows them."""

    @initialize()
    def begin(self) -> None:
        self.client.flushall()
        self.model = Model()
        self.count = 0

    def told(self, event: bytes) -> None:
        """Take note of an event that was just told."""
        ((entry, fields),) = self.client.xrange(ALL, min=f"({self.model.last}")
        assert fields[b"m"] == event
        self.model.events[entry.decode()] = event

    @rule(data=st.data(), reader=READERS)
    def save(self, data: st.DataObject, reader: str) -> None:
        if self.model.events:
            position = data.draw(st.sampled_from(sorted(self.model.events, key=parse_entry)))
            self.model.readers[reader] = position
            self.client.hset(REGISTER, reader, position)
            self.client.zadd(SEEN, {reader: self.client.time()[0] * 1000})

    @rule(reader=READERS)
    def dies(self, reader: str) -> None:
        if reader in self.model.readers:
            self.client.zadd(SEEN, {reader: 1})
            removed = self._trim()
            assert removed[2:] == [reader.encode()]
            assert self.client.hget(EXPIRED, reader) == self.model.readers.pop(reader).encode()
            self._forget()

    @rule()
    def trim(self) -> None:
        assert len(self._trim()) == 2
        self._forget()

    def _trim(self) -> list[object]:
        return self.call("trim_broadcast", [ALL, REGISTER, SEEN, EXPIRED, TRIMMED], -HOUR_MS, HOUR_MS)

    def _forget(self) -> None:
        """Everything is old enough; what a reader is at, and what follows, stays."""
        floor = min(self.model.readers.values(), key=parse_entry, default=None)
        for entry in list(self.model.events):
            if floor is None or parse_entry(entry) < parse_entry(floor):
                self.model.trimmed = max(self.model.trimmed, entry, key=parse_entry)
                del self.model.events[entry]

    @rule(other=st.booleans(), lost=st.booleans())
    def look(self, other: bool, lost: bool) -> None:
        for position in ["0-0", self.model.trimmed, *self.model.events, "9999999999999-0"]:
            self._look(position, other, lost)

    def _look(self, position: str, other: bool, lost: bool) -> None:
        model = self.model
        met = b"another" if other else b"i" * 16 if position in model.events else b""
        if position in model.events and not other:
            met = self.client.xrange(ALL, position, position)[0][1][b"i"]
        generation = "lost" if lost and model.generation else model.generation
        gap, where, told = self.call("look", [ALL, TRIMMED, GENERATION], position, generation, "first", met)
        model.generation = model.generation or "first"
        assert told == model.generation.encode()
        place, newest, oldest = parse_entry(position), parse_entry(model.last), parse_entry(model.trimmed)
        unknown = other and place > oldest
        wrong = generation not in ("", model.generation)
        assert gap == int(wrong or place > newest or place < oldest or unknown)
        if wrong:
            assert where == b"0-0"
        elif place > newest:
            assert where == model.last.encode()
        elif place < oldest:
            assert where == model.trimmed.encode()
        else:
            assert where == position.encode()
