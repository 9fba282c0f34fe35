"""Patterns that were made to take long."""

from __future__ import annotations

import pytest

from domain.errors import TooLargeError
from gateway.protocol.patterns import Patterns, compared


def test_any_directories_any_number_of_times_are_any_directories_once() -> None:
    patterns = Patterns(["**/" * 1000 + "x", "a/" + "**/" * 600 + "b/**/**"])
    assert compared(patterns.start) == 3
    below = patterns.below(patterns.start, "a")
    assert compared(below) == 4
    assert patterns.take(below, "x") == {0}
    assert patterns.take(patterns.below(below, "b"), "anything") == {1}


def test_patterns_have_so_many_names_altogether() -> None:
    half = "a*/" * 499 + "*"
    patterns = Patterns([half, half])
    assert compared(patterns.start) == 2
    with pytest.raises(TooLargeError):
        Patterns([half, half, "*"])


def test_no_state_has_more_places_than_there_are_names() -> None:
    patterns = Patterns(["**/a*/" * 400 + "**"])
    state = patterns.start
    for _ in range(500):
        state = patterns.below(state, "a")
    assert compared(state) == 801


@pytest.mark.parametrize("text", ["*/..", "**/../*/.."])
def test_a_pattern_that_comes_back_to_the_folder_finds_nothing(text: str) -> None:
    patterns = Patterns([text, "x"])
    assert patterns.take(patterns.start, "x") == {1}
    assert not patterns.below(patterns.start, "x")
