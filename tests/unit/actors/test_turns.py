"""Whose turn it is."""

from __future__ import annotations

from collections import Counter
from random import Random
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from actors.turns import GRACE_SECONDS, Pending, Turns


async def start() -> None:
    raise AssertionError("whoever picks starts")


def item(tenant: str, number: int) -> Pending:
    return Pending(UUID(int=number), tenant, f"job:{number}", start, 60.0)


def test_no_more_is_started_than_there_are_places() -> None:
    turns = Turns(4, 1.0)
    waiting = [item("a", number) for number in range(10)]
    first = turns.pick(waiting, (), 0.0)
    assert [one.id.int for one in first] == [0, 1, 2, 3], "the oldest ones"
    assert turns.pick(waiting, (), 0.5) == []
    rest = [one for one in waiting if one is not first[0]]
    assert [one.id.int for one in turns.pick(rest, (), 0.5)] == [4]


def test_a_tenant_with_thousands_does_not_keep_others_waiting() -> None:
    turns = Turns(4, 1.0)
    many = [item("greedy", number) for number in range(5000)]
    turns.pick(many, (), 0.0)
    late = [item("modest", 9001), item("modest", 9002), item("other", 9003)]
    there = [*many[1:], *late]
    assert turns.pick(there, (), 0.1)[0].tenant == "modest", "the first place that is free is not the greedy one's"
    there = [*many[2:], *late]
    assert turns.pick(there, (), 0.2)[0].tenant == "other"


def test_those_who_wait_take_turns() -> None:
    turns = Turns(1, 1.0)
    waiting = {one.id: one for one in (item("a", 1), item("a", 2), item("b", 3), item("b", 4), item("c", 5))}
    order = []
    while waiting:
        (picked,) = turns.pick(waiting.values(), (), 0.0)
        order.append(picked.tenant)
        del waiting[picked.id]
        turns.forget_others(waiting)
    assert order == ["a", "b", "c", "a", "b"]


def test_what_nobody_does_gives_its_place_away_and_is_started_again() -> None:
    turns = Turns(1, 1.0)
    lost, other = item("a", 1), item("b", 2)
    assert turns.pick([lost, other], (), 0.0) == [lost]
    assert turns.pick([lost, other], (), 5.0) == []
    assert turns.doubtful([lost, other], GRACE_SECONDS) == [lost]
    assert turns.pick([lost, other], (), GRACE_SECONDS) == [other]
    assert turns.pick([lost], (), GRACE_SECONDS + 1) == [lost]


def test_what_somebody_does_keeps_its_place_and_is_not_started_again() -> None:
    turns = Turns(1, 1.0)
    long, other = item("a", 1), item("b", 2)
    turns.pick([long], (), 0.0)
    for hour in range(1, 10):
        assert turns.pick([long, other], {long.id}, 3600.0 * hour) == []


@given(
    st.integers(1, 5),
    st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 40)), max_size=60, unique_by=lambda pair: pair[1]),
    st.randoms(),
)
def test_everything_is_started_in_the_end(places: int, found: list[tuple[str, int]], random: Random) -> None:
    turns = Turns(places, 1.0)
    waiting = {UUID(int=number): item(tenant, number) for tenant, number in found}
    running: set[UUID] = set()
    for _ in range(1000):
        if not waiting:
            break
        picked = turns.pick(waiting.values(), (), 0.0)
        running |= {one.id for one in picked}
        assert len(running) <= places
        assert max(Counter(waiting[id_].tenant for id_ in running).values(), default=0) <= places
        done = random.choice(sorted(running))
        running.discard(done)
        del waiting[done]
    assert not waiting
