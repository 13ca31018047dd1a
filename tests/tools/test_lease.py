from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable

import pytest

from swarm.tools.lease import Lease


class Watch:
    """Counts who holds the lease, and keeps the order of entry."""

    def __init__(self) -> None:
        self.lease = Lease()
        self.measuring, self.working, self.most_working = 0, 0, 0
        self.order: list[str] = []

    async def measure(self, name: str = "m", hold_s: float = 0.02) -> None:
        async with self.lease.measuring():
            self.order.append(name)
            self.measuring += 1
            assert (self.measuring, self.working) == (1, 0)
            try:
                await asyncio.sleep(hold_s)
            finally:
                self.measuring -= 1

    async def work(self, name: str = "w", hold_s: float = 0.02) -> None:
        async with self.lease.working():
            self.order.append(name)
            self.working += 1
            self.most_working = max(self.most_working, self.working)
            assert self.measuring == 0
            try:
                await asyncio.sleep(hold_s)
            finally:
                self.working -= 1


async def _all(*jobs: Awaitable[None]) -> None:
    await asyncio.wait_for(asyncio.gather(*jobs), 5)


async def test_workers_share_and_measurers_are_alone():
    watch = Watch()
    await _all(*(job for n in range(6) for job in (watch.work(), watch.measure(), watch.work())))
    assert watch.most_working > 1
    assert len(watch.order) == 18


async def test_a_waiting_measurer_blocks_workers_that_come_later():
    watch = Watch()
    await _all(watch.work("w1"), watch.measure("m"), watch.work("w2"), watch.work("w3"))
    assert watch.order == ["w1", "m", "w2", "w3"]


@pytest.mark.parametrize("kind", ["measure", "work"])
async def test_a_cancelled_waiter_blocks_nobody(kind: str):
    watch = Watch()
    holder = asyncio.create_task(watch.measure("holder", 0.3))  # long enough for all below on a busy machine
    await asyncio.sleep(0.01)
    waiter = asyncio.create_task(getattr(watch, kind)("gone"))
    behind = asyncio.create_task(watch.work("behind"))
    await asyncio.sleep(0.01)
    waiter.cancel()
    await _all(holder, behind)
    assert watch.order == ["holder", "behind"]


async def test_cancelled_in_the_moment_of_admission_gives_it_back():
    lease = Lease()
    waiters: list[asyncio.Task[None]] = []

    async def wait() -> None:
        async with lease.measuring():
            pass

    async with lease.measuring():
        waiters.append(asyncio.create_task(wait()))
        await asyncio.sleep(0)
    # Admitted by now, and not yet run.
    waiters[0].cancel()
    await asyncio.gather(*waiters, return_exceptions=True)
    assert waiters[0].cancelled()
    await asyncio.wait_for(wait(), 1)


async def test_an_error_inside_gives_it_back():
    lease = Lease()
    for hold in (lease.measuring, lease.working):
        with pytest.raises(ValueError, match="inside"):
            async with hold():
                raise ValueError("inside")
    async with asyncio.timeout(1), lease.measuring():
        pass


async def test_cancelled_while_the_holder_lets_go_ends_as_cancelled():
    lease = Lease()

    async def wait() -> None:
        async with lease.working():
            pass

    async with lease.measuring():
        waiter = asyncio.create_task(wait())
        await asyncio.sleep(0)
        waiter.cancel()
    (ended,) = await asyncio.gather(waiter, return_exceptions=True)
    assert isinstance(ended, asyncio.CancelledError)
    await asyncio.wait_for(wait(), 1)


async def test_random_cancellations_never_wedge_it_nor_let_two_kinds_in():
    chance, watch = random.Random(5), Watch()

    async def some() -> None:
        job = watch.measure if chance.random() < 0.4 else watch.work
        await job("x", chance.random() * 0.004)

    tasks = []
    for _ in range(200):
        tasks.append(asyncio.create_task(some()))
        if chance.random() < 0.5:
            await asyncio.sleep(chance.random() * 0.002)
        if chance.random() < 0.5:
            chance.choice(tasks).cancel()
    for ended in await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), 10):
        assert ended is None or isinstance(ended, asyncio.CancelledError)
    async with asyncio.timeout(1), watch.lease.measuring():
        pass
