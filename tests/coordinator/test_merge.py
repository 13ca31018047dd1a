"""Joining findings and ordering fixes."""

from __future__ import annotations

from dataclasses import replace

from swarm.coordinator.merge import join_findings, plan_fixes, reorder
from swarm.core.findings import Finding

SLOW = Finding("slow-rule", "performance", "medium", "high", "Slow", "a.py", 3, 4, "seen", "mend it", mendable=True)
HOLE = Finding("hole-rule", "security", "high", "medium", "Hole", "b.py", 9, 9, "seen", "close it", mendable=True)


def test_the_same_problem_of_two_agents_is_kept_once_with_its_worst_and_best() -> None:
    one = HOLE.with_agent("first")
    other = replace(HOLE, severity="critical", confidence="high").with_agent("second")
    [joined] = join_findings([one, other])
    assert (joined.severity, joined.confidence, joined.agent) == ("critical", "high", "first + second")


def test_a_live_proof_raises_the_findings_of_its_rule_and_goes() -> None:
    proof = replace(
        HOLE, file="", line=0, end_line=0, confidence="proven", severity="critical", evidence="sent and seen",
        mendable=False,
    )  # fmt: skip
    [joined] = join_findings([HOLE, proof])
    assert (joined.file, joined.confidence, joined.severity) == ("b.py", "proven", "critical")
    assert "sent and seen" in joined.evidence


def test_a_proof_of_nothing_in_the_code_stands_for_itself() -> None:
    proof = replace(HOLE, rule="probe-W14", file="", line=0, confidence="proven", mendable=False)
    assert len(join_findings([HOLE, proof])) == 2


def test_worst_first_then_what_costs_most() -> None:
    costly, cheap = replace(SLOW, anchor="1", measured_ms=40.0), replace(SLOW, anchor="2", measured_ms=2.0)
    assert [f.anchor for f in join_findings([cheap, HOLE, costly])] == ["", "1", "2"]


def test_one_fix_for_each_rule_and_file_of_what_is_wanted() -> None:
    twice = replace(SLOW, anchor="second", line=20)
    unwanted = replace(HOLE, file="c.py")
    advice = replace(HOLE, file="d.py", mendable=False)
    fixes = plan_fixes([SLOW, twice, HOLE, unwanted, advice], {SLOW.id, twice.id, HOLE.id, advice.id}, {})
    assert [(fix.rule, fix.file, len(fix.findings)) for fix in fixes] == [
        ("slow-rule", "a.py", 2),
        ("hole-rule", "b.py", 1),
    ]


def test_rules_say_their_order_among_their_own() -> None:
    early = replace(SLOW, rule="early-rule")
    fixes = plan_fixes([SLOW, early], {SLOW.id, early.id}, {"early-rule": 10, "slow-rule": 20})
    assert [fix.rule for fix in fixes] == ["early-rule", "slow-rule"]


def test_the_coordinator_orders_and_drops_but_performance_stays_first() -> None:
    other = replace(HOLE, rule="other-rule", file="c.py")
    fixes = plan_fixes([SLOW, HOLE, other], {SLOW.id, HOLE.id, other.id}, {})
    ordered = reorder(fixes, [other.id, HOLE.id, SLOW.id], [])
    assert [fix.rule for fix in ordered] == ["slow-rule", "other-rule", "hole-rule"]
    assert [fix.rule for fix in reorder(fixes, [HOLE.id, SLOW.id], [other.id])] == ["slow-rule", "hole-rule"]
