"""Proves fixes: the whole batch together, and by halves only where the batch fails, as a merge queue does."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

from swarm.core.errors import TargetError
from swarm.core.events import GateFinished, PatchJudged
from swarm.core.patches import GATES, GateResult, JudgedPatch, Patch, Rejected
from swarm.core.report import ReplayOutcome, TestCounts
from swarm.probes.probe import ProbeResult
from swarm.probes.run import all_probes
from swarm.target.observation import Exchange
from swarm.verify.candidate import Stack, Unbuilt, extend
from swarm.verify.fixes import Fix
from swarm.verify.free_form import refusal
from swarm.verify.gates import durable, gone, parses, probes, protects, replay, starts, tests
from swarm.verify.lab import Lab, Trial
from swarm.verify.live import Live, probe_live, running


@dataclass(frozen=True, slots=True)
class Judgement:
    """What the gates say of a stack, up to the first that fails; `probes` is what the live probes saw of it."""

    gates: tuple[GateResult, ...]
    tests: TestCounts | None = None
    replay: ReplayOutcome | None = None
    probes: tuple[ProbeResult, ...] = ()

    @property
    def failed(self) -> GateResult | None:
        """The gate that failed, if one did."""
        return next((gate for gate in self.gates if gate.passed is False), None)


@dataclass(frozen=True, slots=True)
class Proven:
    """What came of a batch: the stack that passed, what was rejected, and what gave no patch.

    `judgement` is of the whole stack; None where no fix was added to it.
    """

    stack: Stack
    judgement: Judgement | None
    rejected: tuple[JudgedPatch, ...]
    unbuilt: tuple[Unbuilt, ...]


async def prove(lab: Lab, fixes: Sequence[Fix], stack: Stack | None = None) -> Proven:
    """Prove `fixes` on top of `stack` (the original where None)."""
    stack = lab.original if stack is None else stack
    extended, left_out = await asyncio.to_thread(extend, stack, fixes, lab.rules)
    refused = tuple(_refused(lab, item, item.patch) for item in left_out if item.patch is not None)
    unbuilt = tuple(item for item in left_out if item.patch is None)
    known = {fix.key for fix in stack.fixes}
    pending = tuple(fix for fix in extended.fixes if fix.key not in known)
    if not pending:
        return Proven(stack, None, refused, unbuilt)
    judgement = await judge(lab, extended, extended.patches[len(stack.patches) :], stack)
    failed = judgement.failed
    if failed is None:
        return Proven(extended, judgement, refused, unbuilt)
    if len(pending) == 1:
        patch = extended.patches[-1]
        lab.emit(PatchJudged(patch.id, patch.title, False, f"{failed.name}: {failed.detail}"))
        verdict = Rejected(failed.name, failed.detail, judgement.gates)
        return Proven(stack, None, (*refused, JudgedPatch(patch, verdict)), unbuilt)
    suspects = _suspects(failed, pending, extended.patches[len(stack.patches) :])
    lab.say(f"{failed.name} refuses {len(pending)} patches together: looking for the one")
    left = await prove(lab, suspects[0], stack)
    right = await prove(lab, suspects[1], left.stack)
    judged = right.judgement or left.judgement
    return Proven(
        right.stack, judged, refused + left.rejected + right.rejected, unbuilt + left.unbuilt + right.unbuilt
    )


def _refused(lab: Lab, item: Unbuilt, patch: Patch) -> JudgedPatch:
    """The verdict on a patch that could not be stacked."""
    lab.emit(PatchJudged(patch.id, patch.title, False, f"{item.gate}: {item.reason}"))
    gates = tuple(
        GateResult(name, name != item.gate, item.reason if name == item.gate else "")
        for name in GATES[: GATES.index(item.gate) + 1]
    )
    return JudgedPatch(patch, Rejected(item.gate, item.reason, gates))


def _suspects(
    failed: GateResult, pending: tuple[Fix, ...], patches: tuple[Patch, ...]
) -> tuple[tuple[Fix, ...], tuple[Fix, ...]]:
    """Two parts to prove apart: a gate that names rules or a file points at their patches, else halves."""
    named = {
        fix.key for fix, patch in zip(pending, patches, strict=True)
        if fix.rule in failed.rules
        or (failed.name in ("parses", "protects", "gone") and any(f in failed.detail for f in patch.files))
    }  # fmt: skip
    if named and len(named) < len(pending):
        return (
            tuple(fix for fix in pending if fix.key not in named),
            tuple(fix for fix in pending if fix.key in named),
        )
    middle = len(pending) // 2
    return pending[:middle], pending[middle:]


async def judge(lab: Lab, stack: Stack, judged: tuple[Patch, ...], below: Stack | None = None) -> Judgement:
    """Every gate but the benchmark, in order, up to the first that fails; `below` is the stack without `judged`."""
    results = [GateResult("applies", True, "fits on the patches before it")]
    names = tuple(patch.id for patch in judged)

    def passes(result: GateResult) -> bool:
        results.append(result)
        lab.emit(GateFinished(result.name, names, result.passed, result.detail, result.duration_s))
        return result.passed is not False

    trial = lab.trial(stack, judged, below)
    try:
        if not passes(await parses.check(lab, trial)):
            return Judgement(tuple(results))
        if not passes(_protects(lab, trial)):
            return Judgement(tuple(results))
        scanned = asyncio.ensure_future(asyncio.to_thread(gone.check, lab, trial))
        try:
            slow, tested, replayed, probed = await _tests_beside_live(lab, trial)
            for result in slow:
                if not passes(result):
                    return Judgement(tuple(results), tested, replayed, probed)
            passes(await scanned)
            return Judgement(tuple(results), tested, replayed, probed)
        finally:
            await asyncio.gather(scanned, return_exceptions=True)  # it reads the copy
    finally:
        trial.discard()


def _protects(lab: Lab, trial: Trial) -> GateResult:
    """Files that may not be touched; of a patch that a model wrote also what it may not do."""
    result = protects.check_all(trial.judged, lab.target.protect)
    for patch in trial.judged:
        wrong = refusal(patch.changes, trial.below.index.tree, lab.target) if patch.model else ""
        if wrong and result.passed:
            return GateResult("protects", False, wrong)
    return result


async def _tests_beside_live(
    lab: Lab, trial: Trial
) -> tuple[list[GateResult], TestCounts | None, ReplayOutcome | None, tuple[ProbeResult, ...]]:
    """The tests beside the gates that need the service (neither waits for the other), in the gates' order."""
    testing = asyncio.ensure_future(tests.check(lab, trial))
    living = asyncio.ensure_future(_starts_replays_probes(lab, trial))
    try:
        first, counts = await testing
        if first.passed is False:
            return [first], counts, None, ()
        gates, replayed, probed = await living
        return [first, *gates], counts, replayed, probed
    finally:
        testing.cancel()
        living.cancel()
        await asyncio.gather(testing, living, return_exceptions=True)


