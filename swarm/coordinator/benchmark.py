"""The benchmark phase: judges performance patches on the ladder, settles the stack, measures before and after."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from swarm.bench.load import error_rate
from swarm.bench.sidebyside import resources
from swarm.bench.waterfall import measure_waterfall
from swarm.coordinator.state import Parts, RunState
from swarm.core.errors import TargetError
from swarm.core.events import GateFinished, PatchJudged
from swarm.core.patches import Accepted, Effect, GateResult, JudgedPatch, Rejected
from swarm.core.report import ErrorRates
from swarm.verify.candidate import Stack, extend
from swarm.verify.fixes import Fix
from swarm.verify.lab import Lab
from swarm.verify.ladder import Judged, Ladder, rungs, whole_stack
from swarm.verify.verifier import Proven, prove

TRACED_REQUESTS = 2


Results = dict[str, tuple[GateResult, Effect | None]]


@dataclass(frozen=True, slots=True)
class Weighed:
    """What the ladder said before the proof: every fix's result, the fixes to prove, and whether it was climbed."""

    results: Results
    kept: tuple[Fix, ...]
    climbed: bool


async def weigh(parts: Parts, state: RunState, lab: Lab, fixes: Sequence[Fix]) -> Weighed:
    """Drop the performance fixes that gain nothing before anything is proven, so that the rest is proven once.

    A stack that does not start, or a target without webhooks, is not weighed here.
    """
    stack, _ = extend(lab.original, fixes, lab.rules)
    if not lab.target.webhooks or not stack.fixes:
        return Weighed({}, tuple(fixes), climbed=False)
    try:
        async with Ladder(lab, rungs(lab, stack.fixes)) as ladder:
            results, guilty = await _climb(parts, lab, ladder)
    except TargetError as error:
        state.notes.append(
            f"the patches together could not be weighed before the proof: {str(error).splitlines()[0]}"
        )
        return Weighed({}, tuple(fixes), climbed=False)
    gates = (GateResult("applies", True, "fits on the patches before it"),)
    _reject(parts, state, stack, guilty, gates)
    return Weighed(results, tuple(fix for fix in fixes if fix.key not in guilty), climbed=True)


async def benchmark_and_settle(
    parts: Parts, state: RunState, lab: Lab, proven: Proven, weighed: Weighed, summary: list[str]
) -> None:
    """Accept what was proven and gains; measure it against the original."""
    if not proven.stack.fixes:
        state.reasons["benchmark"] = "no patch was proven, so there is no after"
        summary.append("nothing to compare")
        return
    if not lab.target.webhooks:
        state.reasons["benchmark"] = "the target names no webhooks to load"
        _accept_all(parts, state, proven, {})
        return
    settled, results = proven, weighed.results
    if not weighed.climbed:
        async with Ladder(lab, rungs(lab, proven.stack.fixes)) as ladder:
            results, guilty = await _climb(parts, lab, ladder)
        if guilty:
            _reject(parts, state, proven.stack, guilty, gates_of(proven))
            settled = await prove(lab, [fix for fix in proven.stack.fixes if fix.key not in guilty])
            state.patches += settled.rejected
    _accept_all(parts, state, settled, results)
    if not settled.stack.fixes:
        state.reasons["benchmark"] = "no patch passed the benchmark"
        return
    async with Ladder(lab, [whole_stack(settled.stack)]) as ladder:
        await _measure_ends(state, ladder)
    await _trace_final(state, lab, settled.stack)
    latency = state.comparison
    if latency and latency.before and latency.after:
        summary.append(f"p95 {latency.before.p95:.0f} → {latency.after.p95:.0f} ms")


async def _climb(parts: Parts, lab: Lab, ladder: Ladder) -> tuple[Results, Results]:
    """Every fix with its result, and those that fail."""
    judged = await ladder.climb()
    for one in judged:
        names = tuple(dict.fromkeys(fix.rule for fix in one.rung.fixes))
        parts.emit(GateFinished("benchmark", names, one.result.passed, one.result.detail, 0.0))
    results: Results = {
        fix.key: (one.result, one.effect if one.rung.gains else None) for one in judged for fix in one.rung.fixes
    }
    return results, await _guilty(lab, [one for one in judged if not one.result.passed])


def _reject(parts: Parts, state: RunState, stack: Stack, guilty: Results, gates: tuple[GateResult, ...]) -> None:
    """The verdict on the patches of the stack that failed the benchmark."""
    for fix, patch in zip(stack.fixes, stack.patches, strict=True):
        if fix.key in guilty:
            result, effect = guilty[fix.key]
            state.patches.append(JudgedPatch(patch, Rejected("benchmark", result.detail, (*gates, result), effect)))
            parts.emit(PatchJudged(patch.id, patch.title, False, f"benchmark: {result.detail}"))


async def _guilty(lab: Lab, failed: Sequence[Judged]) -> Results:
    """The fixes that fail: those that need not gain are measured again one by one where they lost together."""
    guilty: Results = {}
    for judged in failed:
        if len(judged.rung.fixes) == 1 or judged.rung.gains:
            guilty |= {fix.key: (judged.result, judged.effect) for fix in judged.rung.fixes}
            continue
        async with Ladder(lab, rungs(lab, judged.rung.fixes, one_by_one=True)) as ladder:
            apart = await ladder.climb()
        guilty |= {
            fix.key: (one.result, one.effect) for one in apart if not one.result.passed for fix in one.rung.fixes
        }
    return guilty


def _accept_all(parts: Parts, state: RunState, proven: Proven, results: Results) -> None:
    """Every patch of the stack is accepted, with the gates that it passed."""
    unmeasured = GateResult("benchmark", None, "not measured: the target names no webhooks to load")
    for fix, patch in zip(proven.stack.fixes, proven.stack.patches, strict=True):
        result, effect = results.get(fix.key, (unmeasured, None))
        state.patches.append(JudgedPatch(patch, Accepted((*gates_of(proven), result), effect)))
        parts.emit(PatchJudged(patch.id, patch.title, True, result.detail))
    keep_verification(state, proven)


def keep_verification(state: RunState, proven: Proven) -> None:
    """What the last proof of the whole stack said of tests and replay."""
    state.settled = proven
    if proven.judgement is not None:
        state.tests_after = proven.judgement.tests
        state.replay = proven.judgement.replay


def gates_of(proven: Proven) -> tuple[GateResult, ...]:
    """The gates that the whole stack passed."""
    return proven.judgement.gates if proven.judgement else ()


async def _measure_ends(state: RunState, ladder: Ladder) -> None:
    """Before and after under open-loop load, and the capacity of both."""
    measured = await ladder.before_and_after()
    state.comparison = measured.comparison
    state.errors = ErrorRates(error_rate(measured.before), error_rate(measured.after))
    state.resources_before, state.resources_after = resources(measured.before), resources(measured.after)
    try:
        state.capacity = await ladder.capacity(measured)
    except TargetError as error:
        state.reasons["capacity"] = str(error)


async def _trace_final(state: RunState, lab: Lab, stack: Stack) -> None:
    """The waterfall of the patched tree."""
    trial = lab.trial(stack, ())
    try:
        state.waterfalls_after = await measure_waterfall(
            lab.place, trial.copy, lab.target, requests=TRACED_REQUESTS, seed=lab.seed, tmp=lab.folder("traced")
        )
    except TargetError as error:
        state.notes.append(f"the patched tree was not traced: {error}")
    finally:
        trial.discard()
