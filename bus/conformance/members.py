"""Members, and how they hear of each other."""

from __future__ import annotations

import anyio
import pytest

from bus.conformance.opening import OpensBus
from bus.conformance.words import SETTINGS, VOLUME, take
from bus.contract import Bus, Lane, Member
from domain.errors import ConflictError


class Members(OpensBus):
    """Members, and how they hear of each other."""

    async def test_members_see_each_other_come_and_go(self) -> None:
        here = frozenset({VOLUME})
        async with self.open_bus("a") as one, self.open_bus("b") as two, one.members.join(here):
            async with two.members.join(frozenset()):
                assert [m.node for m in await self._view_of(one, 2)] == ["a", "b"]
            seen = await self._view_of(one, 1)
            assert [(member.node, member.volumes) for member in seen] == [("a", here)]

    @staticmethod
    async def _view_of(bus: Bus, count: int) -> list[Member]:
        with anyio.fail_after(5):
            while len(view := await bus.members.view()) != count:
                await bus.members.wait_change(0.1)
        return list(view)

    async def test_a_release_rings(self) -> None:
        async with self.open_bus("a") as one, self.open_bus("b") as two:
            lane = await take(one)
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._release_soon, lane)
                with anyio.fail_after(2):
                    await two.members.wait_change(30)

    @staticmethod
    async def _release_soon(lane: Lane) -> None:
        await anyio.sleep(0.1)
        await lane.release()

    async def test_a_signal_reaches_everybody_who_waits_for_it(self) -> None:
        async with self.open_bus("a") as one, self.open_bus("b") as two, anyio.create_task_group() as tasks:
            heard: list[str] = []

            async def hear(bus: Bus, name: str) -> None:
                await bus.signals.wait(name)
                heard.append(f"{bus.node} {name}")

            for bus, name in ((one, "x"), (two, "x"), (two, "y")):
                tasks.start_soon(hear, bus, name)
            await anyio.wait_all_tasks_blocked()
            await two.signals.ring("x")
            with anyio.fail_after(5):
                while len(heard) < 2:
                    await anyio.sleep(0.01)
            assert sorted(heard) == ["a x", "b x"]
            await one.signals.ring("y")

    async def test_a_signal_rung_between_two_waits_is_not_missed(self) -> None:
        async with self.open_bus("a") as bus:
            with anyio.fail_after(5):
                await bus.signals.ring("x")
                await bus.signals.wait("x")
                await bus.signals.ring("x")
                await anyio.sleep(0.1)
                await bus.signals.wait("x")
            with anyio.move_on_after(0.2) as scope:
                await bus.signals.wait("x")
            assert scope.cancelled_caught

    async def test_a_lease_has_one_holder(self) -> None:
        async with self.open_bus("a") as one, self.open_bus("b") as two:
            async with one.leases.hold("x", wait_seconds=0):
                with pytest.raises(ConflictError):
                    async with two.leases.hold("x", wait_seconds=0.1):
                        pass
            async with two.leases.hold("x", wait_seconds=1) as lease:
                await lease.confirm()

    async def test_a_holder_is_told_when_somebody_asks(self) -> None:
        async with self.open_bus("a") as one, self.open_bus("b") as two:
            taken = anyio.Event()
            async with anyio.create_task_group() as tasks:
                async with one.leases.hold("x", wait_seconds=0) as lease:
                    tasks.start_soon(self._take, two, taken)
                    with anyio.fail_after(2):
                        await lease.wait_asked()
                    await lease.confirm()
                    assert not taken.is_set()
                with anyio.fail_after(2):
                    await taken.wait()

    @staticmethod
    async def _take(bus: Bus, taken: anyio.Event) -> None:
        async with bus.leases.hold("x", wait_seconds=2):
            taken.set()

    async def test_a_lease_lasts_while_its_holder_lives(self) -> None:
        async with self.open_bus("a") as one, one.leases.hold("x", wait_seconds=0) as lease:
            await anyio.sleep(SETTINGS.upload_lease_seconds * 2)
            await lease.confirm()
