"""How much memory a role takes while something runs."""

from __future__ import annotations

import threading

from harness.processes import Site


class Peak:
    """Highest memory of the role started last, in bytes."""

    def __init__(self, site: Site) -> None:
        self._role = site.running[-1]
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self.idle = self.bytes = self._role.rss_bytes()

    def __enter__(self) -> Peak:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._stop.wait(0.02):
            self.bytes = max(self.bytes, self._role.rss_bytes())
