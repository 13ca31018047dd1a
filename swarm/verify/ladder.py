"""The ladder: trees with one more rule's patches each, measured side by side, so each shows its own gain."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from swarm.bench.bursts import (
    Bursts,
    Measured,
    Sides,
    calls_ratio,
    cpu_ratio,
    latency_ratio,
    whole_ratio,
)
from swarm.bench.filling import fill
from swarm.bench.watched import warm_up
from swarm.core.metrics import Ratio
from swarm.core.patches import Effect, GateResult
from swarm.rules.rule import Rule
from swarm.target.traffic import Traffic
from swarm.verify.candidate import Stack, extend
from swarm.verify.fixes import Fix
from swarm.verify.lab import Lab
from swarm.verify.standing import Standing, Tree, end

ORIGINAL = "before"
BURSTS = 5  # rounds
ALONE = 6  # rounds of requests one by one
FIRST_BURST = 900_000
FIRST_WARM_UP = 890_000
FIRST_FILL = 880_000
LATER_AT_MOST = 1.25  # times as long until all is over, for a patch that answers before its work
LATER_MS = 50.0
WIDER = 1.3  # times the interval, for one of several figures that may show a gain: chance has several tries
SLOWER_MS = 10.0  # what a check, a limit or a record may cost a request


@dataclass(frozen=True, slots=True)
class Rung:
    """One tree of the ladder; `fixes` are those that it has and the rung below has not. The `top` has them all."""

    name: str
    stack: Stack
    fixes: tuple[Fix, ...]
    gains: bool
    top: bool = False

    @property
    def tree(self) -> Tree:
        """What runs of it; the top is one of the benchmark's ends."""
        return end(self.stack) if self.top else Tree(self.stack)


@dataclass(frozen=True, slots=True)
class Judged:
    """What the ladder says of one rung's fixes."""

    rung: Rung
    result: GateResult
    effect: Effect | None


async def raised(
    standing: Standing, fixes: Sequence[Fix], *, one_by_one: bool = False, base: Stack | None = None
) -> tuple[Rung, ...]:
    """The rungs, written in a thread; the tree of each starts while the next is written.

    A patched base is started afresh with the others: one that ran on has kept answers, and takes the bursts' events
    for repeated ones. Raises TargetError where one does not start.
    """
    lab, loop = standing.lab, asyncio.get_running_loop()
    starting: list[asyncio.Task[object]] = []
    given_up = False

    def start(name: str, tree: Tree) -> None:
        if not given_up:  # the thread that writes cannot be stopped
            starting.append(loop.create_task(standing.run({name: tree})))

    def written(rung: Rung) -> None:
        loop.call_soon_threadsafe(start, rung.name, rung.tree)

    if base is not None:
        await standing.keep()
    try:
        start(ORIGINAL, end(base or lab.original))
        steps = await asyncio.to_thread(
            rungs, lab, fixes, one_by_one=one_by_one, base=base, written=written
        )  # fmt: skip
        await asyncio.gather(*starting)
    finally:
        given_up = True
        for task in starting:
            task.cancel()
        await asyncio.gather(*starting, return_exceptions=True)
    return steps


