"""Measures trees by bursts: a few requests at the same moment, and the next burst when all are answered.

At a fixed rate near its capacity a service queues, and the queue drowns the effect of a single patch. A burst
meets an idle service each time, so a difference of a few percent shows after a few bursts; and because its
requests come together, work that holds up the event loop shows as well.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from swarm.bench.load import LoadGenerator, LoadRun, at_hand
from swarm.bench.mix import Mix
from swarm.bench.sidebyside import slice_order
from swarm.bench.statistics import paired_ratio
from swarm.config.schema import Target
from swarm.core.metrics import Ratio
from swarm.target.server import RunningServer
from swarm.target.traffic import Traffic

AT_ONCE_PER_S = 2000.0  # the rate at which a burst's requests leave: half a millisecond apart
MAX_BURSTS = 40
SIZE = 4  # requests at once: with fewer, chance decides which of them waits for the other
MIN_ROUNDS = 2


@dataclass(frozen=True, slots=True)
class Slice:
    """One server's bursts of one round. `latencies_ms` has the median for each place in the burst.

    None where no request of that place was answered well. `cpu_ms` is the server's CPU time per request.
    """

    latencies_ms: tuple[float | None, ...]
    cpu_ms: float


async def measure_bursts(
    servers: Mapping[str, RunningServer],
    target: Target,
    payload_root: Path,
    *,
    slice_s: float,
    rounds: int,
    seed: int,
    first_number: int,
    lent: LoadGenerator | None = None,
) -> dict[str, tuple[Slice, ...]]:
    """Slices of bursts, alternating between the servers (A B B A …); a slice holds at least one burst.

    Every burst has the same kinds of request with fresh ids; the nth slice of every server sends the same ones.
    The servers should be warm. Latencies count from the burst's moment.
    """
    traffic = Traffic(target, payload_root, seed)
    mix = Mix(traffic, first_number)
    plan = [[mix.next_numbers(SIZE) for _ in range(MAX_BURSTS)] for _ in range(rounds)]
    slices: dict[str, list[Slice]] = {name: [] for name in servers}
    async with at_hand(lent) as generator:

        async def burst(name: str, numbers: Sequence[int]) -> LoadRun:
            return await generator.run(
                servers[name].base_url,
                target,
                payload_root,
                rate=AT_ONCE_PER_S,
                seconds=len(numbers) / AT_ONCE_PER_S,
                seed=seed,
                numbers=numbers,
            )

        for name in slice_order(list(servers), rounds):
            cpu_s, ends_s, done = servers[name].cpu_s(), time.monotonic() + slice_s, []
            for numbers in plan[len(slices[name])]:
                done.append(await burst(name, numbers))
                if time.monotonic() >= ends_s:
                    break
            used_s = servers[name].cpu_s() - cpu_s
            slices[name].append(Slice(_by_place(done), 1000.0 * used_s / (SIZE * len(done))))
    return {name: tuple(measured) for name, measured in slices.items()}


def _by_place(bursts: Sequence[LoadRun]) -> tuple[float | None, ...]:
    """The median latency of the good answers for each place in the burst."""
    places = []
    for place in range(SIZE):
        good = [b.samples[place].latency_ms for b in bursts if len(b.samples) > place and b.samples[place].ok]
        places.append(median(good) if good else None)
    return tuple(places)


Measured = tuple[Ratio, float, float]


def latency_ratio(before: Sequence[Slice], after: Sequence[Slice], seed: int) -> Measured | None:
    """The ratio of latencies and both in ms: the mean over a burst's places of each place's median over rounds.

    A round counts for a place where both sides were answered well there. None with too few rounds.
    """
    rounds = [
        [None if None in pair else pair for pair in zip(one.latencies_ms, two.latencies_ms, strict=True)]
        for one, two in zip(before, after, strict=False)
    ]
    if sum(any(pair is not None for pair in places) for places in rounds) < MIN_ROUNDS:
        return None

    def typical(drawn: Sequence[int], side: int) -> float:
        medians = []
        for place in range(len(rounds[0])):
            values = [pair[side] or 0.0 for number in drawn if (pair := rounds[number][place]) is not None]
            if values:
                medians.append(median(values))
        return sum(medians) / len(medians) if medians else 0.0

    everything = range(len(rounds))
    ratio = paired_ratio(len(rounds), lambda drawn: (typical(drawn, 0), typical(drawn, 1)), seed)
    return ratio, typical(everything, 0), typical(everything, 1)


def cpu_ratio(before: Sequence[Slice], after: Sequence[Slice], seed: int) -> Measured | None:
    """The ratio of CPU time per request, and both in ms; None with too few rounds."""
    pairs = list(zip((one.cpu_ms for one in before), (two.cpu_ms for two in after), strict=False))
    if len(pairs) < MIN_ROUNDS or not all(b > 0 and a > 0 for b, a in pairs):
        return None

    def mean(drawn: Sequence[int], side: int) -> float:
        return sum(pairs[number][side] for number in drawn) / len(drawn)

    everything = range(len(pairs))
    ratio = paired_ratio(len(pairs), lambda drawn: (mean(drawn, 0), mean(drawn, 1)), seed)
    return ratio, mean(everything, 0), mean(everything, 1)
