"""How long a pace has its senders wait."""

from __future__ import annotations

import anyio
import pytest

from gateway.transfer import pace as module
from gateway.transfer.pace import UNLIMITED, Pace, Paces

pytestmark = pytest.mark.anyio


class Clock:
    """Time that passes only while somebody sleeps."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        await anyio.lowlevel.checkpoint()
        self.now = max(self.now, self.now + seconds)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(module, "time", clock)
    monkeypatch.setattr(module.anyio, "sleep", clock.sleep)
    return clock


async def send(pace: Pace, count: int) -> list[int]:
    """Send so many bytes; returns how many at once."""
    steps = []
    while count:
        steps.append(pace.step(count))
        count -= steps[-1]
        await pace.turn(steps[-1])
    return steps


@pytest.mark.parametrize(("rate", "step"), [(20_000, 16_384), (1_000_000, 250_000)])
async def test_bytes_take_their_time_in_steps(clock: Clock, rate: int, step: int) -> None:
    pace = Pace(rate)
    assert max(await send(pace, 10 * rate)) == step
    await pace.turn(1)  # what is sent last is waited for by whoever comes next
    assert clock.now - 1000 == pytest.approx(10)


async def test_all_who_share_a_pace_wait_for_each_other(clock: Clock) -> None:
    pace = Pace(100_000)
    for _ in range(3):
        await send(pace, 100_000)
    await pace.turn(1)
    assert clock.now - 1000 == pytest.approx(3)


async def test_who_begins_waits_for_what_somebody_who_left_was_sent(clock: Clock) -> None:
    pace = Pace(100_000)
    await pace.turn(100_000)
    assert clock.now == 1000
    await pace.turn(0)
    assert clock.now - 1000 == pytest.approx(1)
    await pace.turn(0)
    assert clock.now - 1000 == pytest.approx(1)


async def test_nobody_waits_for_what_was_not_sent(clock: Clock) -> None:
    pace = Pace(100_000)
    await pace.turn(100_000)
    pace.give_back(90_000)
    with anyio.CancelScope() as left:
        left.cancel()
        await pace.turn(100_000)
    await pace.turn(0)
    assert clock.now - 1000 == pytest.approx(0.1)


async def test_time_in_which_nothing_was_sent_is_not_made_up_for(clock: Clock) -> None:
    pace = Pace(100_000)
    await send(pace, 100_000)
    clock.now += 60
    await send(pace, 200_000)
    await pace.turn(0)
    assert clock.now - 1000 == pytest.approx(62.75)  # the first second's last step was not waited for


async def test_without_a_rate_nobody_waits(clock: Clock) -> None:
    assert await send(UNLIMITED, 1 << 40) == [1 << 40]
    assert clock.now == 1000


def test_a_token_has_one_pace_however_it_is_written() -> None:
    paces = Paces()
    pace = paces.of("head.claims.signature", 5000)
    assert paces.of("head.claims.signature=", 5000) is pace
    assert paces.of("head.claims.other", 5000) is pace
    assert paces.of("head.others.signature", 5000) is not pace
    assert paces.of("head.claims.signature", None) is UNLIMITED
