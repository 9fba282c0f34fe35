"""Folders with something in them, and tasks that go on with them."""

from __future__ import annotations

import os
import random
from contextlib import suppress
from pathlib import Path
from typing import Any

from harness.processes import PLACE, SCOPE, Role, Site, until

OTHER = f"{SCOPE}/aabb0002-0000-4000-8000-000000000002"
OTHER_PLACE = PLACE.replace("0001000040008000000000000001", "0002000040008000000000000002")
#: Small files of a folder, and length of its big one in MiB.
FILES = int(os.environ.get("FILES", "4000"))
BIG_MIB = int(os.environ.get("BIG_MIB", "256"))


def fill(root: Path, files: int = FILES) -> None:
    rng = random.Random(7)
    for number in range(files):
        path = root / f"{number % 40:02}" / f"{number:05}"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(rng.randbytes(rng.randrange(2000)))
    with (root / "big").open("wb") as file:
        for _ in range(BIG_MIB // 4):
            file.write(rng.randbytes(4 << 20))


def contents(root: Path) -> dict[str, tuple[int, int, int]]:
    found = {}
    for path in sorted(root.rglob("*")):
        known = path.lstat()
        found[str(path.relative_to(root))] = (
            known.st_mode,
            0 if path.is_dir() else known.st_size,
            known.st_mtime_ns,
        )
    return found


def task(site: Site, id_: str) -> dict[str, Any]:
    answer = site.api.manager("GET", f"/tasks/{id_}")
    return dict(answer.json) if answer.status == 200 else {"state": "unknown"}


def over(site: Site, id_: str) -> dict[str, Any]:
    until(lambda: task(site, id_)["state"] not in ("unknown", "running"), "the task is over", 120)
    return task(site, id_)


def has_begun(builds: Path) -> bool:
    """Whether anything was copied for a build; who begins an attempt renames the last one's directory meanwhile."""
    for found in builds.iterdir():
        with suppress(FileNotFoundError, NotADirectoryError):
            if os.listdir(found):
                return True
    return False


def worker_of(site: Site) -> Role:
    return site.alive("worker")


def sizes_below(folder: Path) -> dict[str, int]:
    """Lengths of all files of a directory but those that are not at their places yet."""
    found: dict[str, int] = {}
    for directory, names, files in os.walk(folder):
        names[:] = [name for name in names if not name.startswith(".upload")]
        for path in (Path(directory, name) for name in files):
            with suppress(FileNotFoundError):
                found[str(path.relative_to(folder))] = path.stat().st_size
    return found


def files_below(folder: Path) -> dict[str, bytes]:
    """All files of a directory, by their paths in it; what goes meanwhile is not there."""
    found: dict[str, bytes] = {}
    for directory, _, names in os.walk(folder):
        for path in (Path(directory, name) for name in names):
            with suppress(FileNotFoundError):
                if path.is_file():
                    found[str(path.relative_to(folder))] = path.read_bytes()
    return found
