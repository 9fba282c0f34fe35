"""Harm that is done to two gateways on one volume, and to what they talk to."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain, count
from pathlib import Path
from signal import SIGCONT, SIGSTOP

from harness.cutter import ANSWERED, Cutter, open_cutter
from harness.processes import Api, Role, Site, open_site


class GatewayFaults:
    """Does harm.

    Args:
        redis_way: the way to Redis.
        way: the way by which clients may come.
    """

    def __init__(self, site: Site, chance: random.Random, redis_way: Cutter, way: Cutter) -> None:
        self._site = site
        self._chance = chance
        self._way = way
        self._redis_way = redis_way
        self._gateways: list[Role] = [site.start("gateway"), site.start("gateway")]
        self.done: Counter[str] = Counter()

    def one_of(self, names: Sequence[str]) -> Callable[[], None]:
        """What does one of what follows at each call: in a random order, and all of them before any comes again."""
        order = chain.from_iterable(self._chance.sample(names, len(names)) for _ in count())
        return lambda: self._do(next(order))

    def _do(self, name: str) -> None:
        self.done[name] += 1
        getattr(self, name)()

    def kill_gateway(self) -> None:
        place = self._chance.randrange(len(self._gateways))
        self._gateways[place].kill()
        self._gateways[place] = self._site.revive("gateway")

    def kill_worker(self) -> None:
        self._kill("worker")

    def kill_actor(self) -> None:
        self._kill("actor")

    def _kill(self, role: str) -> None:
        self._site.alive(role).kill()
        self._site.revive(role)

    def freeze_gateway(self) -> None:
        """For longer than its lease of an upload."""
        frozen = self._chance.choice(self._gateways)
        frozen.process.send_signal(SIGSTOP)
        time.sleep(self._chance.uniform(0.5, 2.5))
        frozen.process.send_signal(SIGCONT)

    def cut(self) -> None:
        self._way.cut_after(self._chance.randrange(1 << 21))

    def cut_redis(self) -> None:
        self._redis_way.cut_after(self._chance.randrange(1 << 14))

    def freeze_redis(self) -> None:
        """Mostly for longer than anybody waits for an answer: what was given up is done all the same, and late."""
        self._site.server.freeze(self._chance.uniform(0.5, 2.5))

    def hold_redis(self) -> None:
        """Have it do what it is told, and nobody hear of that."""
        self._redis_way.hold(ANSWERED)
        time.sleep(self._chance.uniform(0.5, 2.5))
        self._redis_way.hold()

    def restart_redis(self) -> None:
        self._site.server.kill()
        time.sleep(self._chance.uniform(0, 0.5))
        self._site.server.start()


@dataclass(frozen=True)
class Harmed:
    """Two gateways on one volume with a folder, and what is done to them."""

    site: Site
    faults: GatewayFaults
    #: As the site's, by the way that can be cut.
    api: Api


@contextmanager
def open_harmed(path: Path, chance: random.Random, *roles: str, **settings: object) -> Iterator[Harmed]:
    """All of it, with an owner of the volume.

    Args:
        roles: what else there is.
        settings: by `section__key`.
    """
    with (
        open_site(path) as site,
        open_cutter(site.api.client_port) as way,
        open_cutter(site.server.port) as redis_way,
    ):
        site.write_settings(bus__url=f"redis://127.0.0.1:{redis_way.port}/0", bus__command_timeout_seconds=1.0)
        site.write_settings(gateway__sweep_seconds=1.0, **settings)
        for role in ("actor", *roles):
            site.start(role)
        faults = GatewayFaults(site, chance, redis_way, way)
        site.api.make_folder()
        yield Harmed(site, faults, Api(way.port, site.api.manager_port))
