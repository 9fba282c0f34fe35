"""Uploads against @tus/server and a copy: large ones, and many small ones."""

from __future__ import annotations

import base64
import itertools
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from bench.comparison import Aim, Comparison
from bench.material import MIB, Usage, copy, make_archive, make_source, rate, throughput, write_synced
from bench.servers import Peer, Penstock, least_server, penstock, tus_server
from bench.wire import Connection, header

_TUS = {"Tus-Resumable": "1.0.0"}
_BODY = {**_TUS, "Content-Type": "application/offset+octet-stream"}
_SMALL = 4096
_MIDDLE = (100 << 10, MIB)
#: What is wanted of the ratio to the peer with small files.
_AIM = 3.0
#: What the least server in Python does, and how that mode is called.
_LEAST = {"least in Python, synced": "stores", "least in Python, not stored": "answers"}


@dataclass
class Uploader:
    """One upload to us or to a peer, by the same client code."""

    penstock: Penstock
    peer: Peer
    source: Path
    numbers: Iterator[int] = field(default_factory=itertools.count)

    def to_penstock(self, connection: Connection, manager: Connection, size: int, piece: int) -> None:
        relpath = f"f{next(self.numbers)}"
        token = self.penstock.ask(manager, "/folder/file/upload", relpath=relpath, size=size)["token"]
        self._send(connection, f"/upload?token={token}", size, piece)

    def to_peer(self, connection: Connection, size: int, piece: int) -> None:
        status, head, _ = connection.ask("POST", "/files", {**_TUS, "Upload-Length": str(size)})
        if status != 201:
            raise RuntimeError(head)
        location = header(head, "Location")
        self._send(connection, location[location.index("/files") :], size, piece)

    def _send(self, connection: Connection, target: str, size: int, piece: int) -> None:
        with self.source.open("rb") as file:
            for offset in range(0, size, piece):
                headers = {**_BODY, "Upload-Offset": str(offset)}
                status = connection.send_file(target, headers, file, offset, min(piece, size - offset))
                if status != 204:
                    raise RuntimeError(f"PATCH at {offset}: {status}")

    def clear(self) -> None:
        """Remove what was uploaded, so that the disk does not fill."""
        for place in (self.penstock.folder, self.peer.folder):
            for entry in place.iterdir():
                shutil.rmtree(entry) if entry.is_dir() else entry.unlink()


