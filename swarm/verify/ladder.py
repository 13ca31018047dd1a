"""The ladder: trees with one more rule's patches each, measured side by side, so each shows its own gain."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass

from swarm.bench.bursts import measure_bursts
from swarm.bench.load import LoadRun
from swarm.bench.sidebyside import compare, measure_alternating
from swarm.core.errors import TargetError
from swarm.core.metrics import Comparison
from swarm.core.patches import Effect, GateResult
from swarm.target.copies import Copy
from swarm.target.server import RunningServer, start_server
from swarm.target.upstreams import Upstreams
from swarm.verify.candidate import Stack, extend
from swarm.verify.fixes import Fix
from swarm.verify.lab import Lab

ORIGINAL = "before"
ROUNDS = 4
BURST_SLICE_S = 0.8
FIRST_BURST = 900_000


@dataclass(frozen=True, slots=True)
class Rung:
    """One tree of the ladder; `fixes` are those that it has and the rung below has not."""

    name: str
    stack: Stack
    fixes: tuple[Fix, ...]
    gains: bool


@dataclass(frozen=True, slots=True)
class Judged:
    """What the ladder says of one rung's fixes."""

    rung: Rung
    result: GateResult
    effect: Effect | None


@dataclass(frozen=True, slots=True)
class BeforeAfter:
    """The original and the whole stack under the target's own load."""

    before: tuple[LoadRun, ...]
    after: tuple[LoadRun, ...]
    comparison: Comparison


def rungs(lab: Lab, fixes: Sequence[Fix], *, one_by_one: bool = False) -> tuple[Rung, ...]:
    """The trees to measure: all that need not gain together, then one more performance rule each.

    `one_by_one` gives every fix a rung of its own.
    """
    others = [fix for fix in fixes if fix.category != "performance"]
    gaining = [fix for fix in fixes if fix.category == "performance"]
    steps: list[tuple[tuple[Fix, ...], bool]] = []
    if one_by_one:
        steps = [((fix,), fix.category == "performance") for fix in fixes]
    else:
        if others:
            steps.append((tuple(others), False))
        steps += [(tuple(group), True) for _, group in itertools.groupby(gaining, key=lambda fix: fix.rule)]
    made: list[Rung] = []
    stack = lab.original
    for step, gains in steps:
        stack, unbuilt = extend(stack, step, lab.rules)
        missing = {item.fix.key for item in unbuilt}
        made.append(Rung(f"rung {len(made) + 1}", stack, tuple(f for f in step if f.key not in missing), gains))
    return tuple(made)


async def climb(lab: Lab, steps: Sequence[Rung], burst: int) -> tuple[Judged, ...]:
    """Start every rung's tree, burst at them in alternating slices, judge each against the rung below."""
    async with AsyncExitStack() as stack:
        servers = await start_all(lab, steps, stack)
        lab.say(f"benchmark: {len(servers)} trees side by side, in bursts of {burst}")
        runs = await measure_bursts(
            servers, lab.target, lab.payload_root,
            size=burst, slice_s=BURST_SLICE_S, rounds=ROUNDS, seed=lab.seed, first_number=FIRST_BURST,
        )  # fmt: skip
    judged, below = [], ORIGINAL
    for rung in steps:
        judged.append(_judge(rung, runs[below], runs[rung.name], lab.seed))
        below = rung.name
    return tuple(judged)


async def before_and_after(lab: Lab, final: Stack) -> BeforeAfter:
    """The open-loop benchmark at the target's own rate: the original and the whole stack, A B B A."""
    load = lab.target.load
    rung = Rung("after", final, final.fixes, True)
    async with AsyncExitStack() as stack:
        servers = await start_all(lab, [rung], stack)
        lab.say(f"benchmark: before and after side by side at {load.rate:g}/s")
        runs = await measure_alternating(
            servers, lab.target, lab.payload_root,
            rate=load.rate, slice_s=load.seconds / ROUNDS, rounds=ROUNDS, seed=lab.seed,
            warmup=max(2, round(load.rate)),
        )  # fmt: skip
    whole = compare("webhook latency", runs[ORIGINAL], runs["after"], lab.seed)
    return BeforeAfter(runs[ORIGINAL], runs["after"], whole)


async def start_all(lab: Lab, steps: Sequence[Rung], stack: AsyncExitStack) -> Mapping[str, RunningServer]:
    """One set of upstreams for all, so that every tree meets the same."""
    base = lab.trial(lab.original, ())
    stack.callback(base.discard)
    folder = lab.folder("ladder")
    upstreams = await Upstreams.start(lab.place, base.copy, lab.target, tmp=folder / "upstreams", seed=lab.seed)
    stack.push_async_callback(upstreams.stop)
    servers: dict[str, RunningServer] = {}
    copies: dict[str, Copy] = {ORIGINAL: base.copy}
    for rung in steps:
        trial = lab.trial(rung.stack, ())
        stack.callback(trial.discard)
        copies[rung.name] = trial.copy
    for name, copy in copies.items():
        try:
            server = await start_server(
                lab.place, copy, lab.target, upstream_env=upstreams.env, inject=upstreams.inject,
                tmp=folder / name.replace(" ", "-"),
            )  # fmt: skip
        except TargetError as error:
            raise TargetError(f"{name} did not start for the benchmark: {error}") from None
        stack.push_async_callback(server.stop)
        servers[name] = server
    return servers


def _judge(rung: Rung, below: Sequence[LoadRun], here: Sequence[LoadRun], seed: int) -> Judged:
    """A performance rung must gain at p50 or p95; any other must not lose."""
    measured = compare("webhook latency", below, here, seed)
    if measured.ratio_p50 is None or measured.ratio_p95 is None or not measured.before or not measured.after:
        detail = measured.note or "too few good answers to compare"
        return Judged(rung, GateResult("benchmark", False, detail), None)
    p50, p95 = measured.ratio_p50, measured.ratio_p95
    by_p95 = p95.change == "better" and p50.change != "better"
    metric, ratio = ("webhook_latency_p95", p95) if by_p95 else ("webhook_latency_p50", p50)
    before = measured.before.p95 if by_p95 else measured.before.p50
    after = measured.after.p95 if by_p95 else measured.after.p50
    effect = Effect(metric, before, after, ratio.value, ratio.ci95)
    low, high = ratio.ci95
    words = f"{metric} {before:.0f} → {after:.0f} ms, ratio {ratio.value:.2f} [{low:.2f}, {high:.2f}]"
    if rung.gains:
        passed = ratio.change == "better" and p50.change != "worse"
        return Judged(rung, GateResult("benchmark", passed, words if passed else f"gains nothing: {words}"), effect)
    passed = p50.change != "worse"
    return Judged(rung, GateResult("benchmark", passed, words if passed else f"slower: {words}"), effect)
