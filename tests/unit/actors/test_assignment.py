"""Every volume has one owner, loads are even, few volumes move."""

from hypothesis import given
from hypothesis import strategies as st

from actors.assignment import assign
from bus.contract import Member
from domain.ids import VolumeName

VOLUMES = [VolumeName(f"v{number}") for number in range(60)]


def members(*nodes: str) -> list[Member]:
    return [Member(node, frozenset(VOLUMES)) for node in nodes]


def test_loads_are_even() -> None:
    owners = assign(VOLUMES, members("a", "b", "c"))
    assert {list(owners.values()).count(node) for node in "abc"} == {20}


def test_the_order_members_are_seen_in_does_not_matter() -> None:
    assert assign(VOLUMES, members("a", "b", "c")) == assign(reversed(VOLUMES), members("c", "a", "b"))


def test_when_a_member_leaves_most_volumes_stay() -> None:
    before = assign(VOLUMES, members("a", "b", "c"))
    after = assign(VOLUMES, members("a", "b"))
    moved = [volume for volume in VOLUMES if before[volume] != "c" and before[volume] != after[volume]]
    assert len(moved) <= len(VOLUMES) // 4


def test_a_volume_goes_only_to_members_that_can_own_it() -> None:
    here = Member("a", frozenset({VOLUMES[0]}))
    owners = assign(VOLUMES[:2], [here])
    assert owners == {VOLUMES[0]: "a"}


def test_without_members_nothing_is_owned() -> None:
    assert assign(VOLUMES, []) == {}


@given(st.sets(st.sampled_from(VOLUMES)), st.integers(1, 7))
def test_each_volume_has_one_owner_and_no_member_more_than_its_share(volumes, count) -> None:
    nodes = [f"n{number}" for number in range(count)]
    owners = assign(volumes, members(*nodes))
    assert set(owners) == volumes
    assert all(list(owners.values()).count(node) <= -(-len(volumes) // count) for node in nodes)