def rungs(
    lab: Lab, fixes: Sequence[Fix], *, one_by_one: bool = False, base: Stack | None = None,
    written: Callable[[Rung], None] = lambda rung: None,
) -> tuple[Rung, ...]:  # fmt: skip
    """The trees to measure: one more performance rule each, then all that need not gain together.

    `one_by_one` gives every fix a rung of its own; the lowest stands on `base` (the original where None). Each is
    told to `written` before the next one is begun.
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
    for number, (step, gains) in enumerate(steps, 1):
        stack, unbuilt = extend(stack, step, lab.rules)
        missing = {item.fix.key for item in unbuilt}
        built = tuple(fix for fix in step if fix.key not in missing)
        if built:
            made.append(Rung(f"rung {len(made) + 1}", stack, built, gains, top=number == len(steps)))
            written(made[-1])
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
    if not steps:
        return ()
    trees = {ORIGINAL: end(base or lab.original), **{rung.name: rung.tree for rung in steps}}
    lab.say(f"benchmark: {len(trees)} trees run side by side")
    servers = await standing.run(trees)
    if not lab.recording.done():
        await asyncio.wait({lab.recording})  # nothing else is at work while patches are weighed
    traffic = Traffic(lab.target, lab.payload_root, lab.seed)
    standing.steady.on = True
    keeping = to_fill(steps, lab.rules)
    bursts = Bursts(servers, traffic, FIRST_BURST, keeping[1:])
    try:
        await asyncio.gather(*(warm_up(server, traffic, FIRST_WARM_UP) for server in servers.values()))
        await fill([servers[name] for name in keeping], traffic, FIRST_FILL)
        runs = await bursts.measure(BURSTS, ALONE)
    finally:
        bursts.close()
        standing.steady.on = False
    await standing.keep(trees[ORIGINAL], trees[steps[-1].name])
    judged, below = [], ORIGINAL
    for rung in steps:
        judged.append(judge_rung(rung, runs[below, rung.name], lab.seed))
        below = rung.name
    return tuple(judged)


def to_fill(steps: Sequence[Rung], rules: Mapping[str, Rule]) -> list[str]:
    """The trees from the one below the first that keeps something: neighbours must have seen the same."""
    names = [ORIGINAL, *(rung.name for rung in steps)]
    for number, rung in enumerate(steps):
        if any(fix.rule in rules and rules[fix.rule].keeps for fix in rung.fixes):
            return names[number:]
    return []


def judge_rung(rung: Rung, sides: Sides, seed: int) -> Judged:
    """A performance rung must gain: in the answer, until all is over, in CPU time or in upstream calls, and lose in
    neither time.

    Any other must not lose. To gain or to lose takes an interval clear of 1; where the answers of bursts show no
    gain, what else may show one must do so more clearly. What answers before its work is done may end a little later
    than it did.
    """
    answer, whole = latency_ratio(*sides.together, seed), whole_ratio(*sides.together, seed)
    if answer is None:
        return Judged(rung, GateResult("benchmark", False, "too few good answers to compare"), None)
    words, effect = _told("webhook_latency_mean", answer)
    alone, whole_alone = latency_ratio(*sides.alone, seed), whole_ratio(*sides.alone, seed)
    if not rung.gains:
        for metric, measured in (
            ("webhook_latency_mean", answer),
            ("webhook_latency_alone_mean", alone),
            ("webhook_end_to_end_mean", whole),
        ):
            if measured is not None and _slower(measured):
                words, effect = _told(metric, measured)
                return Judged(rung, GateResult("benchmark", False, f"slower: {words}"), effect)
        return Judged(rung, GateResult("benchmark", True, words), effect)
    if _change(answer) == "better":
        late = whole is not None and _much_later(whole)
        told = f"{words}; but {_told('webhook_end_to_end_mean', whole)[0]}" if late and whole else words
        return Judged(rung, GateResult("benchmark", not late, told), effect)
    if "worse" in {_change(answer), _change(whole), _change(alone)}:
        return Judged(rung, GateResult("benchmark", False, f"gains nothing: {words}"), effect)
    tried = [words]
    for metric, measured in (
        ("webhook_latency_alone_mean", alone),
        ("webhook_end_to_end_mean", whole),
        ("webhook_end_to_end_alone_mean", whole_alone),
        ("cpu_time_per_request", cpu_ratio(*sides.all, seed)),
        ("upstream_calls_per_request", calls_ratio(*sides.all, seed)),
    ):
        if measured is None:
            continue
        these, this = _told(metric, measured)
        if _clearly_better(measured[0]):
            return Judged(rung, GateResult("benchmark", True, "; ".join([these, *tried])), this)
        if metric.startswith(("cpu", "webhook_latency")):
            tried.insert(0, these)
    return Judged(rung, GateResult("benchmark", False, f"gains nothing: {'; '.join(tried)}"), effect)


def _change(measured: Measured | None) -> str:
    return "no change" if measured is None else measured[0].change


def _clearly_better(ratio: Ratio) -> bool:
    """Whether an interval that is wider by WIDER is clear of 1 as well."""
    high = ratio.ci95[1]
    return ratio.change == "better" and ratio.value * (high / ratio.value) ** WIDER < 1.0


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
