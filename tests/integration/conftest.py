"""Servers of the integration tier."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from harness.redis_server import SERVERS, RedisServer

from bus.settings import BusSettings


@pytest.fixture(scope="session", params=list(SERVERS))
def redis_server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[object]:
    """Each server the bus must work on; emptied before each test by `clean_redis`."""
    server = RedisServer(SERVERS[request.param](), tmp_path_factory.mktemp(request.param))
    server.start()
    yield server
    server.stop()


@pytest.fixture
def clean_redis(redis_server: object) -> object:
    redis_server.flush()
    return redis_server


@pytest.fixture
def bus_settings(clean_redis: object) -> BusSettings:
    return BusSettings(url=clean_redis.url, lease_seconds=0.4, upload_lease_seconds=0.4)
