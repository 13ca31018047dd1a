"""The plan phase: join the findings, let the coordinator order the fixes."""

from __future__ import annotations

from dataclasses import replace

from swarm.agents.coordinator_agent import run_coordinator
from swarm.coordinator.merge import Plan, join_findings, plan_fixes, reorder
from swarm.coordinator.patterns import Team, agent_parts
from swarm.coordinator.state import Parts, RunRequest, RunState
from swarm.probes.run import proofs
from swarm.tools.workbench import Workbench


async def make_plan(request: RunRequest, parts: Parts, workbench: Workbench, state: RunState, team: Team) -> Plan:
    """Joined findings and the fixes in stacking order; the coordinator may drop or reorder some."""
    findings = join_findings(team.findings, proofs())
    orders = {rule_id: getattr(rule, "order", 50) for rule_id, rule in parts.rules.items()}
    fixes = plan_fixes(findings, team.wanted, orders)
    if request.only:
        fixes = tuple(fix for fix in fixes if fix.author)
    decided = await run_coordinator(
        request.swarm.coordinator,
        request.swarm.model,
        findings=findings,
        order=[finding for fix in fixes for finding in fix.findings],
        parts=agent_parts(request, parts, workbench, state),
    )
    state.agents.append(decided.info)
    state.notes += decided.notes
    ordered = reorder(fixes, decided.order, decided.dropped)
    return Plan(tuple(replace(f) for f in findings), ordered)
