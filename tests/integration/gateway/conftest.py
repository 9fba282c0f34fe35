"""A running gateway for each test."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from harness.tus import Collection
from harness.world import World, open_world


@pytest.fixture
async def world(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[World]:
    """A gateway as its marks want it."""
    settings = request.node.get_closest_marker("gateway")
    async with open_world(tmp_path, **(settings.kwargs if settings is not None else {})) as opened:
        if request.node.get_closest_marker("folder") is not None:
            await opened.make_folder()
        yield opened


@pytest.fixture
async def files(world: World) -> Collection:
    """The collection of uploads below the folder."""
    return await Collection.open(world)
