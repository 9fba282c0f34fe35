"""A wall clock that can be set while a process runs, by libfaketime."""

from __future__ import annotations

from pathlib import Path

#: Where Debian's package puts it, by machine.
_PLACES = ("/usr/lib", "/usr/local/lib")
_LIBRARY = "faketime/libfaketimeMT.so.1"


class FakeClock:
    """The wall clock of processes that are started with its environment; their monotonic clock goes on.

    A program with an allocator of its own (Debian's redis-server, with jemalloc) cannot be started with it.

    Args:
        path: a file that says how far it is from the true time.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self.offset = 0.0
        self.step(0)

    def step(self, seconds: float) -> None:
        """Set it forward, or back."""
        self.offset += seconds
        late = self._path.with_suffix(".new")
        late.write_text(f"{self.offset:+.3f}\n")
        late.replace(self._path)

    @property
    def environment(self) -> dict[str, str]:
        """What a process needs."""
        return {
            "LD_PRELOAD": _library(),
            "FAKETIME_TIMESTAMP_FILE": str(self._path),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }


def _library() -> str:
    for place in _PLACES:
        for found in Path(place).glob(f"**/{_LIBRARY}"):
            return str(found)
    raise RuntimeError("libfaketime is not installed: run `make test`, or `apt-get install libfaketime`")
