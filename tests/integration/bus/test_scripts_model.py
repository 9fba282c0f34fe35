"""Every script of a lane against a model of it: random calls by several owners and senders, compared after each."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from uuid import UUID

import pytest
import redis
from harness.models import ScriptMachine, break_script, client_of, compare
from harness.redis_server import SERVERS
from hypothesis import strategies as st
from hypothesis.errors import FlakyFailure
from hypothesis.stateful import initialize, invariant, rule

from bus.streams import keys
from bus.streams.reader import parse_entry
from domain.ids import VolumeName, uuid7

VOLUME = VolumeName("disk")
LIMIT, DEAD_LIMIT = 6, 3
#: Whether an owner calls by an epoch that is over: now and then.
LATE = st.sampled_from([False, False, False, True])
IDS = [uuid7(1_795_000_000_000, bytes([number]) * 10) for number in range(12)]
OWNERS = ["a", "a", "a", "b"]
KEYS = ["k", "l"]
#: Lane time limits: over at once, or never within a test.
LEASES = [0, 600_000]


@dataclass
class Model:
    """What a lane should be."""

    owner: str = ""
    live: bool = False
    epoch: int = 0
    #: Commits of this epoch.
    commits: int = 0
    crashes: int = 0
    suspects: str = ""
    enqueued: int = 0
    done: int = 0
    #: Entries of the stream that are not settled, in order: entry -> id.
    open: dict[str, UUID] = field(default_factory=dict)
    settled: set[str] = field(default_factory=set)
    order: list[str] = field(default_factory=list)
    ids: dict[str, UUID] = field(default_factory=dict)
    state: dict[UUID, str] = field(default_factory=dict)
    replies: dict[UUID, bytes] = field(default_factory=dict)
    events: list[bytes] = field(default_factory=list)
    letters: list[tuple[UUID, str]] = field(default_factory=list)
    quarantine: dict[str, UUID] = field(default_factory=dict)
    parked: list[tuple[UUID, str]] = field(default_factory=list)

    @property
    def cursor(self) -> str:
        cursor = "0-0"
        for entry in self.order:
            if entry in self.open:
                break
            cursor = entry
        return cursor


class LaneMachine(ScriptMachine):
    """Calls scripts and compares."""

    @initialize()
    def begin(self) -> None:
        self.client.flushall()
        self.model = Model()
        self.tries = 0

    # --- senders ----------------------------------------------------------------------------------

    @rule(id_=st.sampled_from(IDS))
    def enqueue(self, id_: UUID) -> None:
        names = [keys.commands(VOLUME), keys.lane(VOLUME), keys.inbox(VOLUME, id_), keys.dead_letters(VOLUME)]
        state, entry, _, committed = self.call("enqueue", names, id_.bytes, b"m", LIMIT, 3600, DEAD_LIMIT)
        model = self.model
        known = model.state.get(id_)
        if known is not None:
            assert (state, committed) == (0, int(known == "c"))
        elif model.enqueued - model.done >= LIMIT:
            assert state == -1
        elif len(model.letters) >= DEAD_LIMIT:
            assert state == -2
        else:
            assert state == 1
            self._appended(entry.decode(), id_)
            model.enqueued += 1

    def _appended(self, entry: str, id_: UUID) -> None:
        self.model.open[entry] = id_
        self.model.order.append(entry)
        self.model.ids[entry] = id_
        self.model.state[id_] = "q"

    # --- owners -----------------------------------------------------------------------------------

    @rule(owner=st.sampled_from(OWNERS), ttl=st.sampled_from(LEASES), least=st.integers(0, 40))
    def acquire(self, owner: str, ttl: int, least: int) -> None:
        answer = self.call("acquire", [keys.lane(VOLUME), keys.commands(VOLUME)], owner, ttl, least)
        model = self.model
        if model.owner not in ("", owner) and model.live:
            assert answer[:2] == [0, model.owner.encode()]
            return
        epoch = max(model.epoch, least) + 1
        model.crashes += bool(model.owner)
        assert answer[:3] == [1, epoch, model.cursor.encode()]
        assert answer[5:7] == [model.crashes, model.suspects.encode()]
        assert (answer[7] > 0) == (model.epoch > 0), "when the last owner ended is told of every one"
        model.owner, model.live, model.epoch, model.commits = owner, ttl > 0, epoch, 0

    @rule(owner=st.sampled_from(OWNERS), late=LATE, ttl=st.sampled_from(LEASES), unknown=st.booleans())
    def renew(self, owner: str, late: bool, ttl: int, unknown: bool) -> None:
        known = self.model.commits + unknown
        answer = self.call("renew", [keys.lane(VOLUME)], owner, self.model.epoch - late, ttl, known)
        if not self._is_mine(owner, late):
            assert answer == [0]
        elif unknown:
            assert answer == [-1]
        else:
            assert answer[0] == 1
            self.model.live = ttl > 0

    @rule(owner=st.sampled_from(OWNERS), late=LATE)
    def release(self, owner: str, late: bool) -> None:
        answer = self.call("release", [keys.lane(VOLUME)], owner, self.model.epoch - late, "bell")
        assert answer == int(self._is_mine(owner, late))
        if answer:
            self.model.owner, self.model.live, self.model.crashes, self.model.suspects = "", False, 0, ""

    @rule(owner=st.sampled_from(OWNERS), late=LATE, marks=st.sampled_from(["", "1-1=1", "1-1=2,2-1=1"]))
    def suspect(self, owner: str, late: bool, marks: str) -> None:
        if self._fenced("suspect", [keys.lane(VOLUME)], owner, late, marks):
            return
        self.model.suspects = marks
        if not marks:
            self.model.crashes = 0

    def _is_mine(self, owner: str, late: bool) -> bool:
        return self.model.owner == owner and not late and self.model.epoch > 0

    def _fenced(self, name: str, names: list[str], owner: str, late: bool, *arguments: object) -> bool:
        """Call a script that only the owner may; True if it was refused, as it had to be."""
        if self._is_mine(owner, late):
            self.call(name, names, owner, self.model.epoch, *arguments)
            return False
        with pytest.raises(redis.ResponseError, match="FENCED"):
            self.call(name, names, owner, self.model.epoch - late, *arguments)
        return True

    # --- outcomes ---------------------------------------------------------------------------------

    @rule(
        data=st.data(),
        owner=st.sampled_from(OWNERS),
        late=LATE,
        verdict=st.sampled_from("DDDXQP"),
        again=st.booleans(),
    )
    def commit(self, data: st.DataObject, owner: str, late: bool, verdict: str, again: bool) -> None:
        choice = sorted(self.model.settled if again else self.model.open, key=parse_entry)
        if not choice:
            return
        entry = data.draw(st.sampled_from(choice))
        id_ = self.model.open.get(entry) or data.draw(st.sampled_from(IDS))
        if again and self.client.hget(keys.inbox(VOLUME, id_), id_.bytes) not in (b"c" + entry.encode(),):
            return  # a repetition is of the very same call
        subject = data.draw(st.sampled_from(KEYS))
        self.tries += 1
        reply, event = b"reply %d" % self.tries, b"event %d" % self.tries
        settled = {**self.model.open}
        settled.pop(entry, None)
        cursor = "0-0"
        for passed in self.model.order:
            if passed in settled:
                break
            cursor = passed
        names = [
            keys.lane(VOLUME),
            keys.commands(VOLUME),
            keys.events(VOLUME),
            keys.BROADCAST,
            keys.dead_letters(VOLUME),
            keys.quarantine(VOLUME),
            keys.parked(VOLUME),
            keys.inbox(VOLUME, id_),
            keys.reply(VOLUME, id_),
        ]
        outcome = [entry, id_.bytes, verdict, subject, reply, "", "why", 2, b"m", 1, b"e" * 16, event, 0]
        passed: list[object] = []
        for before in self.model.order:
            if parse_entry(self.model.cursor) < parse_entry(before) <= parse_entry(cursor) and before != entry:
                names.append(keys.inbox(VOLUME, self.model.ids[before]))
                passed += [before, self.model.ids[before].bytes]
        arguments = [cursor, 3600, 60_000, 1, *outcome, len(passed) // 2, *passed]
        known = self.model.commits
        with pytest.raises(redis.ResponseError, match="FENCED"):
            self.call("commit", names, owner, self.model.epoch, known + 1, known + 2, *arguments)
        if self._fenced("commit", names, owner, late, known, known + 1, *arguments):
            return
        self.model.commits += 1
        if again:
            return
        self._settled(entry, id_, verdict, subject, reply, event)

    def _settled(self, entry: str, id_: UUID, verdict: str, subject: str, reply: bytes, event: bytes) -> None:
        model = self.model
        del model.open[entry]
        if model.state[id_] == "c":
            return  # it was settled in another place before
        model.settled.add(entry)
        if verdict == "P":
            model.state[id_] = "p"
            if subject in model.quarantine:
                model.parked.append((id_, subject))
            else:  # what it waited for was dealt with already
                self._appended(self._commands()[-1][0].decode(), id_)
                model.state[id_] = "p"
            return
        model.state[id_] = "c"
        model.done += 1
        model.replies[id_] = reply
        model.events.append(event)
        if verdict != "D":
            model.letters.append((id_, subject))
            if verdict == "Q":
                model.quarantine.setdefault(subject, id_)
        if not model.suspects:
            model.crashes = 0

    @rule(owner=st.sampled_from(OWNERS), late=LATE, id_=st.sampled_from(IDS))
    def restore(self, owner: str, late: bool, id_: UUID) -> None:
        self.tries += 1
        reply, event = b"reply %d" % self.tries, b"event %d" % self.tries
        names = [
            keys.lane(VOLUME),
            keys.events(VOLUME),
            keys.BROADCAST,
            keys.inbox(VOLUME, id_),
            keys.reply(VOLUME, id_),
        ]
        memo = [id_.bytes, reply, 1, b"e" * 16, event, 0]
        if self._fenced("restore", names, owner, late, 3600, 60_000, 1, *memo):
            return
        if self.model.state.get(id_) != "c":
            self.model.done += id_ in self.model.state
            self.model.state[id_] = "c"
            self.model.replies[id_] = reply
            self.model.events.append(event)

    # --- operators --------------------------------------------------------------------------------

    @rule(data=st.data(), drop=st.booleans())
    def redrive(self, data: st.DataObject, drop: bool) -> None:
        letters = self.client.xrange(keys.dead_letters(VOLUME))
        assert [UUID(bytes=fields[b"i"]) for _, fields in letters] == [id_ for id_, _ in self.model.letters]
        if not letters:
            return
        number = data.draw(st.integers(0, len(letters) - 1))
        letter = letters[number][0]
        id_, subject = self.model.letters[number]
        names = [
            keys.dead_letters(VOLUME),
            keys.commands(VOLUME),
            keys.lane(VOLUME),
            keys.inbox(VOLUME, id_),
            keys.reply(VOLUME, id_),
            keys.quarantine(VOLUME),
            keys.parked(VOLUME),
        ]
        arguments = (letter, id_.bytes, b"" if drop else b"m", subject, 3600)
        model = self.model
        holds = self.client.hget(keys.quarantine(VOLUME), subject) == letter
        freed = [item for item in model.parked if holds and item[1] == subject]
        before = {entry for entry, _ in self.client.xrange(keys.commands(VOLUME))}
        assert self.call("redrive", names, *arguments) == [1, len(freed)]
        assert self.call("redrive", names, *arguments) == [0, 0]
        del model.letters[number]
        came = [
            (entry.decode(), UUID(bytes=fields[b"i"])) for entry, fields in self._commands() if entry not in before
        ]
        assert [found for _, found in came] == ([] if drop else [id_]) + [found for found, _ in freed]
        for entry, found in came:
            state = model.state[found]
            self._appended(entry, found)
            if found != id_:
                model.state[found] = state  # its mark says where it was parked, until it is settled
        if not drop:
            model.enqueued += 1
            model.replies.pop(id_, None)
        if holds:
            del model.quarantine[subject]
            model.parked = [item for item in model.parked if item not in freed]

    def _commands(self) -> list[tuple[bytes, dict[bytes, bytes]]]:
        return self.client.xrange(keys.commands(VOLUME))

    @rule()
    def trim(self) -> None:
        names = [
            keys.commands(VOLUME),
            keys.lane(VOLUME),
            keys.events(VOLUME),
            keys.dead_letters(VOLUME),
            keys.quarantine(VOLUME),
            keys.command_readers(VOLUME),
            keys.READERS_SEEN,
            keys.parked(VOLUME),
        ]
        self.call("trim", names, 0, 3_600_000, 3_600_000, 3_600_000)

    # --- what always holds ------------------------------------------------------------------------

    @invariant()
    def is_as_the_model(self) -> None:
        model = self.model
        lane = self.client.hgetall(keys.lane(VOLUME))
        assert int(lane.get(b"epoch", 0)) == model.epoch
        assert lane.get(b"owner", b"").decode() == model.owner
        assert (int(lane.get(b"enq", 0)), int(lane.get(b"ack", 0))) == (model.enqueued, model.done)
        # Whatever is trimmed, what is not settled is there, in its order.
        there = [entry.decode() for entry, _ in self._commands()]
        waiting = [entry for entry in model.order if entry in model.open]
        assert [entry for entry in there if entry in model.open] == waiting
        assert [fields[b"m"] for _, fields in self.client.xrange(keys.events(VOLUME))] == model.events
        assert len(set(model.events)) == len(model.events)
        for id_, state in model.state.items():
            mark = self.client.hget(keys.inbox(VOLUME, id_), id_.bytes)
            assert mark is not None
            assert mark[:1].decode() == state
            assert self.client.get(keys.reply(VOLUME, id_)) == model.replies.get(id_)
        assert self.client.xlen(keys.parked(VOLUME)) == len(model.parked)
        assert set(self.client.hkeys(keys.quarantine(VOLUME))) == {key.encode() for key in model.quarantine}


@pytest.mark.timeout(180)
@pytest.mark.parametrize("kind", SERVERS)
def test_scripts_do_what_the_model_does(kind: str, tmp_path: Path) -> None:
    with client_of(kind, tmp_path) as client:
        compare(LaneMachine, client, 80)


@pytest.mark.timeout(180)
@pytest.mark.parametrize(
    ("name", "good", "bad"),
    [
        ("enqueue", "if seen then", "if false then"),
        ("trim", "if after(floor, cursor) then floor = cursor end", ""),
    ],
)
def test_the_model_notices_a_script_that_does_something_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, good: str, bad: str
) -> None:
    break_script(monkeypatch, name, good, bad)
    # Trimming goes by the server's clock: what showed in one millisecond may not show again in the next.
    found = (AssertionError, KeyError, pytest.fail.Exception, FlakyFailure)
    with client_of("redis", tmp_path) as client, pytest.raises(found):
        compare(LaneMachine, client, 1000)
