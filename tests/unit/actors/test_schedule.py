"""Order per key, parallel across keys, exclusive alone."""

from hypothesis import given
from hypothesis import strategies as st

from actors.schedule import Item, Schedule


def values(items) -> list[int]:
    return [item.value for item in items]


def test_one_key_runs_in_order_others_beside_it() -> None:
    schedule: Schedule[int] = Schedule(parallel=8)
    first = Item("a", False, 1)
    for item in (first, Item("a", False, 2), Item("b", False, 3)):
        schedule.add(item)
    assert values(schedule.start()) == [1, 3]
    assert values(schedule.start()) == []
    schedule.end(first)
    assert values(schedule.start()) == []
    schedule.settle(first)
    assert values(schedule.start()) == [2]


def test_an_exclusive_item_waits_for_all_before_and_holds_up_all_behind() -> None:
    schedule: Schedule[int] = Schedule(parallel=8)
    before, exclusive = Item("a", False, 1), Item("s", True, 2)
    for item in (before, exclusive, Item("b", False, 3)):
        schedule.add(item)
    assert values(schedule.start()) == [1]
    schedule.end(before)
    assert values(schedule.start()) == []
    schedule.settle(before)
    assert values(schedule.start()) == [2]
    schedule.end(exclusive)
    assert values(schedule.start()) == []
    schedule.settle(exclusive)
    assert values(schedule.start()) == [3]


def test_what_only_others_can_do_holds_up_its_key_and_nothing_else() -> None:
    schedule: Schedule[int] = Schedule(parallel=8)
    for item in (Item("a", False, 1), Item("a", False, None), Item("a", False, 3), Item("b", False, 4)):
        schedule.add(item)
    started = schedule.start()
    assert values(started) == [1, 4]
    for item in started:
        schedule.end(item)
        schedule.settle(item)
    assert values(schedule.start()) == []


def test_no_more_run_than_allowed() -> None:
    schedule: Schedule[int] = Schedule(parallel=2)
    for number in range(5):
        schedule.add(Item(str(number), False, number))
    first, _ = schedule.start()
    assert first.value == 0
    schedule.end(first)
    assert values(schedule.start()) == [2]


@given(
    st.lists(st.tuples(st.sampled_from("abcd"), st.booleans()), max_size=40),
    st.integers(1, 5),
    st.randoms(use_true_random=False),
)
def test_any_schedule_keeps_its_rules_and_ends(work, parallel, random) -> None:
    schedule: Schedule[int] = Schedule(parallel)
    items = [Item(key, exclusive, number) for number, (key, exclusive) in enumerate(work)]
    for item in items:
        schedule.add(item)
    running: list[Item[int]] = []
    ended: list[Item[int]] = []
    started: list[Item[int]] = []
    settled: set[int] = set()
    while len(settled) < len(items):
        fresh = list(schedule.start())
        for item in fresh:
            earlier = [other for other in items if other.value < item.value]
            must_be_done = earlier if item.exclusive else [o for o in earlier if o.exclusive or o.key == item.key]
            assert all(other.value in settled for other in must_be_done)
        running += fresh
        started += fresh
        under_way = running + ended
        assert under_way
        assert len(running) <= parallel
        assert len({item.key for item in under_way}) == len(under_way)
        assert len(under_way) == 1 or not any(item.exclusive for item in under_way)
        done = under_way[random.randrange(len(under_way))]
        if done in running:
            running.remove(done)
            ended.append(done)
            schedule.end(done)
        else:
            ended.remove(done)
            settled.add(done.value)
            schedule.settle(done)
    assert len(started) == len(items)
