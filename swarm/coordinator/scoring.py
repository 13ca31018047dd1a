"""The two scores of a run: the original as it was probed anyhow, and the final stack as its proof probed it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from swarm.analysis.index import Index
from swarm.coordinator.state import RunState
from swarm.core.errors import TargetError
from swarm.core.findings import Finding
from swarm.core.report import PlantedFault, Score
from swarm.probes.probe import ProbeResult
from swarm.rules.looking import blind_rules
from swarm.scores.credit import Seen
from swarm.scores.live_faults import MUST_FAIL, signature_fault, without_refusals
from swarm.scores.looking import caught_shares, planted_faults, static_findings
from swarm.scores.registry import Area, checks_of
from swarm.scores.shown import shown_inapplicable
from swarm.scores.tally import Tally, score_of, tally, unnamed
from swarm.target.tree.copies import apply_changes
from swarm.verify.lab import Lab
from swarm.verify.live import probe_live, running
from swarm.verify.verifier import Proven

AREAS: tuple[Area, ...] = ("security", "compliance")


@dataclass(frozen=True, slots=True)
class Look:
    """What was seen of one tree."""

    index: Index
    findings: tuple[Finding, ...]
    probes: tuple[ProbeResult, ...]


async def plant_and_look(lab: Lab) -> tuple[PlantedFault, ...]:
    """Plant faults in scratch copies of the original: those for code in a thread, those for probes in a service."""
    scratch = lab.folder("planted")
    static, live = await asyncio.gather(
        asyncio.to_thread(planted_faults, lab.original.index, scratch), _without_refusals(lab)
    )
    return (*live, *static)


async def _without_refusals(lab: Lab) -> tuple[PlantedFault, ...]:
    if not any(webhook.sign.scheme != "none" for webhook in lab.target.webhooks):
        return ()
    blinded = without_refusals(lab.original.index)
    if blinded is None:
        return (PlantedFault("signature", 0, 0),)
    copy = await asyncio.to_thread(lab.fresh_copy, "unguarded")
    apply_changes(copy, blinded.changes)
    try:
        async with running(lab, copy, "unguarded") as live:
            return (signature_fault(await probe_live(lab, live, lab.original.index, MUST_FAIL)),)
    except TargetError:
        return (PlantedFault("signature", 0, 0),)


async def look_at_final(lab: Lab, before: Look, settled: Proven | None) -> Look:
    """The tree with the accepted patches: scanned anew, probed by its last proof."""
    if settled is None or not settled.stack.fixes:
        return before
    trial = lab.trial(settled.stack, ())
    try:
        findings = await asyncio.to_thread(static_findings, settled.stack.index, trial.copy.path)
    finally:
        trial.discard()
    probes = settled.judgement.probes if settled.judgement else ()
    return Look(settled.stack.index, findings, probes)


def score_run(state: RunState, before: Look, after: Look, planted: Sequence[PlantedFault]) -> None:
    """Both scores into the state, and the share of signatures that were judged rightly."""
    scores: dict[Area, Score] = {}
    for area in AREAS:
        classes = {check.faults for check in checks_of(area)}
        mine = [fault for fault in planted if fault.name in classes]
        sides = [_side(area, look, mine) for look in (before, after)]
        scores[area] = score_of(area, *sides, planted=mine)
    state.security_score, state.compliance_score = scores["security"], scores["compliance"]
    state.validation_before, state.validation_after = validated(before.probes), validated(after.probes)


def _side(area: Area, look: Look, planted: Sequence[PlantedFault]) -> Tally:
    inapplicable, blind = shown_inapplicable(look.index), blind_rules(look.index)
    seen = Seen(look.probes, look.findings, inapplicable, caught_shares(planted), blind)
    return tally(checks_of(area), seen, others=unnamed(look.findings, area), planted=planted)


def validated(results: Sequence[ProbeResult]) -> float | None:
    """The share of well and badly signed requests that were judged rightly; None where none was sent."""
    right = sum(result.validated[0] for result in results)
    asked = sum(result.validated[1] for result in results)
    return right / asked if asked else None
