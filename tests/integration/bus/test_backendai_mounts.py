"""Wishes for mounts, heard over a real Redis and seen to by real programs."""

from __future__ import annotations

import base64
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import anyio
import msgpack
import pytest
import redis
from harness.redis_server import RedisServer, debian_redis
from pydantic import SecretStr

from bus.backendai import mounts, running
from bus.backendai.mounts import Mounts
from bus.backendai.peer import Peer
from bus.backendai.programs import MountPrograms
from bus.backendai.running import Running
from bus.settings import BusSettings

pytestmark = pytest.mark.anyio

SCOPE = "user:11111111-1111-4111-8111-111111111111"
MOUNT = ["mount", "-t", "{type}", "-o", "{options}", "{location}", "{path}"]
UNMOUNT = ["umount", "{path}"]
#: Says what it was given, and fails with it.
TELL = [sys.executable, "-c", "import sys; sys.exit(' '.join(sys.argv[1:]))"]

Ask = Callable[..., Awaitable[tuple[Any, ...]]]


class Manager:
    """Who wishes, and hears the answers."""

    def __init__(self, port: int) -> None:
        self._client = redis.Redis(port=port)
        self._channel = self._client.pubsub(ignore_subscribe_messages=True)
        self._channel.subscribe("events_all")
        self._channel.get_message(timeout=5)

    def say(self, name: str, *arguments: Any) -> None:
        packed = base64.b64encode(msgpack.packb(arguments)).decode()
        self._client.publish("events_all", json.dumps({"name": name, "source": "manager", "args": packed}))

    def hear(self) -> tuple[str, tuple[Any, ...]] | None:
        """The next answer that is there."""
        while (message := self._channel.get_message()) is not None:
            with suppress(ValueError, RecursionError):
                told = json.loads(message["data"])
                if told["source"] == "storage-1":
                    return told["name"], tuple(msgpack.unpackb(base64.b64decode(told["args"])))
        return None

    def close(self) -> None:
        self._channel.close()
        self._client.close()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    found = RedisServer(debian_redis(), tmp_path_factory.mktemp("redis"))
    found.start()
    yield found
    found.stop()


@pytest.fixture
def manager(server: RedisServer) -> Iterator[Manager]:
    found = Manager(server.port)
    yield found
    found.close()


