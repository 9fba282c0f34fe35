"""Every script that is not of a lane against a model: leases, members, records, the broadcast and followers."""

from __future__ import annotations

from pathlib import Path

import pytest
import redis
from harness.models import break_script, client_of, compare
from harness.redis_server import SERVERS
from harness.store_models import ALL, BOX, DUE, FOREVER_MS, HOUR_MS, INDEX, LEASE, MEMBERS, OWN, TAKEN, Followed
from hypothesis import strategies as st
from hypothesis.stateful import invariant, rule

NODES = st.sampled_from(["a", "b", "c"])
HOLDERS = st.sampled_from(["a/1@600000", "a/2@600000", "b/1@600000"])
RECORDS = st.sampled_from(["r:1", "r:2"])
FOLDERS = st.sampled_from(["f:1", "f:2", "f:3"])


class StoreMachine(Followed):
    """Calls scripts and compares."""

    # --- leases -------------------------------------------------------------------------------------

    @rule(holder=HOLDERS, again=st.booleans())
    def take(self, holder: str, again: bool) -> None:
        present = self.model.holder
        answer = self.call("lease_take", [LEASE, TAKEN], holder, FOREVER_MS, HOUR_MS, "1" if again else "")
        if present not in ("", holder):
            assert answer == present.encode()
        elif again and not present and self.model.last_holder != holder:
            assert answer == b"-"
        else:
            assert answer == b""
            self.model.holder = self.model.last_holder = holder

    @rule()
    def lease_runs_out(self) -> None:
        self.client.delete(LEASE)
        self.model.holder = ""

    @rule()
    def last_to_take_it_is_forgotten(self) -> None:
        self.client.delete(TAKEN)
        self.model.last_holder = ""

    @rule()
    def last_to_take_it_was_so_long_ago(self) -> None:
        if self.model.holder and self.client.pexpire(TAKEN, HOUR_MS // 3):
            self.call("lease_take", [LEASE, TAKEN], self.model.holder, FOREVER_MS, HOUR_MS, "1")
            assert self.client.pttl(TAKEN) > HOUR_MS // 2

    @rule(holder=HOLDERS)
    def release(self, holder: str) -> None:
        mine = self.model.holder == holder
        assert self.call("lease_release", [LEASE], holder) == int(mine)
        self.model.holder = "" if mine else self.model.holder

    @rule()
    def lease_of_one_before_the_clock_went_back(self) -> None:
        if self.model.holder:
            self.client.pexpire(LEASE, 100 * FOREVER_MS)
            self.call("lease_take", [LEASE, TAKEN], "other/1@600000", FOREVER_MS, HOUR_MS, "")
            assert self.client.pttl(LEASE) <= FOREVER_MS

    # --- members ------------------------------------------------------------------------------------

    @rule(node=NODES, told=st.sampled_from([b"", b"volumes", b"more"]))
    def beat(self, node: str, told: bytes) -> None:
        answer = self.call("members", [MEMBERS, f"bus:node:{node}"], node, FOREVER_MS, "bell", told)
        if told:
            self.model.told[node] = told
        view = dict(zip(answer[::2], answer[1::2], strict=True))
        assert view == {name.encode(): said for name, said in self.model.told.items()}

    @rule(node=NODES, late=st.booleans())
    def falls_silent(self, node: str, late: bool) -> None:
        """Its last heartbeat is long over, or of a time that is yet to come: then it counts as seen now."""
        if node not in self.model.told:
            return
        seconds = self.client.time()[0]
        self.client.zadd(MEMBERS, {node: (seconds + HOUR_MS if late else seconds - HOUR_MS) * 1000})
        if not late:
            del self.model.told[node]
        self.call("members", [MEMBERS, "bus:node:z"], "z", FOREVER_MS, "bell", b"")
        assert {name.decode() for name in self.client.zrange(MEMBERS, 0, -1)} == set(self.model.told)
        beats = self.client.zrange(MEMBERS, 0, -1, withscores=True)
        assert all(score <= (seconds + 60) * 1000 for _, score in beats)

    # --- records ------------------------------------------------------------------------------------

    @rule(record=RECORDS, due=st.sampled_from(["", 5, 7]), indexed=st.sampled_from(["", "f:1", "f:2"]))
    def create(self, record: str, due: str | int, indexed: str) -> None:
        names, changes = ([INDEX], [1, "I", indexed]) if indexed else ([], [0])
        answer = self.call("record_create", [record, DUE, *names], b"new", FOREVER_MS, due, record, *changes)
        assert answer == int(record not in self.model.records)
        if answer:
            self.model.indexed |= {indexed} - {""}
            self.model.records[record] = (1, b"new")
            if due:
                self.model.due[record] = int(due)

    @rule(
        record=RECORDS,
        late=st.booleans(),
        due=st.sampled_from(["", 9]),
        tells=st.booleans(),
        unindexed=st.sampled_from(["", "f:1", "f:2", "f:3"]),
        holder=st.just("") | HOLDERS,
    )
    def replace(self, record: str, late: bool, due: str | int, tells: bool, unindexed: str, holder: str) -> None:
        revision, _ = self.model.records.get(record, (0, b""))
        names = [record, DUE, OWN, ALL, LEASE, TAKEN]
        more = [1, "U", unindexed] if unindexed else [0]
        if unindexed:
            names.append(INDEX)
        self.count += 1
        event = b"event %d" % self.count
        told = [1, b"e" * 16, event, 0] if tells else [0]
        asked = revision + 1 if late else revision
        words = (asked, event, FOREVER_MS, due, record, holder, *told, *more)
        is_lost = holder and holder != (self.model.holder or self.model.last_holder)
        try:
            answer = self.call("record_replace", names, *words)
        except redis.ResponseError as error:
            answer = str(error).partition(" ")[0]
        assert answer == ("FENCED" if is_lost else int(not late and record in self.model.records))
        if answer == 1:
            self.model.records[record] = (revision + 1, event)
            self.model.due.pop(record, None)
            if due:
                self.model.due[record] = int(due)
            if tells:
                self.told(event)
            self.model.indexed.discard(unindexed)

    @rule(record=RECORDS, unindexed=st.sampled_from(["", "f:1", "f:2", "f:3"]))
    def remove(self, record: str, unindexed: str) -> None:
        names, changes = ([INDEX], [1, "U", unindexed]) if unindexed else ([], [0])
        self.call("record_remove", [record, DUE, *names], record, *changes)
        self.model.indexed.discard(unindexed)
        self.model.records.pop(record, None)
        self.model.due.pop(record, None)

    @rule(record=RECORDS, unindexed=st.sampled_from(["f:1", "f:2", "f:3"]))
    def change_without(self, record: str, unindexed: str) -> None:
        is_there = record in self.model.records
        assert self.call("apply_without", [record, INDEX], 1, "U", unindexed) == int(not is_there)
        if not is_there:
            self.model.indexed.discard(unindexed)

    # --- events and the catalogue -------------------------------------------------------------------

    @rule(folder=FOLDERS, gone=st.booleans(), silent=st.booleans(), again=st.booleans())
    def emit(self, folder: str, gone: bool, silent: bool, again: bool) -> None:
        """An event with what follows from it; or what follows alone, as where a catalogue is rebuilt."""
        model = self.model
        self.count += 1
        event = b"event %d" % self.count
        if gone:
            names, changes = [folder, INDEX], [2, "R", "U", folder]
            model.folders.pop(folder, None)
            model.indexed.discard(folder)
        else:
            names, changes = [folder, folder, INDEX], [3, "P", 1, "name", folder, "B", 1, "touched", 1, "I", folder]
            model.folders[folder] = model.folders.get(folder, 0) + 1
            model.indexed.add(folder)
        if silent:
            assert self.call("apply", names, *changes) == 1
            return
        an_hour_ago = self.client.time()[0] * 1000 - HOUR_MS
        for since in ["", an_hour_ago][: 1 + again]:
            self.call("emit", [OWN, ALL, *names], since, b"%016d" % self.count, event, *changes)
        self.told(event)

    # --- outboxes -----------------------------------------------------------------------------------

    def _forget_positions(self) -> None:
        self.client.delete(BOX)
        self.model.taken.clear()

    @rule(
        part=st.sampled_from(["part", "other"]),
        folder=FOLDERS,
        record=st.sampled_from(["", "r:1", "r:2"]),
        known=st.sampled_from(["not", "as it is", "as it was"]),
        late=st.booleans(),
        forgotten=st.booleans(),
        twice=st.sampled_from(["", "written", "forgotten", "dropped"]),
        old=st.booleans(),
    )
    def take_over(
        self, part: str, folder: str, record: str, known: str, late: bool, forgotten: bool, twice: str, old: bool
    ) -> None:
        """An event that was written down, maybe twice; or it is not known any more that it was taken over."""
        model = self.model
        if forgotten:
            self._forget_positions()
        self.count += 1
        event, id_ = b"event %d" % self.count, b"%016d" % self.count
        present, _ = model.records.get(record, (0, b""))
        revision = {"not": 0, "as it is": present, "as it was": present + 1}[known]
        names = [BOX, OWN, ALL, *([record, DUE] if record else []), folder, *([INDEX] if record else [])]
        makes = [1, b"taken", FOREVER_MS, revision, record] if record else [0]
        entry = [id_, event, 1, "P", 1, "name", folder, *([1, "U", folder] if record else [])]
        an_hour_ago = self.client.time()[0] * 1000 - HOUR_MS
        for turn in range(1 + bool(twice)):
            if turn and twice == "forgotten":
                self._forget_positions()
            if turn and twice == "dropped":  # it comes back from a backup, when its position is long gone
                self.client.hdel(BOX, part)
                del model.taken[part]
                old = True
            start = model.taken.get(part, 0)
            asked = start + int(late)
            again = int(turn and twice == "written")
            told = [part, asked, asked + 10, an_hour_ago, int(old), 1, again, *makes, *entry]
            answer = int(self.call("outbox_take", names, *told))
            if late:
                assert answer == start
                return
            assert answer == asked + 10
            model.taken[part] = answer
        model.folders.setdefault(folder, 0)
        if record:
            model.indexed.discard(folder)
            model.records[record] = (present + 1, b"taken")
            model.due.pop(record, None)
        self.told(event)

    @rule(folder=FOLDERS)
    def bump_what_is_not_there(self, folder: str) -> None:
        if folder not in self.model.folders:
            self.call("apply", [folder], 1, "B", 1, "touched", 1)  # a record is never half

    # --- what always holds ----------------------------------------------------------------------------

    @invariant()
    def is_as_the_model(self) -> None:
        model = self.model
        assert (self.client.get(LEASE) or b"").decode() == model.holder
        assert (self.client.get(TAKEN) or b"").decode() == model.last_holder
        for record in ("r:1", "r:2"):
            found = self.client.hmget(record, "r", "d")
            revision, document = model.records.get(record, (None, None))
            assert found == [None if revision is None else str(revision).encode(), document]
        assert dict(self.client.zrange(DUE, 0, -1, withscores=True)) == {
            name.encode(): at for name, at in model.due.items()
        }
        assert {entry.decode(): fields[b"m"] for entry, fields in self.client.xrange(ALL)} == model.events
        for folder in ("f:1", "f:2", "f:3"):
            touched = self.client.hget(folder, "touched")
            assert int(touched or 0) == model.folders.get(folder, 0)
            assert self.client.exists(folder) == int(folder in model.folders)
        assert {name.decode() for name in self.client.zrange(INDEX, 0, -1)} == model.indexed


@pytest.mark.timeout(180)
@pytest.mark.parametrize("kind", SERVERS)
def test_scripts_do_what_the_model_does(kind: str, tmp_path: Path) -> None:
    with client_of(kind, tmp_path) as client:
        compare(StoreMachine, client, 40)


@pytest.mark.timeout(180)
@pytest.mark.parametrize(
    ("name", "good", "bad", "choice"),
    [
        ("trim_broadcast", "elseif after(floor, position) then", "elseif false then", 1),
        ("look", "if after(trimmed, position) then", "if false then", 6),
        ("record_replace", "~= revision then return 0", "~= revision then redis.call('PING')", 0),
        ("record_replace", "changes(true)", "changes(false)", 49),
        ("record_replace", "if holder ~= '' and", "if false and", 0),
        ("record_replace", "is_held(lease, taken, holder)", "(redis.call('GET', lease) == holder)", 0),
        ("lease_take", "if longest and", "if false and", 3),
        ("lease_take", "if again == '1' and", "if false and", 0),
        ("lease_take", "not is_held(lease, taken, holder)", "not present", 3),
        ("lease_take", "< known / 2", "< 0", 5),
        ("emit", "since == '' or not", "since == '' and not", 1),
        ("emit", "ids[entry[2][2]] = true", "ids[entry[2][2]] = nil", 4),
        ("outbox_take", "(at or '0') ~= start then", "false then", 0),
        ("outbox_take", "(at or '0') ~= start then", "at and at ~= start then", 0),
        ("outbox_take", "again or forgotten", "again", 0),
        ("outbox_take", "old == '1' or", "false or", 102),
        ("outbox_take", "redis.call('EXISTS', outbox) == 0", "false", 0),
        ("outbox_take", "again or forgotten", "forgotten", 1),
        ("outbox_take", "again = again or", "again = again and", 107),
        ("outbox_take", "or '0'\n    again", "or '1'\n    again", 0),
        ("outbox_take", "redis.call('ZREM', due, name)", "", 50),
        ("outbox_take", "if tells then changes(live) end", "if tells then changes(false) end", 15),
        ("record_create", "changes(true)", "changes(false)", 1),
        ("apply_without", "then return 0", "then redis.call('PING')", 1),
        ("apply_without", "changes(true)", "changes(false)", 12),
    ],
)
def test_the_model_notices_a_script_that_does_something_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, good: str, bad: str, choice: int
) -> None:
    """By a choice of calls that shows it soon; with others it may take hundreds of examples."""
    break_script(monkeypatch, name, good, bad)
    with client_of("redis", tmp_path) as client, pytest.raises((AssertionError, ValueError, redis.ResponseError)):
        compare(StoreMachine, client, 1000, choice)
