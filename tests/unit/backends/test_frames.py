"""Entries of a file several processes append to, any of which may die while it writes."""

from hypothesis import given
from hypothesis import strategies as st

from backends.mounted.frames import framed, frames, scattered

ENTRIES = st.lists(st.binary(min_size=1, max_size=60), max_size=8)
#: What is left of an entry that was torn, or what a power failure leaves.
TORN = st.one_of(
    st.just(b""), st.integers(1, 40).map(bytes), st.binary(min_size=1, max_size=60).map(lambda e: framed([e])[:-1])
)


@given(ENTRIES)
def test_whole_entries_are_all_found(entries: list[bytes]) -> None:
    data = framed(entries)
    assert list(frames(data)) == entries
    found = list(scattered(data))
    assert [entry for entry, _ in found] == entries
    assert [end for _, end in found][-1:] == ([len(data)] if entries else [])


@given(st.lists(st.tuples(TORN, st.binary(min_size=1, max_size=60)), max_size=8), TORN)
def test_whatever_lies_between_entries_is_passed_over(between: list[tuple[bytes, bytes]], last: bytes) -> None:
    data = b"".join(torn + framed([entry]) for torn, entry in between) + last
    entries = [entry for _, entry in between]
    found = list(scattered(data))
    assert [entry for entry, _ in found] == entries
    # Reading goes on behind any of them.
    for number, (_, end) in enumerate(found):
        assert [entry for entry, _ in scattered(data[end:])] == entries[number + 1 :]
    assert list(frames(data)) == entries[: next((n for n, (torn, _) in enumerate(between) if torn), len(entries))]


def test_a_long_stretch_of_zeros_is_passed_over_at_once() -> None:
    data = bytes(4 << 20) + framed([b"\0" * 256])
    assert list(scattered(data)) == [(b"\0" * 256, len(data))]
