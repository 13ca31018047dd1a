"""The ladder: trees with one more performance patch each, loaded side by side, so each patch shows its own gain."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass

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
MAX_RUNGS = 8
_ENDS_SHARE = 0.5


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
class Ladder:
    """All verdicts, and the runs of the lowest and the highest rung."""

    judged: tuple[Judged, ...]
    before: tuple[LoadRun, ...]
    after: tuple[LoadRun, ...]
    comparison: Comparison


def rungs(lab: Lab, fixes: Sequence[Fix], *, one_by_one: bool = False) -> tuple[Rung, ...]:
    """The trees to measure: others together (or one by one), then one more performance fix each."""
    gaining = [fix for fix in fixes if fix.category == "performance"]
    others = [fix for fix in fixes if fix.category != "performance"]
    steps: list[tuple[tuple[Fix, ...], bool]] = []
    if others:
        steps += [((fix,), False) for fix in others] if one_by_one else [(tuple(others), False)]
    alone, together = gaining[: MAX_RUNGS - 1], gaining[MAX_RUNGS - 1 :]
    steps += [((fix,), True) for fix in alone]
    if together:
        steps.append((tuple(together), True))
    made: list[Rung] = []
    stack = lab.original
    for step, gains in steps:
        stack, unbuilt = extend(stack, step, lab.rules)
        missing = {item.fix.key for item in unbuilt}
        made.append(Rung(f"rung {len(made) + 1}", stack, tuple(f for f in step if f.key not in missing), gains))
    return tuple(made)


async def climb(lab: Lab, steps: Sequence[Rung], rate: float, seconds: float) -> Ladder:
    """Start every rung's tree, load them in alternating slices, judge each against the rung below."""
    async with AsyncExitStack() as stack:
        servers = await _start_all(lab, steps, stack)
        ends = max(1.0, seconds / ROUNDS)
        between = max(1.0, ends * _ENDS_SHARE)
        last = steps[-1].name
        slices = {name: ends if name in (ORIGINAL, last) else between for name in servers}
        lab.say(f"benchmark: {len(servers)} trees side by side at {rate:g}/s")
        runs = await measure_alternating(
            servers, lab.target, lab.payload_root, rate=rate, slice_s=slices, rounds=ROUNDS, seed=lab.seed
        )
    judged, below = [], ORIGINAL
    for rung in steps:
        judged.append(_judge(rung, runs[below], runs[rung.name], lab.seed))
        below = rung.name
    whole = compare("webhook latency", runs[ORIGINAL], runs[last], lab.seed)
    return Ladder(tuple(judged), runs[ORIGINAL], runs[last], whole)


async def _start_all(lab: Lab, steps: Sequence[Rung], stack: AsyncExitStack) -> Mapping[str, RunningServer]:
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
    gains95 = p95.change == "better" and p50.change != "better"
    metric, ratio = ("webhook_latency_p95", p95) if gains95 else ("webhook_latency_p50", p50)
    before = measured.before.p95 if gains95 else measured.before.p50
    after = measured.after.p95 if gains95 else measured.after.p50
    effect = Effect(metric, before, after, ratio.value, ratio.ci95)
    words = (
        f"{metric} {before:.0f} → {after:.0f} ms, ratio {ratio.value:.2f} [{ratio.ci95[0]:.2f}, {ratio.ci95[1]:.2f}]"
    )
    if rung.gains:
        passed = ratio.change == "better" and p50.change != "worse"
        return Judged(rung, GateResult("benchmark", passed, words if passed else f"gains nothing: {words}"), effect)
    passed = p50.change != "worse"
    return Judged(rung, GateResult("benchmark", passed, words if passed else f"slower: {words}"), effect)