async def _starts_replays_probes(
    lab: Lab, trial: Trial
) -> tuple[list[GateResult], ReplayOutcome | None, tuple[ProbeResult, ...]]:
    """The gates that need the service to run; the replay goes on beside the probes, on a server of its own."""
    replaying = asyncio.ensure_future(_replayed(lab, trial))
    started = time.monotonic()
    try:
        async with running(lab, trial.copy, "starts") as live:
            start = replace(
                starts.check(lab.start_log_before, live.server.log_text()),
                duration_s=time.monotonic() - started,
            )
            if start.passed is False:
                return [start], None, ()
            probing = asyncio.ensure_future(_probe(lab, trial, live))
            try:
                await asyncio.wait({replaying, probing}, return_when=asyncio.FIRST_COMPLETED)
                if replaying.done() and any(gate.passed is False for gate in replaying.result()[0]):
                    replayed, outcome = replaying.result()
                    return [start, *replayed], outcome, ()  # refused: what the probes would say decides nothing
                probed, seen = await probing
            finally:
                probing.cancel()
                await asyncio.gather(probing, return_exceptions=True)
        replayed, outcome = await replaying
        return [start, *replayed, probed], outcome, seen
    except TargetError as error:
        return [GateResult("starts", False, str(error), time.monotonic() - started)], None, ()
    finally:
        replaying.cancel()
        await asyncio.gather(replaying, return_exceptions=True)


async def _replayed(lab: Lab, trial: Trial) -> tuple[list[GateResult], ReplayOutcome | None]:
    """The replay, and the gate that needs to know what it saw: begun while the replay lets upstreams fail."""
    undisturbed: asyncio.Future[Sequence[Exchange]] = asyncio.get_running_loop().create_future()

    async def worked_on() -> GateResult:
        return await durable.check(lab, trial, await undisturbed)

    working = asyncio.ensure_future(worked_on())
    try:
        replayed, outcome = await replay.check(lab, trial, undisturbed.set_result)
        if replayed.passed is False:
            return [replayed], outcome
        return [replayed, await working], outcome
    finally:
        working.cancel()
        await asyncio.gather(working, return_exceptions=True)


async def _probe(lab: Lab, trial: Trial, live: Live) -> tuple[GateResult, tuple[ProbeResult, ...]]:
    started = time.monotonic()
    after: tuple[ProbeResult, ...] = ()
    if lab.probes_before:
        after = await probe_live(
            lab, live, trial.stack.index, fresh_copy=lambda: lab.trial(trial.stack, ()).copy
        )  # fmt: skip
        unseen = probes.lost(lab.probes_before, after)
        if unseen:  # once more by themselves: a crowded session is no patch's fault
            again = {one.probe: one for one in await probe_live(lab, live, trial.stack.index, only=unseen)}
            after = tuple(again.get(result.probe, result) for result in after)
    # what is asked beside others depends on their timing: the scores tell it, no patch is refused for it
    alone = {probe.id for probe in all_probes() if not probe.together}
    before = [result for result in lab.probes_before if result.probe in alone]
    result = probes.check(before, [result for result in after if result.probe in alone], _closed(lab, trial))
    return replace(result, duration_s=time.monotonic() - started), after


def _closed(lab: Lab, trial: Trial) -> frozenset[str]:
    """The probes of rules that a judged patch mends and that find nothing more in the candidate's code."""
    mended = {patch.rule for patch in trial.judged}
    left = {
        rule for rule in mended
        if rule not in lab.rules or any(True for _ in lab.rules[rule].find(trial.stack.index))
    }  # fmt: skip
    return frozenset(probe.id for probe in all_probes() if set(probe.proves) & (mended - left))
