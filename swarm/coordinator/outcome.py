"""Turns what a run knows into its Report. Pure but for the clock that it is handed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from swarm.agents.conversation.loop import LoopLimits
from swarm.bench.waterfall import typical
from swarm.coordinator.closing import closed_on_the_way
from swarm.coordinator.generalist import context_of
from swarm.coordinator.patterns import GENERALIST, chosen_specialists, generalist
from swarm.coordinator.readiness import readiness
from swarm.coordinator.state import Parts, RunRequest, RunState
from swarm.coordinator.targets import Measured, judge_targets
from swarm.core.efficiency import ContextEfficiency, TimeEfficiency
from swarm.core.findings import Finding
from swarm.core.patches import Accepted, JudgedPatch, Rejected
from swarm.core.report import (
    AgentInfo,
    Report,
    RunInfo,
    Verification,
)
from swarm.core.spending import spent
from swarm.scores.areas import validated_areas


def build_report(request: RunRequest, parts: Parts, state: RunState) -> Report:
    """The report of a run, whole or ended early."""
    finished_s = parts.clock.now_s()
    # two attempts have two clocks
    time = time_efficiency([] if state.resumed or state.cut_off else state.agents)
    context = context_efficiency(request, state)
    before = typical(state.waterfalls_before)
    measured = Measured(
        answer=state.comparison,
        whole=state.whole,
        wholes_before=state.wholes_before,
        wholes_after=state.wholes_after,
        side_before=state.side_before,
        side_after=state.side_after,
        context=context,
        errors=state.errors,
        capacity=state.capacity,
        resources_before=state.resources_before,
        resources_after=state.resources_after,
        waterfalls_before=state.waterfalls_before,
        waterfalls_after=state.waterfalls_after,
        time=time,
        security=state.security_score,
        compliance=state.compliance_score,
        validation_before=state.validation_before,
        validation_after=state.validation_after,
        reasons=state.reasons,
    )
    expressions = [
        (text, name) for name, specialist in request.swarm.specialists.items() for text in specialist.target_metrics
    ]
    targets = judge_targets(expressions, measured)
    return Report(
        run=RunInfo(
            id=request.run_id,
            started=state.started,
            finished=parts.clock.wall(),
            duration_s=round(finished_s - state.started_s, 3),
            swarm=request.swarm_name,
            target=request.target_name,
            pattern=request.pattern,
            provider=f"{request.provider} ({request.provider_reason})",
            status="degraded" if state.degraded else "complete",
            notes=tuple(dict.fromkeys(state.notes)),
            swarm_version=parts.version,
            target_commit=state.target_commit,
        ),
        agents=tuple(state.agents),
        findings=closed_on_the_way(
            with_verdicts(state.findings, state.patches),
            state.settled,
            (state.security_score, state.compliance_score),
            parts.rules,
        ),
        patches=tuple(state.patches),
        readiness=readiness(measured, targets, request.target.load.rate, state.rollback),
        benchmarks=tuple(one for one in (state.whole, state.comparison) if one is not None),
        side_before=state.side_before,
        side_after=state.side_after,
        capacity=state.capacity,
        errors=state.errors,
        resources_before=state.resources_before,
        resources_after=state.resources_after,
        targets=targets,
        security_score=state.security_score,
        compliance_score=state.compliance_score,
        areas=validated_areas(
            {name: specialist.validation_areas for name, specialist in request.swarm.specialists.items()},
            (state.security_score, state.compliance_score),
        ),
        context=context,
        time=time,
        verification=Verification(state.tests_before, state.tests_after, state.replay, parts.sandbox.name),
        waterfall_before=before,
        waterfall_after=typical(state.waterfalls_after, before.request if before else None),
        profile_before=state.profile,
        sweep=state.sweep,
        phases=tuple(state.phases),
        unparsed_files=state.unparsed,
        alerts=state.alerts,
    )


def with_verdicts(findings: Sequence[Finding], patches: Sequence[JudgedPatch]) -> tuple[Finding, ...]:
    """Each finding with what became of it."""
    by_finding: dict[str, JudgedPatch] = {}
    for judged in patches:
        for mended in judged.patch.findings:
            if mended not in by_finding or isinstance(judged.verdict, Accepted):
                by_finding[mended] = judged
    marked = []
    for finding in findings:
        found = by_finding.get(finding.id)
        if found is None:
            marked.append(finding)
        elif isinstance(found.verdict, Rejected):
            marked.append(replace(finding, status="rejected", patch=found.patch.id))
        else:
            marked.append(replace(finding, status="patched", patch=found.patch.id))
    return tuple(marked)


def time_efficiency(agents: Sequence[AgentInfo]) -> TimeEfficiency:
    """Wall time from the first specialist's start to the last one's end, against the sum of their times."""
    specialists = [agent for agent in agents if agent.role == "specialist"]
    if not specialists:
        return TimeEfficiency(None, None, None, None)
    wall = max(a.finished_s for a in specialists) - min(a.started_s for a in specialists)
    spent = [a.finished_s - a.started_s for a in specialists]
    total = sum(spent)
    saving = 1 - wall / total if total > 0 else None
    return TimeEfficiency(round(wall, 3), round(total, 3), round(max(spent), 3), saving)


def context_efficiency(request: RunRequest, state: RunState) -> ContextEfficiency:
    """Of a swarm beside one generalist with its work; of a run of the generalist, what it held itself."""
    agents = state.agents
    if state.cut_off:
        return ContextEfficiency(
            None, spent(agents).all_tokens, None, None, None, "agents were cut off at their work"
        )
    if request.pattern != "single":
        return context_of(
            agents, state.talks, generalist(chosen_specialists(request)), GENERALIST, LoopLimits().clearing,
            state.artifacts,
        )  # fmt: skip
    peak = max((agent.peak_context_tokens for agent in agents), default=None)
    total = spent(agents).all_tokens if agents else None
    words = "this run is the generalist's side alone: `swarm compare` puts it beside a swarm's"
    return ContextEfficiency(None, None, peak, total, None, words)
