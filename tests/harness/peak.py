"""How much memory a role takes while something runs."""

from __future__ import annotations

import threading
from contextlib import suppress
from pathlib import Path

from harness.processes import Site


class Peak:
    """Highest memory of the role started last, in bytes: as the kernel notes it; of children that end, as seen."""

    def __init__(self, site: Site) -> None:
        self._role = site.running[-1]
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self.idle = self.bytes = self._role.rss_bytes()

    def __enter__(self) -> Peak:
        for process in self._role.family():
            Path(f"/proc/{process.pid}/clear_refs").write_text("5")
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        self.bytes = max(self.bytes, sum(_highest(process.pid) for process in self._role.family()))

    def _watch(self) -> None:
        while not self._stop.wait(0.02):
            self.bytes = max(self.bytes, self._role.rss_bytes())


def _highest(pid: int) -> int:
    """What a process had at most since that was last forgotten; 0 if it is gone."""
    with suppress(FileNotFoundError, ProcessLookupError):
        status = Path(f"/proc/{pid}/status").read_text().splitlines()
        return next((int(line.split()[1]) << 10 for line in status if line.startswith("VmHWM:")), 0)
    return 0
