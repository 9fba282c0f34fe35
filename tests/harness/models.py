"""Scripts of the bus against a model of them: random calls at a real server, compared after each."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import redis
from harness.redis_server import SERVERS, RedisServer
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.stateful import RuleBasedStateMachine, run_state_machine_as_test

from bus.streams import scripts


class ScriptMachine(RuleBasedStateMachine):
    """Calls scripts by their names."""

    client: redis.Redis

    def call(self, name: str, names: list[str], *arguments: object) -> object:
        return self.client.eval(scripts._SOURCES[name], len(names), *names, *arguments)


@contextmanager
def client_of(kind: str, folder: Path) -> Iterator[redis.Redis]:
    """A server of its own, and who asks it."""
    server = RedisServer(SERVERS[kind](), folder)
    server.start()
    try:
        with redis.Redis(port=server.port) as client:
            yield client
    finally:
        server.stop()


def compare(machine: type[ScriptMachine], client: redis.Redis, examples: int, choice: int | None = None) -> None:
    """Run so many examples. Raises what the first that differs raises.

    It is told as it was found: the smallest one takes long to find where each step asks a server.

    Args:
        choice: which calls are chosen; None: other ones each time.
    """
    asking = type(machine.__name__, (machine,), {"client": client})
    run_state_machine_as_test(
        asking if choice is None else seed(choice)(asking),
        settings=settings(
            max_examples=examples,
            stateful_step_count=40,
            deadline=None,
            database=None,
            print_blob=False,
            report_multiple_bugs=False,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        ),
    )


def break_script(monkeypatch: pytest.MonkeyPatch, name: str, good: str, bad: str) -> None:
    """Have a script do something else than it should, for whoever has to notice."""
    source = scripts._SOURCES[name]
    assert good in source
    monkeypatch.setitem(scripts._SOURCES, name, source.replace(good, bad))
