"""Patches that models wrote, at the gates: on top of the proven mends, and back to their authors where refused."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace

from swarm.agents.accounts import with_more
from swarm.agents.conversation.surroundings import Surroundings
from swarm.agents.revision import revise
from swarm.coordinator.benchmark import Results, Weighed, climb_all, gates_of, refused
from swarm.coordinator.patterns import chosen_specialists
from swarm.coordinator.state import Parts, RunRequest, RunState
from swarm.core.errors import TargetError
from swarm.core.events import Note
from swarm.core.patches import JudgedPatch, Rejected
from swarm.verify.candidate import Stack
from swarm.verify.fixes import Fix
from swarm.verify.standing import Standing
from swarm.verify.verifier import Proven, prove


@dataclass(frozen=True, slots=True)
class Trials:
    """What trying a model's patches takes."""

    request: RunRequest
    parts: Parts
    state: RunState
    around: Surroundings
    standing: Standing

    def note(self, message: str) -> None:
        """Tell the user, and keep it for the report."""
        self.state.notes.append(message)
        self.parts.emit(Note(message))


async def try_edits(trials: Trials, edits: Sequence[Fix], proven: Proven, weighed: Weighed) -> tuple[Proven, Weighed]:
    """Prove each on top of what is proven; one that is refused is written again, `edits.tries` times at most.

    Of several for one finding the first that passes is kept, and a mend of a rule's before all of them.
    """
    gates = dict.fromkeys((fix.key for fix in proven.stack.fixes), gates_of(proven))
    results = dict(weighed.results)
    pending = tuple(edits)
    while pending := _needed(trials, pending, proven.stack):
        batch = tuple({fix.findings: fix for fix in reversed(pending)}.values())[::-1]
        waiting = tuple(fix for fix in pending if fix not in batch)
        after, rejected = await _prove_and_weigh(trials, batch, proven.stack, results)
        gates |= dict.fromkeys((fix.key for fix in after.stack.fixes if fix.key not in gates), gates_of(after))
        proven = replace(after, judgement=after.judgement or proven.judgement, rejected=(), unbuilt=proven.unbuilt)
        trials.state.patches += [judged for _, judged in rejected]
        again = await asyncio.gather(*(_again(trials, fix, judged, proven.stack) for fix, judged in rejected))
        pending = (*waiting, *(fix for fix in again if fix is not None))
    climbed = weighed.climbed or (bool(proven.stack.fixes) and all(f.key in results for f in proven.stack.fixes))
    return proven, Weighed(results, weighed.kept, climbed, gates)


def _needed(trials: Trials, pending: Sequence[Fix], stack: Stack) -> tuple[Fix, ...]:
    """Those whose findings nothing proven mends."""
    mended = {finding: patch for patch in stack.patches for finding in patch.findings}
    needed = []
    for fix in pending:
        patch = next((mended[finding] for finding in fix.findings if finding in mended), None)
        if patch is None:
            needed.append(fix)
        else:
            trials.note(f"{fix.author}'s own patch {fix.title!r} was not tried: {patch.id} mends the same finding")
    return tuple(needed)


async def _prove_and_weigh(
    trials: Trials, batch: Sequence[Fix], base: Stack, results: Results
) -> tuple[Proven, list[tuple[Fix, JudgedPatch]]]:
    """What of the batch stands on `base`, and what was refused; `results` takes what the ladder said."""
    lab = trials.standing.lab
    after = await prove(lab, batch, base)
    rejected = list(after.rejected)
    added = after.stack.fixes[len(base.fixes) :]
    if added and lab.target.webhooks:
        try:
            measured, guilty = await climb_all(trials.parts, trials.standing, added, base)
        except TargetError as error:
            trials.note(f"patches that models wrote could not be weighed: {str(error).splitlines()[0]}")
            measured, guilty = {}, {}
        results |= measured
        if guilty:
            rejected += refused(trials.parts, after.stack, guilty, gates_of(after))
            after = await prove(lab, [fix for fix in added if fix.key not in guilty], base)
            rejected += after.rejected
    by_text = {(fix.findings, fix.author): fix for fix in batch}
    return after, [(by_text[one.patch.findings, one.patch.author], one) for one in rejected]


async def _again(trials: Trials, fix: Fix, judged: JudgedPatch, stack: Stack) -> Fix | None:
    """A better patch of the same author's, or None."""
    verdict, request, parts = judged.verdict, trials.request, trials.parts
    if not isinstance(verdict, Rejected) or fix.attempt > request.swarm.edits.tries:
        return None
    specialist = chosen_specialists(request).get(fix.author)
    model = (specialist.model if specialist else None) or request.swarm.model
    lab = trials.standing.lab
    trial = await asyncio.to_thread(lab.trial, stack, ())
    before = trials.around.bench
    bench = before.over(trial.copy, stack.index, lab.folder("revising"), lambda goal: lab.patched(stack, goal))
    finding = before.findings.get(fix.findings[0])
    try:
        around = replace(trials.around, bench=bench).within(fix.author, specialist.budget if specialist else None)
        revision = await revise(fix, verdict.gate, verdict.reason, finding, parts.candidates(model), around)
    finally:
        await bench.close()
        trial.discard()
    infos = trials.state.agents
    infos[:] = [with_more(one, revision.outcomes) if one.name == fix.author else one for one in infos]
    if revision.fix is None and revision.note:
        trials.note(f"{fix.author} did not write {fix.title!r} again: {revision.note}")
    return revision.fix
