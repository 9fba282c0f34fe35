"""ZIP archives with more members, and longer ones, than the format's first fields can tell: read by others."""

from __future__ import annotations

import os
import subprocess
import zipfile
import zlib
from pathlib import Path

import pytest
from anyio import to_thread
from harness.world import World

from gateway.archive.layout import Checksums
from gateway.archive.manifest import Member

pytestmark = pytest.mark.anyio

#: One member more than 16 bits can count.
COUNT = 1 << 16
#: A member that is longer than 32 bits can tell.
LENGTH = (1 << 32) + 1
BEHIND = b"what lies behind it"
#: Bytes of an archive's beginning and of its end that are looked at.
EDGE = 4096


def unzip(*words: str) -> str:
    """What Info-ZIP says."""
    done = subprocess.run(["unzip", *words], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def read_all(path: Path) -> set[str]:
    """Names of an archive's members, all of which are as they should be."""
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        return set(archive.namelist())


async def test_more_members_than_sixteen_bits_can_count(world: World, tmp_path: Path) -> None:
    await world.make_folder()
    (world.folder / "d").mkdir()
    await to_thread.run_sync(
        lambda: [os.close(os.open(world.folder / f"d/{n:05}", os.O_CREAT)) for n in range(COUNT)]
    )
    token = await world.download_token("d")
    answer = await world.client("GET", f"/download?token={token}&archive=1")
    assert answer.status == 200
    packed = tmp_path / "packed.zip"
    packed.write_bytes(answer.body)
    assert await to_thread.run_sync(read_all, packed) == {f"{number:05}" for number in range(COUNT)}
    assert "No errors detected" in (await to_thread.run_sync(unzip, "-tq", str(packed)))


async def test_a_member_longer_than_thirty_two_bits_can_tell(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is all zeros, as the file the archive is put into: only what is before and behind it is asked for."""
    await world.make_folder()
    (world.folder / "d").mkdir()
    with (world.folder / "d/a").open("wb") as long:
        long.truncate(LENGTH)
    (world.folder / "d/b").write_bytes(BEHIND)
    known = Checksums.get
    checksum = crc_of_zeros(LENGTH)
    monkeypatch.setattr(Checksums, "get", lambda self, member: checksum if is_long(member) else known(self, member))
    url = f"/download?token={await world.download_token('d')}&archive=1"
    size = int((await world.client("HEAD", url)).headers["Content-Length"])
    packed = tmp_path / "packed.zip"
    with packed.open("wb") as target:
        target.truncate(size)
        for start in (0, size - EDGE):
            part = await world.client("GET", url, headers={"Range": f"bytes={start}-{start + EDGE - 1}"})
            assert (part.status, len(part.body)) == (206, EDGE)
            target.seek(start)
            target.write(part.body)
    with zipfile.ZipFile(packed) as archive:
        first, second = archive.infolist()
        assert (first.filename, first.file_size, first.compress_size) == ("a", LENGTH, LENGTH)
        assert (first.CRC, first.header_offset) == (checksum, 0)
        assert second.header_offset > LENGTH
        assert archive.read("b") == BEHIND
        with archive.open("a") as file:
            assert file.read(EDGE) == bytes(EDGE)
    assert "No errors detected" in (await to_thread.run_sync(unzip, "-tq", str(packed), "b"))
    listed = await to_thread.run_sync(unzip, "-l", str(packed))
    assert str(LENGTH) in listed


def is_long(member: Member) -> bool:
    return member.size == LENGTH


def crc_of_zeros(count: int) -> int:
    """CRC-32 of so many zeros: what one does to each bit, done again and again."""

    def applied(step: list[int], value: int) -> int:
        result = 0
        for bit in range(32):
            if value >> bit & 1:
                result ^= step[bit]
        return result

    # The checksum's inner state is its complement; `step` tells what zeros make of each bit of it.
    step = [~zlib.crc32(b"\0", ~(1 << bit) & 0xFFFFFFFF) & 0xFFFFFFFF for bit in range(32)]
    state = 0xFFFFFFFF
    while count:
        if count & 1:
            state = applied(step, state)
        step = [applied(step, value) for value in step]
        count >>= 1
    return ~state & 0xFFFFFFFF


@pytest.mark.parametrize("count", [0, 1, 2, 1000])
def test_zeros_are_summed_up_as_others_do(count: int) -> None:
    assert crc_of_zeros(count) == zlib.crc32(bytes(count))
