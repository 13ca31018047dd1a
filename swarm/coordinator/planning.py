"""The plan phase: join the findings, let the coordinator order the fixes."""

from __future__ import annotations

from swarm.agents.coordinator_agent import run_coordinator
from swarm.agents.surroundings import Surroundings
from swarm.coordinator.merge import Plan, join_findings, plan_edits, plan_fixes, reorder
from swarm.coordinator.patterns import Team
from swarm.coordinator.state import Parts, RunRequest, RunState


async def make_plan(request: RunRequest, parts: Parts, around: Surroundings, state: RunState, team: Team) -> Plan:
    """Joined findings and the fixes in stacking order; the coordinator may drop or reorder some."""
    findings = join_findings(team.findings)
    orders = {rule_id: rule.order for rule_id, rule in parts.rules.items()}
    proposals = around.bench.proposals.all()
    edits = plan_edits(proposals, [*around.bench.findings.all(), *findings])
    fixes = (*plan_fixes(findings, team.wanted, orders), *edits)
    default = list(dict.fromkeys(finding for fix in fixes for finding in fix.findings))
    decided = await run_coordinator(
        request.swarm.coordinator,
        findings,
        default,
        parts.candidates(request.swarm.model),
        around,
        proposals=proposals,
    )
    state.agents.append(decided.info)
    if decided.info.status != "done":
        state.degraded = True
        state.notes.append(f"{request.swarm.coordinator}: {decided.notes}")
    state.notes += [f"{finding} is not mended: {reason}" for finding, reason in decided.dropped]
    if list(decided.order) == default:
        return Plan(findings, fixes)
    return Plan(findings, reorder(fixes, decided.order, [finding for finding, _ in decided.dropped]))
