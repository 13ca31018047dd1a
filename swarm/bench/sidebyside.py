"""Measures servers side by side in alternating slices (A B B A …) and compares them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from swarm.bench.load import LoadGenerator, LoadRun, at_hand, error_rate
from swarm.bench.statistics import Statistic, paired_slices_ratio, summarize
from swarm.config.schema import Target
from swarm.core.metrics import Comparison, Ratio
from swarm.core.report import ResourceUse
from swarm.target.running.server import RunningServer

SAMPLE_EVERY_S = 0.2
MIN_SLICES = 2
WARM_UP_REQUESTS = 6


@dataclass(frozen=True, slots=True)
class Side:
    """One server's part of a measurement; `cold` is the warm-up, reported apart and never in `runs`."""

    cold: LoadRun | None
    runs: tuple[LoadRun, ...]


def slice_order(names: Sequence[str], rounds: int) -> list[str]:
    """Every name once a round: A B, B A, B A, A B, …: no side is always first, and drift hits all alike."""
    order: list[str] = []
    for number in range(rounds):
        turn = (number // 2) % len(names)
        turned = [*names[turn:], *names[:turn]]
        order += turned if number % 2 == 0 else reversed(turned)
    return order


async def measure_sides(
    servers: Mapping[str, RunningServer], target: Target, payload_root: Path, *, rate: float,
    slice_s: float, rounds: int,
    seed: int, warmup: int = WARM_UP_REQUESTS, progress: Callable[[str], None] | None = None,
    lent: LoadGenerator | None = None,
) -> dict[str, Side]:  # fmt: skip
    """Load all servers in alternating slices, each of which ends before the next begins.

    The nth slices of all sides begin with the same request. `rounds` is the number of slices of each.
    """
    tell = progress or (lambda message: None)
    cold: dict[str, LoadRun] = {}
    runs: dict[str, list[LoadRun]] = {name: [] for name in servers}
    per_slice = max(1, round(rate * slice_s))
    async with at_hand(lent) as generator:
        load = _Loader(generator, target, payload_root, rate, seed)
        if warmup > 0:
            for name, server in servers.items():
                tell(f"warming up {name}")
                cold[name] = await load.slice(server, warmup / rate, 0)
        order = slice_order(list(servers), rounds)
        for at, name in enumerate(order, 1):
            number = len(runs[name])
            tell(f"slice {at} of {len(order)}: {name}, {rate:g} requests/s for {slice_s:g} s")
            first = warmup + number * per_slice
            runs[name].append(await load.slice(servers[name], slice_s, first))
    return {name: Side(cold.get(name), tuple(runs[name])) for name in servers}


async def measure_alternating(
    servers: Mapping[str, RunningServer], target: Target, payload_root: Path, *, rate: float,
    slice_s: float, rounds: int,
    seed: int, warmup: int = WARM_UP_REQUESTS, progress: Callable[[str], None] | None = None,
    lent: LoadGenerator | None = None,
) -> dict[str, tuple[LoadRun, ...]]:  # fmt: skip
    """The slices of `measure_sides` without the cold start."""
    sides = await measure_sides(
        servers, target, payload_root, rate=rate, slice_s=slice_s, rounds=rounds, seed=seed, warmup=warmup,
        progress=progress, lent=lent,
    )  # fmt: skip
    return {name: side.runs for name, side in sides.items()}


@dataclass(frozen=True, slots=True)
class _Loader:
    generator: LoadGenerator
    target: Target
    payload_root: Path
    rate: float
    seed: int

    async def slice(self, server: RunningServer, seconds: float, first_number: int) -> LoadRun:
        peaks: list[int] = []
        watch = asyncio.create_task(_sample_rss(server, peaks))
        cpu_s, began_s = _cpu(server), time.monotonic()
        try:
            run = await self.generator.run(
                server.base_url, self.target, self.payload_root, rate=self.rate, seconds=seconds, seed=self.seed,
                first_number=first_number,
            )  # fmt: skip
        finally:
            watch.cancel()
        wall_s, ended_cpu_s = time.monotonic() - began_s, _cpu(server)
        used = None if cpu_s is None or ended_cpu_s is None else max(0.0, ended_cpu_s - cpu_s)
        return replace(run, rss_bytes=max(peaks, default=None), cpu_s=used, wall_s=wall_s)


async def _sample_rss(server: RunningServer, peaks: list[int]) -> None:
    while True:
        try:
            peaks.append(server.rss_bytes())
        except OSError:
            return
        await asyncio.sleep(SAMPLE_EVERY_S)


def _cpu(server: RunningServer) -> float | None:
    try:
        return server.cpu_s()
    except OSError:
        return None


def pooled(runs: Sequence[LoadRun]) -> LoadRun:
    """The slices of one server as one run."""
    return replace(
        runs[0],
        samples=tuple(sample for run in runs for sample in run.samples),
        behind_ms=max(run.behind_ms for run in runs),
        valid=all(run.valid for run in runs),
        seconds=sum(run.seconds for run in runs),
    )


def resources(runs: Sequence[LoadRun]) -> ResourceUse:
    """Peak resident memory in MB (10^6) and mean CPU in percent of one core over the runs."""
    rss = [run.rss_bytes for run in runs if run.rss_bytes]
    cpu = [(run.cpu_s, run.wall_s) for run in runs if run.cpu_s is not None and run.wall_s]
    wall_s = sum(wall for _, wall in cpu)
    return ResourceUse(
        rss_mb=round(max(rss) / 1e6, 1) if rss else None,
        cpu_percent=round(100.0 * sum(used for used, _ in cpu) / wall_s, 1) if wall_s else None,
    )


def compare(name: str, before: Sequence[LoadRun], after: Sequence[LoadRun], seed: int) -> Comparison:
    """Latency of good answers, before and after; a ratio is None where it cannot be judged, and `note` says why.

    The nth slices of both sides must have sent the same requests, as `measure_sides` does.
    """
    slices = [run.latencies_ms for run in before], [run.latencies_ms for run in after]
    pooled = [tuple(value for part in side for value in part) for side in slices]
    notes = _notes(before, after)

    paired = paired_latencies(before, after)

    def ratio(statistic: Statistic) -> Ratio | None:
        if sum(bool(part) for part in paired[0]) < MIN_SLICES:
            return None
        return paired_slices_ratio(*paired, statistic, seed)

    ratios = ratio("p50"), ratio("p95")
    if None in ratios:
        notes.append(f"no ratio: fewer than {MIN_SLICES} slices in which both sides answered the same request well")
    return Comparison(
        name, "ms", summarize(pooled[0]) if pooled[0] else None, summarize(pooled[1]) if pooled[1] else None,
        ratios[0], ratios[1], pooled[0], pooled[1], "; ".join(notes),
    )  # fmt: skip


Slices = list[list[float]]


def paired_latencies(before: Sequence[LoadRun], after: Sequence[LoadRun]) -> tuple[Slices, Slices]:
    """By slice, the latencies of the requests that both sides answered well, in the same order."""
    left: Slices = []
    right: Slices = []
    for one, other in zip(before, after, strict=False):
        pairs = [(b, a) for b, a in zip(one.samples, other.samples, strict=False) if b.ok and a.ok]
        left.append([b.latency_ms for b, _ in pairs])
        right.append([a.latency_ms for _, a in pairs])
    return left, right


def _notes(before: Sequence[LoadRun], after: Sequence[LoadRun]) -> list[str]:
    runs = [*before, *after]
    notes = []
    late = sum(not run.valid for run in runs)
    if late:
        notes.append(f"the load generator fell behind its schedule in {late} of {len(runs)} slices")
    rates = error_rate(before), error_rate(after)
    if any(rates):
        shown = [f"{rate:.1%}" if rate is not None else "nothing sent" for rate in rates]
        notes.append(f"errors {shown[0]} before, {shown[1]} after; latencies are those of good answers alone")
    return notes
