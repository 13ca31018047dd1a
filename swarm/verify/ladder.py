"""The ladder: trees with one more rule's patches each, measured side by side, so each shows its own gain."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from swarm.bench.bursts import (
    Measured,
    Slice,
    calls_ratio,
    cpu_ratio,
    latency_ratio,
    measure_bursts,
    whole_ratio,
)
from swarm.bench.filling import fill
from swarm.bench.watched import warm_up
from swarm.core.patches import Effect, GateResult
from swarm.rules.rule import Rule
from swarm.target.traffic import Traffic
from swarm.verify.candidate import Stack, extend
from swarm.verify.fixes import Fix
from swarm.verify.lab import Lab
from swarm.verify.standing import Standing, Tree

ORIGINAL = "before"
ROUNDS = 10
FIRST_BURST = 900_000
FIRST_WARM_UP = 890_000
FIRST_FILL = 880_000
LATER_AT_MOST = 1.25  # times as long until all is over, for a patch that answers before its work
LATER_MS = 50.0
SLOWER_MS = 10.0  # what a check, a limit or a record may cost a request


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


def rungs(lab: Lab, fixes: Sequence[Fix], *, one_by_one: bool = False, base: Stack | None = None) -> tuple[Rung, ...]:
    """The trees to measure: one more performance rule each, then all that need not gain together.

    `one_by_one` gives every fix a rung of its own; the lowest stands on `base` (the original where None).
    """
    others = [fix for fix in fixes if fix.category != "performance"]
    gaining = [fix for fix in fixes if fix.category == "performance"]
    steps: list[tuple[tuple[Fix, ...], bool]] = []
    if one_by_one:
        steps = [((fix,), fix.category == "performance") for fix in fixes]
    else:
        steps = [(tuple(group), True) for _, group in itertools.groupby(gaining, key=lambda fix: _step(lab, fix))]
        if others:
            steps.append((tuple(others), False))
    made: list[Rung] = []
    stack = base or lab.original
    for step, gains in steps:
        stack, unbuilt = extend(stack, step, lab.rules)
        missing = {item.fix.key for item in unbuilt}
        made.append(Rung(f"rung {len(made) + 1}", stack, tuple(f for f in step if f.key not in missing), gains))
    return tuple(made)


def _step(lab: Lab, fix: Fix) -> str:
    """Fixes of one rule make a rung; those that keep answers make one together, since they fill side by side.

    What a model wrote stands for itself.
    """
    if fix.edits:
        return fix.key
    rule = lab.rules.get(fix.rule)
    return "keeps" if rule is not None and rule.keeps else fix.rule


async def climb(standing: Standing, steps: Sequence[Rung], base: Stack | None = None) -> tuple[Judged, ...]:
    """Burst at every tree and judge each against the rung below; afterwards the lowest and the top run on.

    The lowest is `base`, the original where None.

    Upstream answers are held to their routes' usual latency meanwhile: their chance is no patch's merit.
    """
    lab = standing.lab
    trees = {ORIGINAL: Tree(base or lab.original), **{rung.name: Tree(rung.stack) for rung in steps}}
    lab.say(f"benchmark: starting {len(trees)} trees")
    servers = await standing.run(trees)
    traffic = Traffic(lab.target, lab.payload_root, lab.seed)
    standing.steady.on = True
    try:
        await asyncio.gather(*(warm_up(server, traffic, FIRST_WARM_UP, 0.0) for server in servers.values()))
        await fill([servers[name] for name in to_fill(steps, lab.rules)], traffic, FIRST_FILL)
        lab.say(f"benchmark: {len(servers)} trees side by side, in bursts")
        runs = await measure_bursts(
            servers, lab.target, lab.payload_root, rounds=ROUNDS, seed=lab.seed, first_number=FIRST_BURST
        )
    finally:
        standing.steady.on = False
    await standing.keep(trees[ORIGINAL], trees[steps[-1].name])
    judged, below = [], ORIGINAL
    for rung in steps:
        judged.append(judge_rung(rung, *runs[below, rung.name], lab.seed))
        below = rung.name
    return tuple(judged)


def to_fill(steps: Sequence[Rung], rules: Mapping[str, Rule]) -> list[str]:
    """The trees from the one below the first that keeps something: neighbours must have seen the same."""
    names = [ORIGINAL, *(rung.name for rung in steps)]
    for number, rung in enumerate(steps):
        if any(fix.rule in rules and rules[fix.rule].keeps for fix in rung.fixes):
            return names[number:]
    return []


def judge_rung(rung: Rung, below: Sequence[Slice], here: Sequence[Slice], seed: int) -> Judged:
    """A performance rung must gain: in the answer, until all is over, in CPU time or in upstream calls, and lose in
    neither time.

    Any other must not lose. To gain or to lose takes an interval clear of 1. What answers before its work is done
    may end a little later than it did.
    """
    answer, whole = latency_ratio(below, here, seed), whole_ratio(below, here, seed)
    if answer is None:
        return Judged(rung, GateResult("benchmark", False, "too few good answers to compare"), None)
    words, effect = _told("webhook_latency_mean", answer)
    if not rung.gains:
        if _slower(answer):
            return Judged(rung, GateResult("benchmark", False, f"slower: {words}"), effect)
        if whole is not None and _slower(whole):
            words, effect = _told("webhook_end_to_end_mean", whole)
            return Judged(rung, GateResult("benchmark", False, f"slower: {words}"), effect)
        return Judged(rung, GateResult("benchmark", True, words), effect)
    if _change(answer) == "better":
        late = whole is not None and _much_later(whole)
        told = f"{words}; but {_told('webhook_end_to_end_mean', whole)[0]}" if late and whole else words
        return Judged(rung, GateResult("benchmark", not late, told), effect)
    if _change(answer) == "worse" or _change(whole) == "worse":
        return Judged(rung, GateResult("benchmark", False, f"gains nothing: {words}"), effect)
    tried = [words]
    for metric, measured in (
        ("webhook_end_to_end_mean", whole),
        ("cpu_time_per_request", cpu_ratio(below, here, seed)),
        ("upstream_calls_per_request", calls_ratio(below, here, seed)),
    ):
        if measured is None:
            continue
        these, this = _told(metric, measured)
        if _change(measured) == "better":
            return Judged(rung, GateResult("benchmark", True, "; ".join([these, *tried])), this)
        if metric.startswith("cpu"):
            tried.insert(0, these)
    return Judged(rung, GateResult("benchmark", False, f"gains nothing: {'; '.join(tried)}"), effect)


def _change(measured: Measured | None) -> str:
    return "no change" if measured is None else measured[0].change


def _slower(measured: Measured) -> bool:
    """Whether it is slower by more than may be, at the kind end of the interval too: chance refuses no check."""
    ratio, before_ms, _ = measured
    return ratio.change == "worse" and before_ms * (ratio.ci95[0] - 1.0) > SLOWER_MS


def _much_later(measured: Measured) -> bool:
    ratio, before_ms, after_ms = measured
    return ratio.change == "worse" and ratio.value > LATER_AT_MOST and after_ms - before_ms > LATER_MS


def _told(metric: str, measured: Measured) -> tuple[str, Effect]:
    """A measured ratio in words and as an effect."""
    ratio, before, after = measured
    low, high = ratio.ci95
    figures = (
        f"{before:.2f} → {after:.2f}" if metric == "upstream_calls_per_request" else f"{before:.0f} → {after:.0f} ms"
    )
    words = f"{metric} {figures}, ratio {ratio.value:.2f} [{low:.2f}, {high:.2f}]"
    return words, Effect(metric, before, after, ratio.value, ratio.ci95)
