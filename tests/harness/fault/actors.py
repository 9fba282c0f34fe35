"""The actor processes of a fault run, each with a way to Redis of its own."""

from __future__ import annotations

import os
import random
import signal
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from harness.cutter import Cutter, open_cutter
from harness.fault.words import CANNOT_GO_ON
from harness.forked import Forked

#: How an actor may end: told to (also before it listens), killed, or for lack of Redis or of memory.
_ENDS = frozenset({0, -signal.SIGTERM, -signal.SIGKILL, CANNOT_GO_ON})


@dataclass(frozen=True)
class ActorProcess:
    """One of them."""

    name: str
    process: Forked
    way: Cutter


@dataclass
class Actors:
    """Actor processes; dead ones are replaced, as a supervisor does.

    Args:
        ports: of the Redis servers; an actor that is started goes to any of them.
        release: of those that are started: `old` or `new`.
    """

    plan: Path
    folder: Path
    ports: Sequence[int]
    chance: random.Random
    release: str = "new"
    running: list[ActorProcess] = field(default_factory=list)
    leaving: list[ActorProcess] = field(default_factory=list)
    #: Those that ended by themselves, and how.
    fallen: list[str] = field(default_factory=list)
    _ways: ExitStack = field(default_factory=ExitStack)
    _made: int = 0

    @property
    def log(self) -> Path:
        """What all of them say."""
        return self.folder / "actors.log"

    def any(self) -> ActorProcess:
        """One of them."""
        return self.chance.choice(self.running)

    def start(self) -> None:
        self._made += 1
        name = f"actor{self._made}"
        way = self._ways.enter_context(open_cutter(self.chance.choice(self.ports)))
        words = [str(self.plan), name, str(way.port), self.release]
        process = Forked("harness.fault.actor", words, os.environ, self.log)
        self.running.append(ActorProcess(name, process, way))

    def lead_to(self, ports: Sequence[int]) -> None:
        """Have all of them go elsewhere, and those that are started."""
        self.ports = ports
        for one in self.running + self.leaving:
            one.way.lead_to(self.chance.choice(ports))

    def dismiss(self) -> None:
        """Have the one that is there longest leave in good order."""
        one = self.running.pop(0)
        one.process.terminate()
        self.leaving.append(one)

    def upgrade(self) -> None:
        """Have all of them replaced by the new release."""
        self.release = "new"
        for _ in list(self.running):
            self.start()
            self.dismiss()

    def replace_dead(self) -> None:
        for one in list(self.running):
            code = one.process.poll()
            if code is not None:
                if code not in _ENDS:
                    self.fallen.append(f"{one.name} ended by itself with {code}")
                self.running.remove(one)
                one.way.close()
                self.start()

    def ask_what_they_do(self) -> None:
        """Have them say in the log what they wait for."""
        for one in self.running:
            one.process.send_signal(signal.SIGUSR1)

    def stop(self) -> None:
        for one in self.running + self.leaving:
            one.process.send_signal(signal.SIGCONT)
            one.process.kill()
            one.process.wait()
        self._ways.close()
