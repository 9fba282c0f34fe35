from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from harness.redis_server import SERVERS, RedisServer


@pytest.fixture(params=list(SERVERS))
def server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[RedisServer]:
    """A server of its own, to be killed."""
    own = RedisServer(SERVERS[request.param](), tmp_path)
    own.start()
    yield own
    own.stop()
