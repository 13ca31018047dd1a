"""The benchmark phase: judges performance patches on the ladder, settles the stack, measures before and after."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from swarm.bench.capacity import find_capacity
from swarm.bench.load import error_rate
from swarm.bench.sidebyside import resources
from swarm.bench.waterfall import measure_waterfall
from swarm.coordinator.state import Parts, RunRequest, RunState
from swarm.core.errors import TargetError
from swarm.core.events import GateFinished, PatchJudged
from swarm.core.patches import Accepted, Effect, GateResult, JudgedPatch, Rejected
from swarm.core.report import Capacity, ErrorRates
from swarm.verify.candidate import Stack
from swarm.verify.lab import Lab
from swarm.verify.ladder import Judged, Ladder, climb, rungs
from swarm.verify.live import running
from swarm.verify.verifier import Proven, prove

TRACED_REQUESTS = 6
STEP_S = 1.5
MAX_STEPS = 8


@dataclass(frozen=True, slots=True)
class Settled:
    """The stack that passed the benchmark too, with each fix's result."""

    proven: Proven
    ladder: Ladder
    results: dict[str, tuple[GateResult, Effect | None]]


async def benchmark_and_settle(
    request: RunRequest, parts: Parts, state: RunState, lab: Lab, proven: Proven, summary: list[str]
) -> None:
    """Judge what was proven by its effect; what remains is accepted and measured against the original."""
    if not proven.stack.fixes:
        state.reasons["benchmark"] = "no patch was proven, so there is no after"
        summary.append("nothing to compare")
        return
    if not request.target.webhooks:
        state.reasons["benchmark"] = "the target names no webhooks to load"
        _accept_all(parts, state, proven, {})
        return
    settled = await _settle(request, parts, state, lab, proven)
    if settled is None:
        return
    _accept_all(parts, state, settled.proven, settled.results)
    _keep_runs(state, settled.ladder)
    await _look_at_final(request, state, lab, settled.proven.stack)
    latency = state.comparison
    if latency and latency.before and latency.after:
        summary.append(f"p95 {latency.before.p95:.0f} → {latency.after.p95:.0f} ms")


async def _settle(request: RunRequest, parts: Parts, state: RunState, lab: Lab, proven: Proven) -> Settled | None:
    """Climb; drop what fails; where something was dropped, prove and measure the rest once more."""
    load = request.target.load
    steps = rungs(lab, proven.stack.fixes)
    ladder = await climb(lab, steps, load.rate, load.seconds)
    results = _results(ladder.judged)
    failed = [judged for judged in ladder.judged if not judged.result.passed]
    guilty = await _guilty(lab, failed, load.rate, load.seconds)
    _tell(parts, ladder.judged)
    if not guilty:
        return Settled(proven, ladder, results)
    kept = [fix for fix in proven.stack.fixes if fix.key not in guilty]
    for fix, patch in zip(proven.stack.fixes, proven.stack.patches, strict=True):
        if fix.key in guilty:
            result, effect = guilty[fix.key]
            verdict = Rejected("benchmark", result.detail, (*gates_of(proven), result), effect)
            state.patches.append(JudgedPatch(patch, verdict))
            parts.emit(PatchJudged(patch.id, patch.title, False, f"benchmark: {result.detail}"))
    if not kept:
        state.reasons["benchmark"] = "no patch passed the benchmark"
        return None
    again = await prove(lab, kept)
    state.patches += again.rejected
    if not again.stack.fixes:
        return None
    steps = rungs(lab, again.stack.fixes)
    final = await climb(lab, [steps[-1]], load.rate, load.seconds)
    return Settled(again, final, results)


