"""Changes of the catalogue in Redis are those of the model that is held in memory."""

from __future__ import annotations

import pytest
from anyio import from_thread, to_thread
from harness.redis_server import RedisServer
from hypothesis import given, settings
from hypothesis import strategies as st

from bus.contract import Bus
from bus.settings import BusSettings
from bus.streams import open_streams_bus
from domain.catalogue import Bump, Change, Default, Index, Put, Recount, Remove, Unindex, UsageMarks
from domain.view import View

pytestmark = pytest.mark.anyio

RECORDS = st.sampled_from(["vfolder:1", "vfolder:2"])
NAMES = st.sampled_from(["file_bytes", "files", "added_bytes", "added_files", "changes", "stale"])
NUMBERS = st.integers(-3, 3) | st.sampled_from([10**15 + 1, -(10**15) - 1])
FIELDS = st.dictionaries(NAMES, NUMBERS, min_size=1)
MADE = st.sampled_from(["", "x"])
MARKS = st.builds(UsageMarks, *[NUMBERS] * 2, st.integers(-1, 1), MADE)
CHANGES = st.one_of(
    st.builds(Put, RECORDS, FIELDS),
    st.builds(Default, RECORDS, FIELDS),
    st.builds(Default, RECORDS, st.fixed_dictionaries({"made": MADE})),
    st.builds(Bump, RECORDS, FIELDS),
    st.builds(Recount, RECORDS, st.fixed_dictionaries({"file_bytes": NUMBERS, "files": NUMBERS}), MARKS, NUMBERS),
    st.builds(Remove, RECORDS),
    st.builds(Index, st.just("index:1"), RECORDS),
    st.builds(Unindex, st.just("index:1"), RECORDS),
)


async def test_changes_do_in_redis_what_the_model_does(server: RedisServer) -> None:
    async with open_streams_bus(BusSettings(url=server.url), "a") as bus:

        @settings(max_examples=200, deadline=None)
        @given(st.lists(CHANGES, max_size=12))
        def check(changes: list[Change]) -> None:
            from_thread.run(compare, bus, changes)

        await to_thread.run_sync(check)


async def compare(bus: Bus, changes: list[Change]) -> None:
    await bus.catalogue.apply([Remove("vfolder:1"), Remove("vfolder:2"), Remove("index:1")])
    view = View()
    for change in changes:
        view.apply(change)
    await bus.catalogue.apply(changes)
    names = ["vfolder:1", "vfolder:2"]
    assert await bus.catalogue.fields(names) == [view.records.get(name) for name in names]
    assert set(await bus.catalogue.page("index:1", limit=9)) == view.indexes["index:1"]
