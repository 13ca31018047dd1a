"""Measures trees by bursts: a few requests at the same moment, and the next burst when all are answered.

At a fixed rate near its capacity a service queues, and the queue drowns the effect of a single patch. A burst
meets an idle service each time, so a difference of a few percent shows after a few bursts; and because its
requests come together, work that holds up the event loop shows as well.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from swarm.bench.load import LoadGenerator, LoadRun, Sample
from swarm.bench.sidebyside import slice_order
from swarm.config.schema import Target
from swarm.target.server import RunningServer

AT_ONCE_PER_S = 2000.0  # the rate at which a burst's requests leave: half a millisecond apart
MAX_BURSTS = 40


def burst_size(rate: float, typical_ms: float | None) -> int:
    """How many requests are in the service at once at this rate (Little's law), from 2 to 4."""
    return min(4, max(2, round(rate * (typical_ms or 0.0) / 1000.0)))


async def measure_bursts(
    servers: Mapping[str, RunningServer],
    target: Target,
    payload_root: Path,
    *,
    size: int,
    slice_s: float,
    rounds: int,
    seed: int,
    first_number: int,
) -> dict[str, tuple[LoadRun, ...]]:
    """Slices of bursts, alternating between the servers (A B B A …); a slice holds at least one burst.

    One request warms each server up and is left out. Latencies count from the burst's moment.
    """
    runs: dict[str, list[LoadRun]] = {name: [] for name in servers}
    async with LoadGenerator() as generator:

        async def burst(name: str, number: int, size: int = size) -> LoadRun:
            return await generator.run(
                servers[name].base_url,
                target,
                payload_root,
                rate=AT_ONCE_PER_S,
                seconds=size / AT_ONCE_PER_S,
                seed=seed,
                first_number=number,
            )

        for name in servers:
            await burst(name, first_number, 1)
        for name in slice_order(list(servers), rounds):
            number = first_number + 1 + len(runs[name]) * size * MAX_BURSTS
            cpu_s, ends_s = servers[name].cpu_s(), time.monotonic() + slice_s
            bursts = [await burst(name, number)]
            while time.monotonic() < ends_s and len(bursts) < MAX_BURSTS:
                bursts.append(await burst(name, number + len(bursts) * size))
            runs[name].append(replace(joined(bursts), cpu_s=servers[name].cpu_s() - cpu_s))
    return {name: tuple(slices) for name, slices in runs.items()}


def joined(bursts: list[LoadRun]) -> LoadRun:
    """The bursts of one slice as one run."""
    samples: list[Sample] = [sample for one in bursts for sample in one.samples]
    return replace(
        bursts[0],
        samples=tuple(samples),
        behind_ms=max(one.behind_ms for one in bursts),
        valid=all(one.valid for one in bursts),
        seconds=sum(one.seconds for one in bursts),
    )