@pytest.fixture(autouse=True)
async def all_end(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[None]:
    """See that whatever was started has ended, though nobody waits for it."""
    begun: list[Running] = []

    async def start(command: Sequence[str]) -> Running:
        begun.append(await real(command))
        return begun[-1]

    real = Running.start
    monkeypatch.setattr(Running, "start", start)
    yield
    with anyio.fail_after(10):
        for one in begun:
            await one.end()


@pytest.fixture
def volume(tmp_path: Path) -> Iterator[Path]:
    place = tmp_path / "volume"
    (place / "there").mkdir(parents=True)
    yield place
    subprocess.run(["umount", "-l", str(place / "there")], check=False, capture_output=True)


@asynccontextmanager
async def listening(
    server: RedisServer, volume: Path, programs: MountPrograms, manager: Manager
) -> AsyncIterator[Ask]:
    """A node that listens, and a way to wish it something and hear its answer."""
    peer = Peer(BusSettings(url=SecretStr(server.url)))

    async def ask(name: str, *arguments: Any) -> tuple[Any, ...]:
        manager.say(name, *arguments)
        with anyio.fail_after(20):
            while (answer := manager.hear()) is None:
                await anyio.sleep(0.02)
        assert answer[0] == {"do_volume_mount": "volume_mounted", "do_volume_unmount": "volume_unmounted"}[name]
        return answer[1]

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(peer.run)
        tasks.start_soon(Mounts(peer, "storage-1", {"disk": volume}, programs).run)
        with redis.Redis(port=server.port) as client, anyio.fail_after(20):
            while client.pubsub_numsub("events_all")[0][1] < 2:
                await anyio.sleep(0.02)
        yield ask
        tasks.cancel_scope.cancel()


def answer(volume: Path, problem: str | None, directory: str = "there") -> Sequence[Any]:
    return ("storage-1", "storage_proxy", str(volume / directory), SCOPE, problem)


async def test_what_is_wished_is_done_both_ways(server: RedisServer, volume: Path, manager: Manager) -> None:
    there = volume / "there"
    mount = ("there", "disk", SCOPE, "tmpfs", "tmpfs", "size=1m", None, False, "/etc/fstab")
    async with listening(server, volume, MountPrograms(MOUNT, UNMOUNT), manager) as ask:
        for _ in range(2):
            assert await ask("do_volume_mount", *mount) == answer(volume, None)
            assert there.is_mount()
        assert (there / "..").resolve() == volume
        for _ in range(2):
            assert await ask("do_volume_unmount", "there", "disk", SCOPE, None, False, None) == answer(volume, None)
            assert not there.is_mount(), "nothing was mounted over what was"
        told = await ask("do_volume_mount", "there", "disk", SCOPE, "tmpfs", "no-such-type")
        assert told[4].startswith("mount: ")


async def test_everything_that_is_said_reaches_the_programs(
    server: RedisServer, volume: Path, manager: Manager
) -> None:
    words = ["{path}", "{scope}", "{edit_fstab}", "{fstab_path}"]
    programs = MountPrograms([*TELL, *words, "{location}", "{type}", "{options}"], [*TELL, *words])
    async with listening(server, volume, programs, manager) as ask:
        wish = ("there", "disk", SCOPE, "10.0.0.1:/a b", "nfs", "vers=4.2", "group", True, "/etc/other")
        told = f"{volume / 'there'} {SCOPE} true /etc/other 10.0.0.1:/a b nfs vers=4.2"
        assert await ask("do_volume_mount", *wish) == answer(volume, told)
        await anyio.run_process(["mount", "-t", "tmpfs", "tmpfs", str(volume / "there")])
        told = f"{volume / 'there'} {SCOPE} false /etc/fstab"
        assert await ask("do_volume_unmount", "there", "disk", SCOPE, None, False, None) == answer(volume, told)


#: Programs and wishes of which nothing comes, and what is answered.
HOPELESS: list[tuple[list[str], dict[int, object], str]] = [
    ([], {}, "nothing is mounted there"),
    (["true"], {}, "nothing is mounted there"),
    (["false"], {}, "exit code 1"),
    (["/no/such/program"], {}, "/no/such/program: No such file or directory"),
    (["sh", "-c", "echo no; exit 3"], {}, "no"),
    (["sh", "-c", "kill -9 $$"], {}, "exit code -9"),
    (["sleep", "600"], {}, "it took longer than 0.5 s"),
    (["echo ${X}"], {}, "an internal error; the log of the bridge has the details"),
    (["{path!x}"], {}, "an internal error; the log of the bridge has the details"),
    (["true", "a\0b"], {}, "an internal error; the log of the bridge has the details"),
    (["true"], {0: "../x"}, "the directory leads out of the volume"),
    (["true"], {0: "/"}, "the directory leads out of the volume"),
    (["true"], {0: "x\0y"}, "a word no program can be given"),
    (["true"], {0: "x" * 300}, "nothing is mounted there"),
    (["true"], {3: "--bind"}, "a word that looks like an option of the program"),
    (["true"], {4: 7, 5: [1], 7: "x", 8: 9}, "nothing is mounted there"),
]


@pytest.mark.parametrize(("program", "changed", "problem"), HOPELESS)
async def test_whatever_goes_wrong_is_answered_and_ends_nothing(
    server: RedisServer,
    volume: Path,
    manager: Manager,
    program: list[str],
    changed: dict[int, object],
    problem: str,
) -> None:
    wish: list[object] = ["there", "disk", SCOPE, "10.0.0.1:/export", "nfs", None, None, False, "/etc/fstab"]
    for number, value in changed.items():
        wish[number] = value
    async with listening(server, volume, MountPrograms(program, [], 0.5), manager) as ask:
        for _ in range(2):
            assert (await ask("do_volume_mount", *wish))[4] == problem
        assert await ask("do_volume_unmount", "there", "disk", SCOPE) == answer(volume, None)


async def test_a_place_that_does_not_answer_is_told(
    server: RedisServer, volume: Path, manager: Manager, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def hangs(path: Path) -> bool:
        await anyio.sleep_forever()
        raise AssertionError(path)

    async with listening(server, volume, MountPrograms(seconds=0.2), manager) as ask:
        with monkeypatch.context() as patch:
            patch.setattr(mounts, "_is_mounted", hangs)
            assert await ask("do_volume_unmount", "there", "disk", SCOPE) == answer(
                volume, "it took longer than 0.2 s"
            )
        assert await ask("do_volume_unmount", "there", "disk", SCOPE) == answer(volume, None)


#: Hears of no end but the last one, tells who it is, and has started what holds its pipe.
STUBBORN = ["sh", "-c", 'trap "" TERM INT HUP; sleep 600 & echo $$ > {path}.pid; wait']


def refuse_to_end(patch: pytest.MonkeyPatch) -> None:
    """Let nobody be killed, as if it ran as somebody else."""

    def refused(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    patch.setattr(running.os, "killpg", refused)
    patch.setattr(subprocess.Popen, "send_signal", refused)


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


async def test_a_program_that_takes_too_long_is_killed_with_all_it_started(
    server: RedisServer, volume: Path, manager: Manager
) -> None:
    async with listening(server, volume, MountPrograms(STUBBORN, [], 0.5), manager) as ask:
        for _ in range(2):
            told = await ask("do_volume_mount", "there", "disk", SCOPE)
            assert told == answer(volume, "it took longer than 0.5 s")
            group = int((volume / "there.pid").read_text())
            with anyio.fail_after(10):
                while (await anyio.run_process(["pgrep", "-g", str(group)], check=False)).stdout:
                    await anyio.sleep(0.05)


async def test_a_program_nobody_can_kill_holds_up_neither_other_wishes_nor_the_end(
    server: RedisServer, volume: Path, manager: Manager, monkeypatch: pytest.MonkeyPatch
) -> None:
    refuse_to_end(monkeypatch)
    late = answer(volume, "it took longer than 1 s")
    programs = MountPrograms(STUBBORN, ["true"], 1.0)
    async with listening(server, volume, programs, manager) as ask:
        manager.say("do_volume_mount", "there", "disk", SCOPE)
        begun = time.monotonic()
        assert await ask("do_volume_unmount", "elsewhere", "disk", SCOPE) == answer(volume, None, "elsewhere")
        assert time.monotonic() - begun < 1
        with anyio.fail_after(10):
            while (told := manager.hear()) is None:
                await anyio.sleep(0.02)
        assert told == ("volume_mounted", late)
        pid = int((volume / "there.pid").read_text())
        (volume / "there.pid").unlink()
        assert await ask("do_volume_mount", "there", "disk", SCOPE) == late
        assert is_alive(pid), "it lives on"
        assert not (volume / "there.pid").exists(), "and no other one is run beside it"
        ended = time.monotonic()
    assert time.monotonic() - ended < 1
    monkeypatch.undo()
    os.killpg(pid, signal.SIGKILL)
    with anyio.fail_after(10):
        while is_alive(pid):
            await anyio.sleep(0.02)


async def test_a_program_is_run_again_once_the_one_that_was_left_is_gone(
    server: RedisServer, volume: Path, manager: Manager, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with listening(server, volume, MountPrograms(STUBBORN, [], 0.5), manager) as ask:
        with monkeypatch.context() as patch:
            refuse_to_end(patch)
            await ask("do_volume_mount", "there", "disk", SCOPE)
        first = int((volume / "there.pid").read_text())
        os.killpg(first, signal.SIGKILL)
        await ask("do_volume_mount", "there", "disk", SCOPE)
        assert int((volume / "there.pid").read_text()) != first


async def test_what_a_program_leaves_behind_is_not_waited_for(
    server: RedisServer, volume: Path, manager: Manager
) -> None:
    behind = ["sh", "-c", "sleep 600 & echo $! > {path}.pid; echo no; exit 3"]
    async with listening(server, volume, MountPrograms(behind, [], 5.0), manager) as ask:
        assert await ask("do_volume_mount", "there", "disk", SCOPE) == answer(volume, "no")
    pid = int((volume / "there.pid").read_text())
    assert is_alive(pid), "as what serves a mount has to stay"
    os.kill(pid, signal.SIGKILL)


async def test_more_wishes_than_can_be_seen_to_are_refused(
    server: RedisServer, volume: Path, manager: Manager, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mounts, "_MOST", 1)
    async with listening(server, volume, MountPrograms(["sleep", "600"], [], 2.0), manager) as ask:
        manager.say("do_volume_mount", "there", "disk", SCOPE)
        told = await ask("do_volume_mount", "elsewhere", "disk", SCOPE)
        assert told == answer(volume, "too many wishes at once", "elsewhere")


#: A process that ends while it looks at such a place.
ENDS = """
import os, time
from pathlib import Path
import anyio
os.path.ismount = lambda path: time.sleep(600)
from bus.backendai.mounts import _is_mounted

async def run():
    with anyio.move_on_after(0.2):
        await _is_mounted(Path("/"))

anyio.run(run)
"""


async def test_a_place_that_does_not_answer_holds_up_no_end_of_the_process() -> None:
    with anyio.fail_after(20):
        assert (await anyio.run_process([sys.executable, "-c", ENDS])).returncode == 0


async def test_nothing_is_said_of_what_is_not_its_affair(
    server: RedisServer, volume: Path, manager: Manager
) -> None:
    async with listening(server, volume, MountPrograms(), manager) as ask:
        with redis.Redis(port=server.port) as client:
            client.publish("events_all", b"nonsense")
            client.publish("events_all", b"[" * 100_000)
        manager.say("do_volume_mount", "there", "nowhere", SCOPE, "l", "nfs", None, None, False, None)
        manager.say("do_volume_mount", "there", "disk")
        manager.say("bgtask_done", "a", None)
        assert await ask("do_volume_unmount", "again", "disk", SCOPE) == answer(volume, None, "again")
