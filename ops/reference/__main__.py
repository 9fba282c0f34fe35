"""Write every generated file below the current directory: `python -m ops.reference [DIRECTORY]`."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Final

from ops.reference.configuration import configuration_page
from ops.reference.events import events_page
from ops.reference.metrics import metrics_page
from ops.reference.samples import CLUSTER, STANDALONE, sample_toml
from ops.reference.schema import settings_schema

PAGES: Final[Mapping[str, Callable[[], str]]] = {
    "docs/configuration.md": configuration_page,
    "docs/events.md": events_page,
    "docs/metrics.md": metrics_page,
    "configs/penstock.schema.json": settings_schema,
    "configs/standalone.toml": partial(sample_toml, STANDALONE),
    "configs/cluster.toml": partial(sample_toml, CLUSTER),
}


def write(root: Path) -> None:
    """Write all pages below `root`."""
    for name, page in PAGES.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(page())


if __name__ == "__main__":
    write(Path(*sys.argv[1:2]))
