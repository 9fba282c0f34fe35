"""What all tests share: tiers by folder, no blocking calls on the event loop, real servers."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest
from blockbuster import BlockBuster, BlockBusterFunction
from hypothesis import settings

pytest.register_assert_rewrite("bus.conformance", "backends.conformance")

# How long an example takes tells of the machine and of who else is on it.
settings.register_profile("patient", deadline=None)
settings.load_profile("patient")

_TIERS = ("unit", "integration", "e2e", "fault", "wire")


def pytest_configure(config: pytest.Config) -> None:
    for tier in _TIERS:
        config.addinivalue_line("markers", f"{tier}: every test in the folder tests/{tier}")
    config.addinivalue_line("markers", "gateway(**settings): what the gateway of `world` is set to")
    config.addinivalue_line("markers", "folder: the gateway of `world` has its folder")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        tier = item.path.relative_to(Path(__file__).parent).parts[0]
        if tier in _TIERS:
            item.add_marker(tier)


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


#: Packages whose coroutines must not block; what a test itself does on the loop is its own affair.
_ROOMS = ("domain", "bus", "backends", "actors", "gateway", "ops")
#: System calls of storage code that the guard does not know by itself. `os.close` and `os.dup` never wait here.
_STORAGE_CALLS = ("open", "pread", "pwritev", "fsync", "fstat", "ftruncate", "setxattr", "getxattr", "fchmod")
#: Who may ask about an open file on the loop: whoever has made sure that the file system is of this host.
_AT_ONCE = [("backends/mounted/reading.py", {"read_at_once"}), ("backends/mounted/outbox_parts.py", {"mark"})]


@pytest.fixture(autouse=True)
def no_blocking_calls() -> Iterator[None]:
    """Fail any test in which a coroutine of ours makes a blocking call."""
    rooms = [import_module(room) for room in _ROOMS]
    guard = BlockBuster(rooms)
    for name in _STORAGE_CALLS:
        allowed = _AT_ONCE if name == "fstat" else []
        guard.functions[f"os.{name}"] = BlockBusterFunction(
            None, f"os.{name}", scanned_modules=rooms, can_block_functions=allowed
        )
    guard.activate()
    yield
    guard.deactivate()
