"""A machine with Redis, an actor and a gateway loses its power again and again: what it told is there, whole, once.

Another one has nothing but a volume and an upload that grows faster than its disk writes.

The machine is an emulated one with a kernel and a disk of its own; it is killed, and with it all its kernel had not
written. Run by hand: `make power`. LIVES is how often it lives.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

import pytest
from power.saying import SAYS

HERE = Path(__file__).parent
LIVES = int(os.environ.get("LIVES", "5"))
#: How long a life takes to begin, and how long it lasts at most, in seconds.
BIRTH, LIFE = 600, 20.0
#: How long a life lasts in which uploads only are stored, at least and at most, in seconds.
STORING = 8.0, 16.0
#: Bytes a second the disk writes: so much slower than what is sent that some of it is always on its way.
RATE = "6000000"
MAKE = {"ext4": ("mkfs.ext4", "-q", "-F"), "xfs": ("mkfs.xfs", "-q", "-f")}

pytestmark = pytest.mark.timeout((LIVES + 2) * (BIRTH + LIFE))


class Machine:
    """One life of the machine."""

    def __init__(self, disk: Path, file_system: str, *script: str, processors: int = 2) -> None:
        guest = ["sh", str(HERE / "guest.sh"), sys.executable, file_system, *script]
        self._process = subprocess.Popen(
            ["sh", str(HERE.parent / "machine" / "machine.sh"), *guest],
            env={**os.environ, "DISK": str(disk), "DISK_RATE": RATE, "CPUS": str(processors)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            text=True,
            errors="replace",
            start_new_session=True,
        )
        self._lines: list[str] = []
        self.output: list[str] = []
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self.output.append(line)
            if SAYS in line:
                self._lines.append(line[line.index(SAYS) :].strip())

    def says(self, word: str) -> str:
        """Wait until it says something; returns the line."""
        give_up = time.monotonic() + BIRTH
        while time.monotonic() < give_up:
            found = [line for line in self._lines if line.split()[1] in (word, "failed")]
            if found:
                assert found[0].split()[1] == word, found[0]
                return found[0]
            assert self._process.poll() is None, "".join(self.output[-50:])
            time.sleep(0.05)
        raise AssertionError("".join(self.output[-50:]))

    def lose_power(self) -> list[str]:
        """Kill it; returns all it has said."""
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._reader.join()
        assert self._process.stdout is not None
        self._process.stdout.close()
        assert not any(line.split()[1:2] == ["failed"] for line in self._lines), self._lines[-1]
        # The last line may be half said.
        return self._lines if not self.output or self.output[-1].endswith("\n") else self._lines[:-1]


def a_disk(folder: Path, file_system: str) -> Path:
    """An empty disk."""
    disk = folder / "disk"
    with disk.open("wb") as file:
        file.truncate(1 << 30)
    subprocess.run([*MAKE[file_system], disk], check=True)
    return disk


@pytest.mark.parametrize("file_system", MAKE)
def test_an_upload_is_said_to_have_only_what_was_sent(tmp_path: Path, file_system: str) -> None:
    disk, chance = a_disk(tmp_path, file_system), random.Random(file_system)
    for life in range(LIVES + 1):
        mode = "live" if life < LIVES else "check"
        # With one processor, ext4 leaves zeros at the end of a file in some lives; with two it was not seen to.
        machine = Machine(disk, file_system, "storing.py", mode, processors=1)
        try:
            checked = machine.says("checked")
            print(checked)
            if life < LIVES:
                machine.says("lives")
                time.sleep(chance.uniform(*STORING))
        finally:
            machine.lose_power()
    assert int(checked.split()[3]) > 0, "nothing was ever synced"


@pytest.mark.parametrize("file_system", MAKE)
def test_what_was_told_is_there(tmp_path: Path, file_system: str) -> None:
    disk, told = a_disk(tmp_path, file_system), tmp_path / "told"
    told.touch()
    chance = random.Random(file_system)
    for life in range(LIVES):
        machine = Machine(disk, file_system, "living.py", str(told), f"l{life}")
        try:
            print(machine.says("checked"))
            machine.says("lives")
            time.sleep(chance.uniform(LIFE / 4, LIFE))
        finally:
            said = machine.lose_power()
        with told.open("a") as file:
            file.writelines(f"{line}\n" for line in said if line.split()[1] not in ("checked", "lives"))
    machine = Machine(disk, file_system, "living.py", str(told), "check")
    try:
        checked = machine.says("checked")
    finally:
        machine.lose_power()
    print(checked)
    assert int(checked.split()[2]) > 3 * LIVES, "hardly anything was done"
