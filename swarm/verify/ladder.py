"""The ladder: trees with one more rule's patches each, measured side by side, so each shows its own gain."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass

from swarm.bench.bursts import Slice, cpu_ratio, latency_ratio, measure_bursts
from swarm.bench.capacity import find_capacity
from swarm.bench.load import LoadGenerator, LoadRun
from swarm.bench.serial import send_in_turn
from swarm.bench.sidebyside import compare, measure_alternating, pooled
from swarm.core.errors import TargetError
from swarm.core.metrics import Comparison, Ratio
from swarm.core.patches import Effect, GateResult
from swarm.core.report import Capacity
from swarm.target.copies import Copy
from swarm.target.server import RunningServer, start_server
from swarm.target.traffic import Traffic
from swarm.target.upstreams import Upstreams
from swarm.verify.candidate import Stack, extend
from swarm.verify.fixes import Fix
from swarm.verify.lab import Lab

ORIGINAL = "before"
ROUNDS = 4
BURST_SLICE_S = 0.4
FIRST_BURST = 900_000
FIRST_WARM_UP = 890_000
WARM_UPS = 1
STEP_S = 0.8
SLOWER_AT_MOST = 2.0  # times the original's median, where capacity ends
MAX_STEPS = 9


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
    """The trees to measure: one more performance rule each, then all that need not gain together.

    `one_by_one` gives every fix a rung of its own.
    """
    others = [fix for fix in fixes if fix.category != "performance"]
    gaining = [fix for fix in fixes if fix.category == "performance"]
    steps: list[tuple[tuple[Fix, ...], bool]] = []
    if one_by_one:
        steps = [((fix,), fix.category == "performance") for fix in fixes]
    else:
        steps = [(tuple(group), True) for _, group in itertools.groupby(gaining, key=lambda fix: fix.rule)]
        if others:
            steps.append((tuple(others), False))
    made: list[Rung] = []
    stack = lab.original
    for step, gains in steps:
        stack, unbuilt = extend(stack, step, lab.rules)
        missing = {item.fix.key for item in unbuilt}
        made.append(Rung(f"rung {len(made) + 1}", stack, tuple(f for f in step if f.key not in missing), gains))
    return tuple(made)


def whole_stack(stack: Stack) -> Rung:
    """The whole stack as the only rung."""
    return Rung("after", stack, stack.fixes, True)


class Ladder:
    """The rungs' servers, running; use as `async with Ladder(lab, steps) as ladder`."""

    def __init__(self, lab: Lab, steps: Sequence[Rung]) -> None:
        self._lab = lab
        self._steps = tuple(steps)
        self._stack = AsyncExitStack()
        self._warm = False
        self._generator = LoadGenerator()
        self.servers: Mapping[str, RunningServer] = {}

    async def __aenter__(self) -> Ladder:
        try:
            await self._stack.enter_async_context(self._generator)
            self.servers = await start_all(self._lab, self._steps, self._stack)
        except BaseException:
            await self._stack.aclose()
            raise
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._stack.aclose()

    async def climb(self) -> tuple[Judged, ...]:
        """Burst at every tree in alternating slices and judge each against the rung below."""
        lab = self._lab
        await self._warm_up()
        lab.say(f"benchmark: {len(self.servers)} trees side by side, in bursts")
        runs = await measure_bursts(
            self.servers, lab.target, lab.payload_root,
            slice_s=BURST_SLICE_S, rounds=ROUNDS, seed=lab.seed, first_number=FIRST_BURST,
            lent=self._generator,
        )  # fmt: skip
        judged, below = [], ORIGINAL
        for rung in self._steps:
            judged.append(_judge(rung, runs[below], runs[rung.name], lab.seed))
            below = rung.name
        return tuple(judged)

    async def _warm_up(self) -> None:
        """The first requests of every server, all at the same time: they pay for imports and connections."""
        if not self._warm:
            traffic = Traffic(self._lab.target, self._lab.payload_root, self._lab.seed)
            numbers = range(FIRST_WARM_UP, FIRST_WARM_UP + WARM_UPS)
            await asyncio.gather(*(send_in_turn(s.base_url, traffic, numbers) for s in self.servers.values()))
        self._warm = True

    async def before_and_after(self) -> BeforeAfter:
        """Open-loop load at the target's own rate on the original and the highest rung, A B B A."""
        lab, load, top = self._lab, self._lab.target.load, self._steps[-1].name
        await self._warm_up()
        lab.say(f"benchmark: before and after side by side at {load.rate:g}/s")
        runs = await measure_alternating(
            {ORIGINAL: self.servers[ORIGINAL], top: self.servers[top]}, lab.target, lab.payload_root,
            rate=load.rate, slice_s=load.seconds / ROUNDS, rounds=ROUNDS, seed=lab.seed,
            warmup=0, lent=self._generator,
        )  # fmt: skip
        whole = compare("webhook latency", runs[ORIGINAL], runs[top], lab.seed)
        return BeforeAfter(runs[ORIGINAL], runs[top], whole)

    async def capacity(self, ends: BeforeAfter) -> Capacity:
        """How many requests per second each of the two ends takes; both are held to the same bound.

        The runs of `ends`, at the target's own rate, are the first step.
        """
        lab, found = self._lab, []
        lab.say("capacity: raising the rate until it fails")
        usual_ms = ends.comparison.before.p50 if ends.comparison.before else 0.0
        bound_ms = max(1000.0, 100.0 * round(usual_ms * SLOWER_AT_MOST / 100.0))
        rate = lab.target.load.rate
        known: LoadRun | None = pooled(ends.before)
        for name in (ORIGINAL, self._steps[-1].name):
            result = await find_capacity(
                self.servers[name], lab.target, lab.payload_root,
                start_rate=rate, step_s=STEP_S, max_steps=MAX_STEPS, seed=lab.seed,
                p95_bound_ms=bound_ms, known=known, lent=self._generator,
            )  # fmt: skip
            found.append(result)
            # the patched tree begins above what the original took; where it fails there, it goes down from it
            rate, known = (2 * result.rps, None) if result.rps else (rate, pooled(ends.after))
        return Capacity(found[0].rps, found[1].rps, found[1].criterion)