def large_uploads(folder: Path, size: int, rounds: int) -> Iterator[Comparison]:
    """One large file, in one PATCH, in PATCHes of 8 MiB, and eight side by side."""
    source = make_source(folder, size)
    with penstock(folder) as ours, penstock(folder, digests=True) as hashing, tus_server(folder) as peer:
        plain, hashed = Uploader(ours, peer, source), Uploader(hashing, peer, source)
        for piece, words in ((size, "one PATCH"), (8 * MIB, "PATCHes of 8 MiB")):
            comparison = _large_upload(plain, hashed, size, piece, words)
            comparison.run(rounds)
            yield comparison
        comparison = _parallel_upload(plain, hashed, size // 8)
        comparison.run(rounds)
        yield comparison


def _large_upload(plain: Uploader, hashed: Uploader, size: int, piece: int, words: str) -> Comparison:
    us, with_digest = Usage(plain.penstock.gateway), Usage(hashed.penstock.gateway)
    them = Usage(plain.peer.program)
    source, target = plain.source, plain.source.with_name("copy")
    return Comparison(
        f"upload of {size / MIB:,.0f} MiB in {words}",
        "MiB/s",
        {
            "Penstock": lambda: _cleared(plain, rate(size, lambda: _up(plain, us, size, piece))),
            "Penstock, with SHA-256": lambda: _cleared(
                hashed, rate(size, lambda: _up(hashed, with_digest, size, piece))
            ),
            "@tus/server": lambda: _cleared(plain, rate(size, lambda: _up_peer(plain, them, size, piece))),
            "cp": lambda: rate(size, lambda: copy(source, target, sync=False)),
            "cp, and sync of the file": lambda: rate(size, lambda: copy(source, target, sync=True)),
        },
        [Aim("@tus/server", 1.5), Aim("cp", 0.5)],
        memory_bytes=size + size // 4,
        notes=lambda: f"Penstock {us}; with SHA-256 {with_digest}; @tus/server {them}",
    )


def _parallel_upload(plain: Uploader, hashed: Uploader, size: int) -> Comparison:
    def ours(uploader: Uploader) -> float:
        us = Usage(uploader.penstock.gateway)
        return _cleared(uploader, throughput(8, 8, lambda _: _up(uploader, us, size, size)) * size / MIB)

    def theirs() -> float:
        them = Usage(plain.peer.program)
        return _cleared(plain, throughput(8, 8, lambda _: _up_peer(plain, them, size, size)) * size / MIB)

    return Comparison(
        f"upload of 8 files of {size / MIB:,.0f} MiB side by side",
        "MiB/s",
        {
            "Penstock": lambda: ours(plain),
            "Penstock, with SHA-256": lambda: ours(hashed),
            "@tus/server": theirs,
        },
        [Aim("@tus/server", 1.5)],
        memory_bytes=size * 10,
    )


def _cleared(uploader: Uploader, figure: float) -> float:
    """Remove what was uploaded, as the copy is: else who comes next pays for fresh memory of the page cache."""
    uploader.clear()
    return figure


def _up(uploader: Uploader, usage: Usage, size: int, piece: int) -> None:
    with (
        usage.watch(size),
        Connection(uploader.penstock.client_port) as connection,
        Connection(uploader.penstock.manager_port) as manager,
    ):
        uploader.to_penstock(connection, manager, size, piece)


def _up_peer(uploader: Uploader, usage: Usage, size: int, piece: int) -> None:
    with usage.watch(size), Connection(uploader.peer.port) as connection:
        uploader.to_peer(connection, size, piece)


def middle_uploads(folder: Path, count: int, rounds: int) -> Iterator[Comparison]:
    """Files as data sets have them, by one connection and by eight."""
    with penstock(folder) as ours, tus_server(folder) as peer:
        for size in _MIDDLE:
            uploader = Uploader(ours, peer, make_source(folder, size))
            for connections in (1, 8):
                comparison = _begun_upload(uploader, count, connections, size, aim=None)
                comparison.run(rounds)
                yield comparison


def small_uploads(folder: Path, count: int, rounds: int) -> Iterator[Comparison]:
    """Many files of 4 KiB, by one connection and by eight."""
    source = make_source(folder, _SMALL)
    with ExitStack() as stack:
        ours, peer = stack.enter_context(penstock(folder)), stack.enter_context(tus_server(folder))
        least = {words: stack.enter_context(least_server(folder, mode)) for words, mode in _LEAST.items()}
        uploader = Uploader(ours, peer, source)
        for connections in (1, 8):
            for comparison in (
                _begun_upload(uploader, count, connections),
                _whole_upload(uploader, least, count, connections),
                _archive_upload(uploader, count, connections),
            ):
                # What was uploaded stays until the end: ext4 without a journal looks at each inode that was freed
                # in the last minutes, for every file that is made.
                comparison.run(rounds)
                yield comparison


def _begun_upload(
    uploader: Uploader, count: int, connections: int, size: int = _SMALL, *, aim: float | None = _AIM
) -> Comparison:
    """Files that have a token each, and come in one PATCH."""

    def many_ours(number: int) -> None:
        ours = uploader.penstock
        with Connection(ours.client_port) as connection, Connection(ours.manager_port) as manager:
            for _ in range(number):
                uploader.to_penstock(connection, manager, size, size)

    name = f"upload of {count} files of {size >> 10} KiB by {connections} connection(s)"
    to_peer = partial(_one_by_one, uploader, size=size)
    return _against_peer(name, count, connections, many_ours, "@tus/server", to_peer, aim=aim)


def _whole_upload(uploader: Uploader, least: Mapping[str, Peer], count: int, connections: int) -> Comparison:
    """The same files, each in the one request that creates it."""
    ours, data = uploader.penstock, uploader.source.read_bytes()
    headers = {**_BODY, "Upload-Length": str(len(data))}
    with Connection(ours.manager_port) as manager:
        token = ours.ask(manager, "/folder/file/upload-below", relpath=".")["token"]

    def send(port: int, target: str, fields: Callable[[], dict[str, str]], number: int) -> None:
        with Connection(port) as connection:
            for _ in range(number):
                status, head, _ = connection.ask("POST", target, {**headers, **fields()}, data)
                if status != 201 or header(head, "Upload-Offset") != str(len(data)):
                    raise RuntimeError(head)

    def ours_named() -> dict[str, str]:
        name = base64.b64encode(f"f{next(uploader.numbers)}".encode()).decode()
        return {"Upload-Metadata": f"filename {name}"}

    to_ours = partial(send, ours.client_port, f"/files?token={token}", ours_named)

    def synced(number: int) -> None:
        for _ in range(number):
            write_synced(uploader.source.with_name(f"synced-{next(uploader.numbers)}"), data)

    to_peer = partial(send, uploader.peer.port, "/files", dict)
    name = f"the same, each in one request, by {connections} connection(s)"
    more: dict[str, Callable[[int], None]] = {"written and synced, without HTTP": synced}
    for words, server in least.items():
        more[words] = partial(send, server.port, "/files", dict)
    return _against_peer(name, count, connections, to_ours, "@tus/server", to_peer, more)


def _archive_upload(uploader: Uploader, count: int, connections: int) -> Comparison:
    """The same files in an archive for each connection, which is there and is unpacked by us; the peer cannot."""
    ours = uploader.penstock
    archive = make_archive(uploader.source.with_name("small.tar"), uploader.source, count // connections)

    def unpacked(_: int) -> None:
        with Connection(ours.client_port) as connection, Connection(ours.manager_port) as manager:
            size = archive.stat().st_size
            relpath = f"d{next(uploader.numbers)}/archive"
            token = ours.ask(manager, "/folder/file/upload", relpath=relpath, size=size)["token"]
            with archive.open("rb") as file:
                headers = {**_BODY, "Upload-Offset": "0"}
                status = connection.send_file(f"/upload?token={token}&extract=1", headers, file, 0, size)
            if status != 204:
                raise RuntimeError(f"an archive: {status}")

    name = f"the same in an archive for each of {connections} connection(s), unpacked"
    one_by_one = partial(_one_by_one, uploader)
    return _against_peer(name, count, connections, unpacked, "@tus/server, file by file", one_by_one)


def _one_by_one(uploader: Uploader, number: int, size: int = _SMALL) -> None:
    with Connection(uploader.peer.port) as connection:
        for _ in range(number):
            uploader.to_peer(connection, size, size)


def _against_peer(
    name: str,
    count: int,
    connections: int,
    ours: Callable[[int], None],
    peer: str,
    theirs: Callable[[int], None],
    more: Mapping[str, Callable[[int], None]] | None = None,
    aim: float | None = _AIM,
) -> Comparison:
    """Small files sent to us in some way, against some way of the peer's."""
    return Comparison(
        name,
        "files/s",
        {
            "Penstock": lambda: throughput(count, connections, ours),
            peer: lambda: throughput(count, connections, theirs),
            **{name: partial(throughput, count, connections, some) for name, some in (more or {}).items()},
        },
        [] if aim is None else [Aim(peer, aim)],
    )
