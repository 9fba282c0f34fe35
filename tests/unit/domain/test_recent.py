"""Dictionaries that forget."""

from __future__ import annotations

import threading
from collections import OrderedDict
from concurrent.futures import ThreadPoolExecutor

from hypothesis import given
from hypothesis import strategies as st

from domain.recent import Recent

KEYS = st.integers(0, 6)


@given(most=st.integers(1, 4), steps=st.lists(st.tuples(st.sampled_from(["set", "move", "default", "drop"]), KEYS)))
def test_what_was_set_or_moved_last_is_kept(most: int, steps: list[tuple[str, int]]) -> None:
    recent, model = Recent[int, int](most), list[tuple[int, int]]()
    for value, (step, key) in enumerate(steps):
        found = [entry for entry in model if entry[0] == key]
        others = [entry for entry in model if entry[0] != key]
        match step:
            case "set":
                recent[key] = value
                model = [*others, (key, value)]
            case "move":
                if found:
                    recent.move_to_end(key)
                model = [*others, *found]
            case "default":
                assert recent.setdefault(key, value) == (found[0][1] if found else value)
                model = model if found else [*others, (key, value)]
            case "drop":
                assert recent.pop(key, None) == (found[0][1] if found else None)
                model = others
        model = model[-most:]
        assert list(recent.items()) == model


def test_several_threads_may_use_one() -> None:
    recent = Recent[int, int](3)

    def use(seed: int) -> None:
        for step in range(20_000):
            recent[(seed * step) % 7] = step
            recent.get(step % 7)

    with ThreadPoolExecutor(4) as threads:
        for done in [threads.submit(use, seed) for seed in (1, 2, 3, 5)]:
            done.result()
    assert isinstance(recent, OrderedDict)
    assert len(recent) <= 3


def test_what_is_set_again_is_never_missing() -> None:
    recent, over = Recent[int, int](3), threading.Event()
    recent[1] = 0

    def set_again() -> None:
        for step in range(300_000):
            recent[1] = step
        over.set()

    with ThreadPoolExecutor(1) as threads:
        setting = threads.submit(set_again)
        missed = 0
        while not over.is_set():
            missed += 1 not in recent
        setting.result()
    assert not missed