async def start_all(lab: Lab, steps: Sequence[Rung], stack: AsyncExitStack) -> Mapping[str, RunningServer]:
    """One set of upstreams for all, so that every tree meets the same."""
    base = lab.trial(lab.original, ())
    stack.callback(base.discard)
    folder = lab.folder("ladder")
    upstreams = await Upstreams.start(lab.place, base.copy, lab.target, tmp=folder / "upstreams", seed=lab.seed)
    stack.push_async_callback(upstreams.stop)
    copies: dict[str, Copy] = {ORIGINAL: base.copy}
    for rung in steps:
        trial = lab.trial(rung.stack, ())
        stack.callback(trial.discard)
        copies[rung.name] = trial.copy
    two_at_once = asyncio.Semaphore(2)
    running: list[RunningServer] = []

    async def stop_all() -> None:
        await asyncio.gather(*(server.stop() for server in running))

    stack.push_async_callback(stop_all)

    async def start(name: str, copy: Copy) -> RunningServer:
        async with two_at_once:
            server = await start_server(
                lab.place, copy, lab.target, upstream_env=upstreams.env, inject=upstreams.inject,
                tmp=folder / name.replace(" ", "-"),
            )  # fmt: skip
        running.append(server)
        return server

    started = await asyncio.gather(*(start(*item) for item in copies.items()), return_exceptions=True)
    for name, outcome in zip(copies, started, strict=True):
        if isinstance(outcome, BaseException):
            raise TargetError(f"{name} did not start for the benchmark: {outcome}") from outcome
    servers = zip(copies, started, strict=True)
    return {name: server for name, server in servers if isinstance(server, RunningServer)}


def _judge(rung: Rung, below: Sequence[Slice], here: Sequence[Slice], seed: int) -> Judged:
    """A performance rung must gain in latency, or in CPU time with no loss of latency; any other must not lose.

    To gain or to lose takes an interval clear of 1.
    """
    latency = latency_ratio(below, here, seed)
    if latency is None:
        return Judged(rung, GateResult("benchmark", False, "too few good answers to compare"), None)
    words, effect = _told("webhook_latency_p50", latency)
    change = latency[0].change
    if not rung.gains:
        passed = change != "worse"
        return Judged(rung, GateResult("benchmark", passed, words if passed else f"slower: {words}"), effect)
    if change == "better":
        return Judged(rung, GateResult("benchmark", True, words), effect)
    cpu = cpu_ratio(below, here, seed)
    if cpu is None or change == "worse":
        return Judged(rung, GateResult("benchmark", False, f"gains nothing: {words}"), effect)
    cpu_words, cpu_effect = _told("cpu_time_per_request", cpu)
    both = f"{cpu_words}; {words}"
    if cpu[0].change == "better":
        return Judged(rung, GateResult("benchmark", True, both), cpu_effect)
    return Judged(rung, GateResult("benchmark", False, f"gains nothing: {both}"), effect)


def _told(metric: str, measured: tuple[Ratio, float, float]) -> tuple[str, Effect]:
    """A measured ratio in words and as an effect."""
    ratio, before, after = measured
    low, high = ratio.ci95
    words = f"{metric} {before:.0f} → {after:.0f} ms, ratio {ratio.value:.2f} [{low:.2f}, {high:.2f}]"
    return words, Effect(metric, before, after, ratio.value, ratio.ci95)
