"""Whole folders: copied, deleted and counted, against the tools everybody has."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from uuid import uuid4

import uvloop

from backends.contract import Operation, Volume
from backends.observer import SilentObserver
from backends.powers import BuildPlan
from backends.registry import Site, driver
from backends.settings import ThreadSettings
from backends.vfs.volume import VfsVolume
from bench.comparison import Aim, Comparison
from bench.servers import FOLDER, Penstock, penstock
from bench.wire import Connection
from domain.ids import VFolderId, VolumeName

_SCOPE = VFolderId.parse(FOLDER).scope
_SOURCE = VFolderId.parse(FOLDER)
_SMALL_BYTES = 4096
_PIECE = 4 << 20
_MIB = 1 << 20
#: A directory is remembered when it has not changed for so long, in seconds; see `usage_memory.py`.
_SETTLED_SECONDS = 2.5


def trees(folder: Path, files: int, large_bytes: int, rounds: int) -> Iterator[Comparison]:
    """Clones, deletions, counts.

    Args:
        files: small files of a folder; ten times as many are counted.
    """
    yield from _clones(folder, "", files, large_bytes, rounds)
    with _reflinks(folder) as place:
        yield from _clones(place, ", on XFS with reflinks", files, large_bytes, rounds)
    yield from _deletions(folder, files, rounds)
    yield from _counts(folder, 10 * files, rounds)


def _clones(folder: Path, where: str, files: int, large_bytes: int, rounds: int) -> Iterator[Comparison]:
    shares = bool(where)
    for name, fill, small in (
        (f"clone of {files:,} files of 4 KiB{where}", partial(_fill_small, files=files), True),
        (f"clone of a file of {large_bytes // _MIB:,} MiB{where}", partial(_fill_large, size=large_bytes), False),
    ):
        with _volume(folder / uuid4().hex) as (volume, root):
            source = root.joinpath(*_SOURCE.directory)
            fill(source)
            peers = {"cp -a": partial(_copied_by, ["cp", "-a"], source, root)}
            aims = [Aim("cp -a", 1.5 if small and not shares else 0.9)]
            if shares:
                always = ["cp", "-a", "--reflink=always"]
                peers["cp -a --reflink=always"] = partial(_copied_by, always, source, root)
                aims = [Aim("cp -a --reflink=always", 0.9)]
            ours = partial(_cloned, volume, root)
            comparison = Comparison(name, "1/s", {"Penstock": ours, **peers}, aims)
            comparison.run(rounds)
            yield comparison


def _deletions(folder: Path, files: int, rounds: int) -> Iterator[Comparison]:
    with _volume(folder / uuid4().hex) as (volume, root):
        source = root.joinpath(*_SOURCE.directory)
        _fill_small(source, files=files)
        contestants = {
            "Penstock": partial(_deleted, volume, root, source),
            "rm -rf": partial(_removed, root, source),
        }
        comparison = Comparison(f"deletion of {files:,} files of 4 KiB", "1/s", contestants, [Aim("rm -rf", 0.9)])
        comparison.run(rounds)
        yield comparison
    with penstock(folder) as ours:
        template = folder / "template"
        _fill_small(template, files=files)
        asked = {"Penstock": partial(_asked, ours, template)}
        comparison = Comparison(f"a folder of {files:,} files is gone: POST /folder/delete", "ms", asked)
        comparison.run(rounds)
        yield comparison


def _counts(folder: Path, files: int, rounds: int) -> Iterator[Comparison]:
    with _volume(folder / uuid4().hex) as (volume, root):
        source = root.joinpath(*_SOURCE.directory)
        _fill_small(source, files=files, size=0)
        time.sleep(_SETTLED_SECONDS)
        du = partial(_du, source)
        whole = partial(_timed, lambda: volume.usage(_SOURCE, staging=False))
        contestants = {"Penstock": whole, "du -s": du}
        first = Comparison(f"{files:,} files are counted", "1/s", contestants, [Aim("du -s", 1.0)])
        first.run(rounds)
        yield first
        again = partial(_timed, lambda: volume.recount(_SOURCE, full=False))
        again()
        contestants = {"Penstock": again, "du -s": du}
        second = Comparison("the same again, nothing changed", "1/s", contestants, [Aim("du -s", 10)])
        second.run(rounds)
        yield second


#: An event loop of this process, in which volumes live.
_LOOP = asyncio.Runner(loop_factory=uvloop.new_event_loop)


@contextmanager
def _volume(root: Path) -> Iterator[tuple[VfsVolume, Path]]:
    root.mkdir()
    site = Site(VolumeName("disk"), {"path": str(root)}, ThreadSettings(), SilentObserver())
    opened = driver("vfs").open(site)

    async def enter() -> Volume:
        volume = await opened.__aenter__()
        await volume.take_over(1)
        assert _SCOPE is not None
        await volume.create_scope(_op(), _SCOPE, None)
        await volume.create_folder(_op(), _SOURCE, 0o755)
        return volume

    volume = _LOOP.run(enter())
    assert isinstance(volume, VfsVolume)
    try:
        yield volume, root
    finally:
        _LOOP.run(opened.__aexit__(None, None, None))
        shutil.rmtree(root)


@contextmanager
def _reflinks(folder: Path) -> Iterator[Path]:
    """An XFS in a file; needs root and xfsprogs."""
    image, place = folder / "xfs.img", folder / "xfs"
    with image.open("wb") as file:
        file.truncate(8 << 30)
    place.mkdir()
    subprocess.run(["mkfs.xfs", "-q", image], check=True)
    subprocess.run(["mount", "-o", "loop", image, place], check=True)
    try:
        yield place
    finally:
        subprocess.run(["umount", place], check=True)
        image.unlink()


def _op() -> Operation:
    return Operation(uuid4(), 1)


def _fill_small(folder: Path, *, files: int, size: int = _SMALL_BYTES) -> None:
    data = b"x" * size
    for number in range(files):
        if not number % 100:
            (folder / f"{number // 100:04}").mkdir(parents=True, exist_ok=True)
        (folder / f"{number // 100:04}" / f"{number:06}").write_bytes(data)


def _fill_large(folder: Path, *, size: int) -> None:
    with (folder / "large").open("wb") as file:
        for _ in range(size // _PIECE):
            file.write(b"y" * _PIECE)


def _cloned(volume: VfsVolume, root: Path) -> float:
    """Clones a second, whole and durable."""
    target = VFolderId(_SCOPE, uuid4())

    async def clone() -> None:
        build = uuid4()
        await volume.begin_build(Operation(build, 1), BuildPlan(build, volume.name, _SOURCE, target))
        tree = await volume.tree(_SOURCE)
        copy = await volume.copy_into(build, "1", tree)
        while not await copy.step():
            pass
        await copy.close()
        await tree.close()
        await volume.finish_build(_op(), build, "1", target)

    rate = _timed(clone)
    shutil.rmtree(root.joinpath(*target.directory))
    return rate


def _copied_by(command: list[str], source: Path, root: Path) -> float:
    """Copies a second, synced as ours are."""
    target = root / "copy"
    started = time.perf_counter()
    subprocess.run([*command, source, target], check=True)
    subprocess.run(["sync", "-f", target], check=True)
    seconds = time.perf_counter() - started
    shutil.rmtree(target)
    return 1 / seconds


def _deleted(volume: VfsVolume, root: Path, source: Path) -> float:
    folder = VFolderId(_SCOPE, uuid4())
    place = root.joinpath(*folder.directory)
    place.parent.mkdir(parents=True)
    shutil.copytree(source, place)
    op = _op()

    async def delete() -> None:
        await volume.delete_folder(op, folder)
        while not (await volume.purge(op.id)).finished:
            pass
        await volume.drop_trash(op.id)

    return _timed(delete)


def _removed(root: Path, source: Path) -> float:
    target = root / "copy"
    shutil.copytree(source, target)
    started = time.perf_counter()
    subprocess.run(["rm", "-rf", target], check=True)
    return 1 / (time.perf_counter() - started)


def _asked(ours: Penstock, template: Path) -> float:
    """Milliseconds until the API has answered."""
    vfid = f"{_SCOPE}/{uuid4()}"
    with Connection(ours.manager_port) as connection:
        ours.ask(connection, "/folder/create", vfid=vfid)
        shutil.copytree(template, ours.volume.joinpath(*VFolderId.parse(vfid).directory), dirs_exist_ok=True)
        started = time.perf_counter()
        ours.ask(connection, "/folder/delete", vfid=vfid)
        return (time.perf_counter() - started) * 1000


def _du(source: Path) -> float:
    started = time.perf_counter()
    subprocess.run(["du", "-s", source], check=True, stdout=subprocess.DEVNULL)
    return 1 / (time.perf_counter() - started)


def _timed(work: Callable[[], Awaitable[object]]) -> float:
    async def run() -> float:
        started = time.perf_counter()
        await work()
        return 1 / (time.perf_counter() - started)

    return _LOOP.run(run())
