"""The benchmark phase: judges performance patches on the ladder, settles the stack, measures before and after."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from swarm.coordinator.readiness import BEFORE_DEPLOYMENT
from swarm.coordinator.rollback_trial import try_rollback
from swarm.coordinator.state import Parts, RunState
from swarm.core.errors import TargetError
from swarm.core.events import GateFinished, PatchJudged
from swarm.core.patches import Accepted, Effect, GateResult, JudgedPatch, Rejected
from swarm.verify.candidate import Stack, extend
from swarm.verify.ends import measure_capacity, measure_ends
from swarm.verify.fixes import Fix
from swarm.verify.ladder import Judged, climb, raised
from swarm.verify.standing import Standing
from swarm.verify.verifier import Proven, prove

Results = dict[str, tuple[GateResult, Effect | None]]


@dataclass(frozen=True, slots=True)
class Weighed:
    """What the ladder said before the proof: every fix's result, the fixes to prove, and whether it was climbed.

    `gates` are those that a fix passed in a proof of its own, by its key.
    """

    results: Results
    kept: tuple[Fix, ...]
    climbed: bool
    gates: Mapping[str, tuple[GateResult, ...]] = field(default_factory=dict)


async def weigh(parts: Parts, state: RunState, standing: Standing, fixes: Sequence[Fix]) -> Weighed:
    """Drop the performance fixes that gain nothing before anything is proven, so that the rest is proven once.

    A stack that does not start, or a target without webhooks, is not weighed here.
    """
    lab = standing.lab
    if not lab.target.webhooks or not fixes:
        return Weighed({}, tuple(fixes), climbed=False)
    try:
        results, guilty = await climb_all(parts, standing, fixes)
    except TargetError as error:
        state.notes.append(
            f"the patches together could not be weighed before the proof: {str(error).splitlines()[0]}"
        )
        return Weighed({}, tuple(fixes), climbed=False)
    stack, _ = await asyncio.to_thread(extend, lab.original, fixes, lab.rules)
    gates = (GateResult("applies", True, "fits on the patches before it"),)
    state.patches += refused(parts, stack, guilty, gates)
    return Weighed(results, tuple(fix for fix in fixes if fix.key not in guilty), climbed=True)


async def benchmark_and_settle(
    parts: Parts, state: RunState, standing: Standing, proven: Proven, weighed: Weighed, summary: list[str]
) -> None:
    """Accept what was proven and gains; measure it against the original."""
    lab = standing.lab
    if not proven.stack.fixes:
        state.reasons["benchmark"] = "no patch was proven, so there is no after"
        summary.append("nothing to compare")
        return
    if not lab.target.webhooks:
        state.reasons["benchmark"] = "the target names no webhooks to load"
        _accept_all(parts, state, proven, {}, weighed.gates)
        return
    settled, results = proven, weighed.results
    if not weighed.climbed:
        results, guilty = await climb_all(parts, standing, proven.stack.fixes)
        if guilty:
            state.patches += refused(parts, proven.stack, guilty, gates_of(proven))
            settled = await prove(lab, [fix for fix in proven.stack.fixes if fix.key not in guilty])
            state.patches += settled.rejected
    _accept_all(parts, state, settled, results, weighed.gates)
    if not settled.stack.fixes:
        state.reasons["benchmark"] = "no patch passed the benchmark"
        return
    state.rollback = await asyncio.to_thread(
        try_rollback, lab.place, settled.stack.patches, lab.folder("rollback"), BEFORE_DEPLOYMENT
    )
    await _measure_ends(state, standing, settled.stack)
    if state.whole and state.whole.before and state.whole.after:
        summary.append(f"end to end, p95 {state.whole.before.p95:.0f} → {state.whole.after.p95:.0f} ms")
    if state.comparison and state.comparison.before and state.comparison.after:
        summary.append(f"answer, p95 {state.comparison.before.p95:.0f} → {state.comparison.after.p95:.0f} ms")


async def climb_all(
    parts: Parts, standing: Standing, fixes: Sequence[Fix], base: Stack | None = None
) -> tuple[Results, Results]:
    """Every fix with its result, and those that fail; the ladder stands on `base` (the original where None)."""
    judged = await climb(standing, await raised(standing, fixes, base=base), base)
    judged = await _looked_again(standing, judged, base)
    for one in judged:
        names = tuple(dict.fromkeys(fix.rule for fix in one.rung.fixes))
        parts.emit(GateFinished("benchmark", names, one.result.passed, one.result.detail, 0.0))
    results: Results = {
        fix.key: (one.result, one.effect if one.rung.gains else None) for one in judged for fix in one.rung.fixes
    }
    return results, await _guilty(standing, [one for one in judged if not one.result.passed], base)


def refused(parts: Parts, stack: Stack, guilty: Results, gates: tuple[GateResult, ...]) -> tuple[JudgedPatch, ...]:
    """The verdict on the patches of the stack that failed the benchmark."""
    judged = []
    for fix, patch in zip(stack.fixes, stack.patches, strict=True):
        if fix.key in guilty:
            result, effect = guilty[fix.key]
            judged.append(JudgedPatch(patch, Rejected("benchmark", result.detail, (*gates, result), effect)))
            parts.emit(PatchJudged(patch.id, patch.title, False, f"benchmark: {result.detail}"))
    return tuple(judged)


async def _looked_again(standing: Standing, judged: Sequence[Judged], base: Stack | None) -> tuple[Judged, ...]:
    """What need not gain and was slower is believed when seen twice: to look at each of many patches takes long, and
    an upstream that failed on one side alone is enough for it."""
    seen = list(judged)
    for place, one in enumerate(judged):
        if one.result.passed is False and not one.rung.gains and len(one.rung.fixes) > 1:
            below = judged[place - 1].rung.stack if place else base
            await standing.keep()  # who has had these events takes them for repeated ones
            seen[place] = (await climb(standing, (one.rung,), below))[0]
    return tuple(seen)


async def _guilty(standing: Standing, failed: Sequence[Judged], base: Stack | None) -> Results:
    """The fixes that fail: those that need not gain are measured again one by one where they lost together."""
    guilty: Results = {}
    for judged in failed:
        if len(judged.rung.fixes) == 1 or judged.rung.gains:
            guilty |= {fix.key: (judged.result, judged.effect) for fix in judged.rung.fixes}
            continue
        steps = await raised(standing, judged.rung.fixes, one_by_one=True, base=base)
        apart = await climb(standing, steps, base)
        guilty |= {
            fix.key: (one.result, one.effect) for one in apart if not one.result.passed for fix in one.rung.fixes
        }
    return guilty


def _accept_all(
    parts: Parts, state: RunState, proven: Proven, results: Results, gates: Mapping[str, tuple[GateResult, ...]]
) -> None:
    """Every patch of the stack is accepted, with the gates that it passed."""
    unmeasured = GateResult("benchmark", None, "not measured: the target names no webhooks to load")
    for fix, patch in zip(proven.stack.fixes, proven.stack.patches, strict=True):
        result, effect = results.get(fix.key, (unmeasured, None))
        passed = gates.get(fix.key, gates_of(proven))
        state.patches.append(JudgedPatch(patch, Accepted((*passed, result), effect)))
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


async def _measure_ends(state: RunState, standing: Standing, stack: Stack) -> None:
    """Before and after: answers under open-loop load, requests to their end, the waterfall, capacity."""
    measured = await measure_ends(standing, stack)
    state.comparison, state.whole = measured.loaded.comparison, measured.whole.comparison
    state.errors = measured.errors
    state.resources_before, state.resources_after = measured.resources
    state.side_before, state.side_after = measured.sides
    state.wholes_before, state.wholes_after = measured.whole.before, measured.whole.after
    state.waterfalls_before = measured.whole.waterfalls_before or state.waterfalls_before
    state.waterfalls_after = measured.whole.waterfalls_after
    try:
        state.capacity = await measure_capacity(standing, stack, measured)
    except TargetError as error:
        state.reasons["capacity"] = str(error)
        return
    before, after = state.capacity.before_rps, state.capacity.after_rps
    if before and (after or 0.0) < before:
        held = f"{after:g}/s" if after else "not even the target's own rate"
        why = state.capacity.criterion
        state.notes.append(f"capacity is lower with the patches, seen twice: {held}, {before:g}/s without; {why}")
