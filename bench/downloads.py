"""Downloads: whole files against nginx, ranges against aiohttp's own answer, archives against tar."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

from bench.comparison import Aim, Comparison
from bench.material import MIB, Usage, make_source, rate, throughput
from bench.servers import file_response, nginx, penstock
from bench.wire import Connection

_SMALL = 4096
_RANGE = 65536
_ARCHIVED = 32 << 10


def downloads(folder: Path, size: int, rounds: int) -> Iterator[Comparison]:
    """One large file by one connection and by eight, and many small ones."""
    source = make_source(folder, size)
    with penstock(folder) as ours, nginx(folder, ours.folder) as peer:
        shutil.copy(source, ours.folder / "big")
        (ours.folder / "small").write_bytes(os.urandom(_SMALL))
        for path in ours.folder.iterdir():
            path.chmod(0o644)
        with Connection(ours.manager_port) as manager:
            tokens = {
                name: ours.ask(manager, "/folder/file/download", relpath=name)["token"] for name in ("big", "small")
            }

        def get_ours(name: str) -> Callable[[int], None]:
            return lambda number: _get(ours.client_port, f"/download?token={tokens[name]}", number)

        def get_peer(name: str) -> Callable[[int], None]:
            return lambda number: _get(peer.port, f"/{name}", number)

        us, them = Usage(ours.gateway), Usage(peer.program)

        def watched(usage: Usage, get: Callable[[int], None]) -> float:
            with usage.watch(size):
                return rate(size, lambda: get(1))

        comparisons = (
            Comparison(
                f"download of {size / MIB:,.0f} MiB by one connection",
                "MiB/s",
                {
                    "Penstock": lambda: watched(us, get_ours("big")),
                    "nginx": lambda: watched(them, get_peer("big")),
                },
                [Aim("nginx", 0.95)],
                notes=lambda: f"Penstock {us}; nginx {them}",
            ),
            Comparison(
                f"download of {size / MIB:,.0f} MiB by each of eight connections",
                "MiB/s",
                {
                    "Penstock": lambda: throughput(8, 8, get_ours("big")) * size / MIB,
                    "nginx": lambda: throughput(8, 8, get_peer("big")) * size / MIB,
                },
            ),
            Comparison(
                "download of 1,000 files of 4 KiB by one connection",
                "files/s",
                {
                    "Penstock": lambda: throughput(1000, 1, get_ours("small")),
                    "nginx": lambda: throughput(1000, 1, get_peer("small")),
                },
            ),
        )
        for comparison in comparisons:
            comparison.run(rounds)
            yield comparison


def ranges(folder: Path, size: int, count: int, rounds: int) -> Iterator[Comparison]:
    """64 KiB from anywhere in a large file, by one connection and by eight."""
    source = make_source(folder, size)
    with penstock(folder) as ours, file_response(folder, ours.folder) as peer:
        shutil.copy(source, ours.folder / "big")
        with Connection(ours.manager_port) as manager:
            token = ours.ask(manager, "/folder/file/download", relpath="big")["token"]
        places = random.Random(7)
        starts = [places.randrange(size - _RANGE) for _ in range(count)]

        def get(port: int, target: str) -> Callable[[int], None]:
            def some(number: int) -> None:
                with Connection(port) as connection:
                    for start in starts[:number]:
                        connection.fetch(target, {"Range": f"bytes={start}-{start + _RANGE - 1}"})

            return some

        for connections in (1, 8):
            comparison = Comparison(
                f"ranges of 64 KiB by {connections} connection(s)",
                "ranges/s",
                {
                    "Penstock": lambda number=connections: throughput(
                        count, number, get(ours.client_port, f"/download?token={token}")
                    ),
                    "aiohttp's FileResponse": lambda number=connections: throughput(
                        count, number, get(peer.port, "/big")
                    ),
                },
                [Aim("aiohttp's FileResponse", 3.0)],
            )
            comparison.run(rounds)
            yield comparison


def archives(folder: Path, files: int, rounds: int) -> Iterator[Comparison]:
    """A directory of many files as one archive, against reading them and against tar."""
    with penstock(folder) as ours:
        place = ours.folder / "many"
        data = os.urandom(_ARCHIVED)
        for number in range(files):
            path = place / f"{number // 1000}" / f"{number}"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        with Connection(ours.manager_port) as manager:
            token = ours.ask(manager, "/folder/file/download", relpath="many")["token"]
        total = files * _ARCHIVED

        def get(form: str) -> None:
            _get(ours.client_port, f"/download?token={token}&archive=1&format={form}", 1)

        def read_all() -> None:
            for path in place.rglob("*"):
                if path.is_file():
                    path.read_bytes()

        def tar() -> None:
            subprocess.run(f"tar -cf - -C {place} . | cat > /dev/null", shell=True, check=True)

        for form in ("zip", "tar"):
            comparison = Comparison(
                f"{form} of {files:,} files of 32 KiB",
                "MiB/s",
                {
                    "Penstock": lambda form=form: rate(total, lambda: get(form)),
                    "tar through a pipe": lambda: rate(total, tar),
                    "reading the files": lambda: rate(total, read_all),
                },
            )
            comparison.run(rounds)
            yield comparison


def _get(port: int, target: str, number: int) -> None:
    with Connection(port) as connection:
        for _ in range(number):
            connection.fetch(target)