async def _guilty(
    lab: Lab, failed: Sequence[Judged], rate: float, seconds: float
) -> dict[str, tuple[GateResult, Effect | None]]:
    """The fixes that fail: a rung of several is measured again, one by one."""
    guilty: dict[str, tuple[GateResult, Effect | None]] = {}
    for judged in failed:
        if len(judged.rung.fixes) == 1 or judged.rung.gains:
            guilty |= {fix.key: (judged.result, judged.effect) for fix in judged.rung.fixes}
            continue
        apart = await climb(lab, rungs(lab, judged.rung.fixes, one_by_one=True), rate, seconds)
        guilty |= {
            fix.key: (one.result, one.effect)
            for one in apart.judged
            if not one.result.passed
            for fix in one.rung.fixes
        }
    return guilty


def _results(judged: Sequence[Judged]) -> dict[str, tuple[GateResult, Effect | None]]:
    return {fix.key: (one.result, one.effect if one.rung.gains else None) for one in judged for fix in one.rung.fixes}


def _tell(parts: Parts, judged: Sequence[Judged]) -> None:
    for one in judged:
        names = tuple(f"{fix.rule}" for fix in one.rung.fixes)
        parts.emit(GateFinished("benchmark", names, one.result.passed, one.result.detail, 0.0))


def _accept_all(
    parts: Parts, state: RunState, proven: Proven, results: dict[str, tuple[GateResult, Effect | None]]
) -> None:
    """Every patch of the stack is accepted, with the gates that it passed."""
    unmeasured = GateResult("benchmark", None, "not measured: the target names no webhooks to load")
    for fix, patch in zip(proven.stack.fixes, proven.stack.patches, strict=True):
        result, effect = results.get(fix.key, (unmeasured, None))
        state.patches.append(JudgedPatch(patch, Accepted((*gates_of(proven), result), effect)))
        parts.emit(PatchJudged(patch.id, patch.title, True, result.detail))
    keep_verification(state, proven)


def keep_verification(state: RunState, proven: Proven) -> None:
    """What the last proof of the whole stack said of tests and replay."""
    if proven.judgement is not None:
        state.tests_after = proven.judgement.tests
        state.replay = proven.judgement.replay


def gates_of(proven: Proven) -> tuple[GateResult, ...]:
    """The gates that the whole stack passed."""
    return proven.judgement.gates if proven.judgement else ()


def _keep_runs(state: RunState, ladder: Ladder) -> None:
    state.comparison = ladder.comparison
    state.errors = ErrorRates(error_rate(ladder.before), error_rate(ladder.after))
    state.resources_before, state.resources_after = resources(ladder.before), resources(ladder.after)
    if not all(run.valid for run in (*ladder.before, *ladder.after)):
        state.notes.append("the load generator fell behind its schedule in some slices: latencies are too high there")


async def _look_at_final(request: RunRequest, state: RunState, lab: Lab, stack: Stack) -> None:
    """Capacity of both trees, and the waterfall of the patched one."""
    trial = lab.trial(stack, ())
    original = lab.trial(lab.original, ())
    try:
        state.waterfalls_after = await measure_waterfall(
            lab.place,
            trial.copy,
            lab.target,
            requests=TRACED_REQUESTS,
            seed=lab.seed,
            tmp=lab.folder("traced"),
        )
        lab.say("capacity: raising the rate until it fails")
        found: list[float | None] = []
        criterion = ""
        for copy, start in (
            (original.copy, request.target.load.rate),
            (trial.copy, request.target.load.rate),
        ):
            async with running(lab, copy, "capacity") as live:
                capacity = await find_capacity(
                    live.server,
                    lab.target,
                    lab.payload_root,
                    start_rate=start,
                    step_s=STEP_S,
                    max_steps=MAX_STEPS,
                    seed=lab.seed,
                )
            found.append(capacity.rps)
            criterion = capacity.criterion
        state.capacity = Capacity(found[0], found[1], criterion)
    except TargetError as error:
        state.reasons["capacity"] = str(error)
        state.notes.append(f"capacity was not measured: {error}")
    finally:
        trial.discard()
        original.discard()
