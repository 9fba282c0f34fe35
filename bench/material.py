"""What transfers are measured with: files, archives, and what a program used."""

from __future__ import annotations

import os
import tarfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.servers import Program

MIB = 1 << 20


@dataclass
class Usage:
    """Processor time of a server over what it moved."""

    program: Program
    seconds: float = 0.0
    moved: int = 0
    peak: int = 0

    @contextmanager
    def watch(self, count: int) -> Iterator[None]:
        before = self.program.cpu_seconds()
        yield
        self.seconds += self.program.cpu_seconds() - before
        self.moved += count
        self.peak = max(self.peak, self.program.rss_bytes())

    def __str__(self) -> str:
        return f"{self.seconds / (self.moved / (1 << 30)):.2f} CPU s/GiB, {self.peak >> 20} MiB resident"


def make_source(folder: Path, size: int) -> Path:
    """A file of random bytes, in the page cache."""
    path = folder / "source"
    block = os.urandom(min(size, 16 * MIB))
    with path.open("wb") as file:
        left = size
        while left:
            left -= file.write(block[:left])
    return path


def make_archive(path: Path, member: Path, count: int) -> Path:
    """A tar of the same file many times, by other names."""
    with tarfile.open(path, "w") as archive:
        for number in range(count):
            archive.add(member, f"{number:06}")
    return path


def copy(source: Path, target: Path, *, sync: bool) -> None:
    """What the machine can do: the kernel copies, as cp does without reflinks."""
    with source.open("rb") as read, target.open("wb") as write:
        buffer = memoryview(bytearray(MIB))
        while count := read.readinto(buffer):
            write.write(buffer[:count])
        if sync:
            write.flush()
            os.fsync(write.fileno())
    target.unlink()


def rate(size: int, work: Callable[[], None]) -> float:
    """MiB a second."""
    start = time.perf_counter()
    work()
    return size / MIB / (time.perf_counter() - start)


def throughput(count: int, connections: int, work: Callable[[int], None]) -> float:
    """Things a second, shared out evenly."""
    threads = [threading.Thread(target=work, args=(count // connections,)) for _ in range(connections)]
    start = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return count / (time.perf_counter() - start)


def write_synced(path: str | Path, data: bytes) -> None:
    """What at least has to be done for a file that is to be there after a power failure."""
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
    try:
        os.write(fd, data)
        os.fsync(fd)
    finally:
        os.close(fd)
