"""Entries of a file several processes append to, any of which may die while it writes."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from backends.mounted.marked import found, marked

#: Among them many of the bytes that have a meaning.
ENTRY = st.one_of(
    st.binary(max_size=60), st.lists(st.sampled_from(b"\x1d\x1e\x01\x02\x00"), max_size=30).map(bytes)
)
#: What a process leaves that dies while it writes, and a power failure.
TORN = st.one_of(
    st.integers(0, 40).map(bytes),
    st.tuples(ENTRY, st.integers(0, 80)).map(
        lambda torn: marked(torn[0])[: min(torn[1], len(marked(torn[0])) - 1)]
    ),
)


@given(st.lists(ENTRY, max_size=8))
def test_whole_entries_are_all_found(entries: list[bytes]) -> None:
    data = b"".join(map(marked, entries))
    read = list(found(data))
    assert [entry for entry, _ in read] == entries
    ends = [len(b"".join(map(marked, entries[: number + 1]))) for number in range(len(entries))]
    assert [end for _, end in read] == ends


@given(st.lists(st.tuples(TORN, ENTRY), max_size=8), TORN)
def test_whatever_lies_between_entries_is_passed_over(between: list[tuple[bytes, bytes]], last: bytes) -> None:
    data = b"".join(torn + marked(entry) for torn, entry in between) + last
    entries = [entry for _, entry in between]
    read = list(found(data))
    assert [entry for entry, _ in read] == entries
    # Reading goes on behind any of them.
    for number, (_, end) in enumerate(read):
        assert [entry for entry, _ in found(data[end:])] == entries[number + 1 :]


@given(st.lists(ENTRY, min_size=1, max_size=5), st.data())
def test_of_what_is_cut_off_the_first_ones_are_found(entries: list[bytes], data: st.DataObject) -> None:
    whole = b"".join(map(marked, entries))
    cut = data.draw(st.integers(0, len(whole)))
    read = [entry for entry, _ in found(whole[:cut])]
    assert read == entries[: len(read)]
    assert len(read) == sum(end <= cut for _, end in found(whole))


def test_a_long_stretch_of_zeros_costs_nothing() -> None:
    data = marked(b"before") + bytes(4 << 20) + marked(b"after")
    assert [entry for entry, _ in found(data)] == [b"before", b"after"]
