"""Finds how many requests per second a server finishes: rising steps, each over when its work is done."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from pathlib import Path

from swarm.bench.load import LoadGenerator, LoadRun, at_hand, error_rate
from swarm.bench.statistics import percentile
from swarm.bench.watched import Watched
from swarm.config.schema import Target

RISE = 2.0
ERROR_LIMIT = 0.01
MIN_REQUESTS = 4
QUIET_S = 2.0  # after the last answer: by then the upstreams must have nothing more to do
CALM_S = 0.1
SETTLE_S = 10.0  # at most, for what a failed step left waiting in the server
IDLE_SHARE = 0.1  # of a core: a server that uses less has nothing left to do
LOOK_S = 0.25
LIMITED_SHARE = 0.5  # of the failures of a step: so many 429 are a limit, not exhaustion
FIRST_NUMBER = 1_000_000  # payloads that no other measurement of the run has sent


@dataclass(frozen=True, slots=True)
class CapacityStep:
    """One rate that was offered; `passed` is None where it failed and the generator fell behind too.

    `quiet` says whether the upstreams had nothing more to do soon after the last answer.
    """

    rate: float
    passed: bool | None
    p95_ms: float | None
    errors: float
    quiet: bool = True
    limited: bool = False  # most of its failures were 429


@dataclass(frozen=True, slots=True)
class CapacityResult:
    """The highest rate that passed (None: not even the first), the criterion in words, and all steps."""

    rps: float | None
    criterion: str
    steps: tuple[CapacityStep, ...]


def criterion_text(p95_bound_ms: float, step_s: float) -> str:
    """What a rate had to meet."""
    return (
        f"highest offered rate (steps of ×{RISE:g}) held for {step_s:g} s with under "
        f"{ERROR_LIMIT:.0%} errors (one forgiven in a step of under 100 requests), p95 under {p95_bound_ms:g} ms and "
        f"all upstream work done within {QUIET_S:g} s of the last answer"
    )


async def find_capacity(
    watched: Watched, target: Target, payload_root: Path, *, start_rate: float, seed: int,
    step_s: float = 2.0, max_steps: int = 7, p95_bound_ms: float = 1000.0, max_total_s: float = 30.0,
    known: LoadRun | None = None, lent: LoadGenerator | None = None,
) -> CapacityResult:  # fmt: skip
    """Raise the rate until a step fails, or lower it until one passes; bounded by `max_steps` and `max_total_s`.

    `known` is a run at `start_rate` that was made already and stands for the first step.
    """
    steps: list[CapacityStep] = []
    ends_s = time.monotonic() + max_total_s

    async def passes(generator: LoadGenerator, rate: float) -> bool:
        if known is not None and not steps:
            steps.append(judge(known, p95_bound_ms))
            return steps[-1].passed is True
        seconds, first_number = max(step_s, MIN_REQUESTS / rate), FIRST_NUMBER * (len(steps) + 1)
        run = await generator.run(
            watched.server.base_url, target, payload_root, rate=rate, seconds=seconds, seed=seed,
            first_number=first_number, timeout_s=p95_bound_ms / 1000,
        )  # fmt: skip
        quiet = await watched.view.quiet(CALM_S, QUIET_S)
        steps.append(judge(run, p95_bound_ms, quiet=quiet))
        return steps[-1].passed is True

    def may_go_on() -> bool:
        return len(steps) < max_steps and time.monotonic() + step_s < ends_s

    best, failed = None, False
    async with at_hand(lent) as generator:
        rate = start_rate
        while not failed and may_go_on():
            if await passes(generator, rate):
                best, rate = rate, rate * RISE
            else:
                failed = True
        while best is None and rate > start_rate / 5 and may_go_on():
            await settled(watched)
            rate /= 2
            best = rate if await passes(generator, rate) else None
    return CapacityResult(best, criterion_text(p95_bound_ms, step_s) + _ended_by(steps, failed), tuple(steps))


async def settled(watched: Watched) -> None:
    """Wait until nothing is left of an overload: no upstream call, and hardly any processor time."""
    ends_s = time.monotonic() + SETTLE_S
    await watched.view.quiet(CALM_S, SETTLE_S)
    used_s = watched.server.cpu_s()
    while time.monotonic() < ends_s:
        await asyncio.sleep(LOOK_S)
        before_s, used_s = used_s, watched.server.cpu_s()
        if used_s - before_s < IDLE_SHARE * LOOK_S:
            return


def _ended_by(steps: list[CapacityStep], failed: bool) -> str:
    if not failed:
        return "; ended by its own limit before a step failed, so the true figure is higher"
    if any(step.limited for step in steps if step.passed is not True):
        return "; beyond it most failures were 429: a limit that the service sets, not exhaustion"
    if any(step.passed is None for step in steps):
        return "; the load generator fell behind in a step that failed, so the true figure may be higher"
    return ""


def judge(run: LoadRun, p95_bound_ms: float, *, quiet: bool = True) -> CapacityStep:
    """Whether a step passed; requests without a good answer count as slow ones in the percentile.

    A step of under 100 requests cannot show 1 %: there a single failure is forgiven.
    """
    errors = error_rate([run]) or 0.0
    failures = sum(not sample.ok for sample in run.samples)
    limited = failures > 0 and sum(sample.status == 429 for sample in run.samples) >= LIMITED_SHARE * failures
    forgiven = failures == 1 and len(run.samples) < 100
    latencies = sorted(sample.latency_ms if sample.ok else float("inf") for sample in run.samples)
    counted = latencies[:-1] if forgiven else latencies
    p95_ms = percentile(counted, 95) if counted else float("inf")
    good = (errors < ERROR_LIMIT or forgiven) and p95_ms < p95_bound_ms
    # a late generator makes latencies worse and never better: what passed all the same did pass
    passed = good and quiet if good or run.valid else None
    return CapacityStep(
        run.rate, passed, None if p95_ms == float("inf") else round(p95_ms, 3), errors, quiet, limited
    )
