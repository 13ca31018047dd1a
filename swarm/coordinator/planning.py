"""The plan phase: join the findings, let the coordinator order the fixes."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from swarm.agents.conversation.surroundings import Surroundings
from swarm.agents.coordinator_agent import run_coordinator
from swarm.coordinator.merge import Plan, join_findings, plan_edits, plan_fixes, reorder
from swarm.coordinator.patterns import Team
from swarm.coordinator.state import Parts, RunRequest, RunState
from swarm.coordinator.unproven import without_unproven
from swarm.core.metrics import did_you_mean
from swarm.verify.fixes import Fix


async def make_plan(request: RunRequest, parts: Parts, around: Surroundings, state: RunState, team: Team) -> Plan:
    """Joined findings and the fixes in stacking order; the coordinator may drop or reorder some."""
    findings = join_findings(team.findings)
    orders = {rule_id: rule.order for rule_id, rule in parts.rules.items()}
    proposals = around.bench.proposals.all()
    edits = plan_edits(proposals, [*around.bench.findings.all(), *findings])
    mends, left = without(plan_fixes(findings, team.wanted, orders), request.swarm.advice_only)
    state.notes += [*left, *unknown_rules(request.swarm.advice_only, parts.rules)]
    fixes, never_run = without_unproven([*mends, *edits], around.bench.index, request.target, around.bench.copy.path)
    state.notes += never_run
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


def without(fixes: Sequence[Fix], advice_only: Collection[str]) -> tuple[tuple[Fix, ...], tuple[str, ...]]:
    """The fixes but those of rules that shall only advise, and a word on each of these rules."""
    left = dict.fromkeys(fix.rule for fix in fixes if fix.rule in advice_only)
    notes = tuple(f"{rule} is not mended: agents.yaml has it under advice_only" for rule in left)
    return tuple(fix for fix in fixes if fix.rule not in left), notes


def unknown_rules(names: Collection[str], rules: Collection[str]) -> tuple[str, ...]:
    """A word on each name that is no rule's."""
    return tuple(
        f"advice_only names {name!r}, which is no rule{did_you_mean(name, rules)}"
        for name in names
        if name not in rules
    )
