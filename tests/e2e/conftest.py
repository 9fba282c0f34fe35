"""Real processes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from harness.processes import Site, open_site


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """A gateway and an actor that serve the volume `disk`, with one folder."""
    with open_site(tmp_path) as found:
        found.start("actor")
        found.start("gateway")
        found.api.make_folder()
        yield found
