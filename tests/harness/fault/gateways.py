"""Harm that is done to two gateways on one volume, and to what they talk to."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable, Sequence
from itertools import chain, count
from signal import SIGCONT, SIGSTOP

from harness.cutter import ANSWERED, Cutter
from harness.processes import Role, Site


class GatewayFaults:
    """Does harm.

    Args:
        redis_way: the way to Redis.
        way: the way clients come by, where they come by one that can be cut.
    """

    def __init__(self, site: Site, chance: random.Random, redis_way: Cutter, way: Cutter | None = None) -> None:
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

    def freeze_gateway(self) -> None:
        """For longer than its lease of an upload."""
        frozen = self._chance.choice(self._gateways)
        frozen.process.send_signal(SIGSTOP)
        time.sleep(self._chance.uniform(0.5, 2.5))
        frozen.process.send_signal(SIGCONT)

    def cut(self) -> None:
        assert self._way is not None, "clients come by a way that cannot be cut"
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
