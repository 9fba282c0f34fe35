"""Requests about names: against a bare aiohttp handler that makes the same system calls."""

from __future__ import annotations

import itertools
import json
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from bench.comparison import Aim, Comparison
from bench.servers import FOLDER, SECRET, Peer, Penstock, bare_files, penstock
from bench.wire import Connection

_MANY = 10_000
_FEW = 100
_CLIENTS = 32
_HEADERS = {"X-BackendAI-Storage-Auth-Token": SECRET, "Content-Type": "application/json"}
_SCOPE, _, _ = FOLDER.partition("/")

#: Does one request on a connection.
Request = Callable[[Connection, int], None]
#: Which directory a request is about.
Directory = Callable[[int], str]
#: Who asks for the same directory at the same time may get the same answer, so there is a choice of them as well.
_LISTS: dict[str, Directory] = {
    "list of 100": lambda _: "few",
    f"list of 100, one of {_CLIENTS}": lambda number: f"few-{number % _CLIENTS}",
    "list of 10,000": lambda _: "many",
}


def metadata(folder: Path, count: int, rounds: int) -> Iterator[Comparison]:
    """mkdir, rename, listings, folders made."""
    root = folder / "bare"
    root.mkdir()
    with penstock(folder) as ours, bare_files(folder, root) as peer:
        for place in (ours.folder, root):
            _fill(place / "many", _MANY)
            _fill(place / "few", _FEW)
            for number in range(_CLIENTS):
                _fill(place / f"few-{number}", _FEW)
        numbers = itertools.count()
        for name, us, them in _operations():
            few = name.endswith("10,000")
            for clients, quantile in ((1, 50), (_CLIENTS, 50), (_CLIENTS, 99)):
                turns = max(3, (40 if few else count) // clients)
                load = _Load(clients, turns, quantile, numbers)
                comparison = _latency(name, load, (ours, us), (peer, them))
                comparison.run(rounds)
                yield comparison
        yield from _rates(ours, peer, count, rounds)
        durable = _Load(1, max(50, count // 10), 50, numbers)
        comparison = Comparison(
            f"a folder made, durably: {durable}",
            "ms",
            {"Penstock": lambda: durable.milliseconds(ours.manager_port, _create)},
        )
        comparison.run(rounds)
        yield comparison


def _fill(path: Path, count: int) -> None:
    path.mkdir()
    for number in range(count):
        (path / f"file-{number:05}.bin").touch()


def _operations() -> Iterator[tuple[str, Request, Request]]:
    yield (
        "mkdir",
        _ours("/folder/file/mkdir", lambda n: {"relpath": f"m{n}"}),
        _bare("/mkdir", lambda n: {"name": f"m{n}"}),
    )
    yield (
        "rename",
        _renaming(
            _ours("/folder/file/mkdir", lambda n: {"relpath": f"r{n}"}),
            _ours("/folder/file/rename", lambda n: {"relpath": f"r{n}", "new_name": f"s{n}"}),
        ),
        _renaming(
            _bare("/mkdir", lambda n: {"name": f"r{n}"}),
            _bare("/rename", lambda n: {"name": f"r{n}", "new_name": f"s{n}"}),
        ),
    )
    for words, directory in _LISTS.items():
        yield words, _listing(directory), _bare_listing(directory)


def _ours(route: str, body: Callable[[int], dict[str, object]]) -> Request:
    def request(connection: Connection, number: int) -> None:
        text = json.dumps({"volume": "disk", "vfid": FOLDER, **body(number)}).encode()
        _checked(connection.ask("POST", route, _HEADERS, text))

    return request


def _bare(route: str, body: Callable[[int], dict[str, object]]) -> Request:
    def request(connection: Connection, number: int) -> None:
        text = json.dumps(body(number)).encode()
        _checked(connection.ask("POST", route, {"Content-Type": "application/json"}, text))

    return request


def _renaming(make: Request, rename: Request) -> Request:
    """What is renamed has to be there; making it is not measured apart, both pay for it."""

    def request(connection: Connection, number: int) -> None:
        make(connection, number)
        rename(connection, number)

    return request


def _listing(directory: Directory) -> Request:
    return _ours("/folder/file/list", lambda n: {"relpath": directory(n)})


def _bare_listing(directory: Directory) -> Request:
    return _bare("/list", lambda n: {"name": directory(n)})


def _create(connection: Connection, number: int) -> None:
    body = {"volume": "disk", "vfid": f"{_SCOPE}/{number:032x}"}
    _checked(connection.ask("POST", "/folder/create", _HEADERS, json.dumps(body).encode()))


def _checked(answer: tuple[int, str, bytes]) -> None:
    if answer[0] >= 300:
        raise RuntimeError(f"{answer[0]} {answer[2][:200]!r}")


@dataclass(frozen=True)
class _Load:
    """How many ask at once, how often, and which of the durations is told."""

    clients: int
    turns: int
    quantile: int
    numbers: Iterator[int]

    def __str__(self) -> str:
        return f"p{self.quantile}, {self.clients} client{'s' if self.clients > 1 else ''}"

    def milliseconds(self, port: int, request: Request) -> float:
        found = sorted(_all(port, self.clients, self.turns, self.numbers, request))
        return found[min(len(found) * self.quantile // 100, len(found) - 1)] * 1000


def _latency(name: str, load: _Load, ours: tuple[Penstock, Request], peer: tuple[Peer, Request]) -> Comparison:
    return Comparison(
        f"{name}: {load}",
        "ms",
        {
            "Penstock": lambda: load.milliseconds(ours[0].manager_port, ours[1]),
            "bare aiohttp handler": lambda: load.milliseconds(peer[0].port, peer[1]),
        },
        [Aim("bare aiohttp handler", 2.0)],
        less_is_better=True,
    )


def _rates(ours: Penstock, peer: Peer, count: int, rounds: int) -> Iterator[Comparison]:
    def rate(port: int, directory: Directory, listing: Callable[[Directory], Request], turns: int) -> float:
        started = time.perf_counter()
        done = len(_all(port, 8, turns, itertools.count(), listing(directory)))
        return done / (time.perf_counter() - started)

    for words, directory in _LISTS.items():
        turns = 4 if words.endswith("10,000") else count // 8
        comparison = Comparison(
            f"{words}: requests a second, 8 clients",
            "1/s",
            {
                "Penstock": partial(rate, ours.manager_port, directory, _listing, turns),
                "bare aiohttp handler": partial(rate, peer.port, directory, _bare_listing, turns),
            },
        )
        comparison.run(rounds)
        yield comparison


def _all(port: int, clients: int, turns: int, numbers: Iterator[int], request: Request) -> list[float]:
    """Durations of all requests of some clients that ask side by side."""
    found: list[float] = []
    failures: list[BaseException] = []

    def run() -> None:
        try:
            with Connection(port) as connection:
                for _ in range(turns):
                    number = next(numbers)
                    started = time.perf_counter()
                    request(connection, number)
                    found.append(time.perf_counter() - started)
        except BaseException as error:
            failures.append(error)
            raise

    threads = [threading.Thread(target=run) for _ in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]
    return found
