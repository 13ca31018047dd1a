"""Joins what the specialists found into one list of findings and one ordered list of fixes. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from swarm.core.findings import Category, Finding, confidence_rank, severity_rank
from swarm.core.proposals import Proposal
from swarm.verify.fixes import Fix

# Performance comes first: the faster the tree, the clearer what a later patch costs.
_CATEGORY_ORDER: tuple[Category, ...] = ("performance", "security", "compliance", "api", "monitoring")


@dataclass(frozen=True, slots=True)
class Plan:
    """Joined findings, worst first, and the fixes in the order in which they stack."""

    findings: tuple[Finding, ...]
    fixes: tuple[Fix, ...]


def join_findings(reported: Iterable[Finding]) -> tuple[Finding, ...]:
    """One finding for each problem, the worst first.

    The same problem of two agents is kept once, with the worst severity and the best confidence. A live
    proof (a proven finding of the service as a whole, under the static rule that mends it) raises that
    rule's findings in the code to proven, and is itself kept only where there are none.
    """
    joined: dict[str, Finding] = {}
    for finding in reported:
        known = joined.get(finding.id)
        joined[finding.id] = finding if known is None else _stronger(known, finding)
    findings = list(joined.values())
    for proof in [f for f in findings if not f.file and f.confidence == "proven"]:
        covered = [f for f in findings if f.rule == proof.rule and f.file]
        for finding in covered:
            findings[findings.index(finding)] = _proven(finding, proof)
        if covered:
            findings.remove(proof)
    return tuple(sorted(findings, key=_weight))


def _stronger(one: Finding, other: Finding) -> Finding:
    severity = min(one.severity, other.severity, key=severity_rank)
    confidence = min(one.confidence, other.confidence, key=confidence_rank)
    agents = dict.fromkeys([*one.agent.split(" + "), *other.agent.split(" + ")])
    return replace(
        one,
        severity=severity,
        confidence=confidence,
        agent=" + ".join(agents),
        measured_ms=max((m for m in (one.measured_ms, other.measured_ms) if m is not None), default=None),
    )


def _proven(finding: Finding, proof: Finding) -> Finding:
    evidence = f"{finding.evidence}\nproven live: {proof.evidence}"
    severity = min(finding.severity, proof.severity, key=severity_rank)
    return replace(finding, confidence="proven", evidence=evidence, severity=severity)


def _weight(finding: Finding) -> tuple[int, float, int, str, int]:
    return (
        severity_rank(finding.severity),
        -(finding.measured_ms or 0.0),
        confidence_rank(finding.confidence),
        finding.file,
        finding.line,
    )


def plan_fixes(findings: Sequence[Finding], wanted: Collection[str], orders: Mapping[str, int]) -> tuple[Fix, ...]:
    """One fix for each rule and file with a wanted, mendable finding, in stacking order.

    `orders` gives a rule's place among the fixes of its category (50 where it names none).
    """
    groups: dict[tuple[str, str], list[Finding]] = {}
    spared: dict[tuple[str, str], list[str]] = {}
    for finding in findings:
        place = finding.rule, finding.file
        if finding.mendable and finding.id in wanted:
            groups.setdefault(place, []).append(finding)
        elif finding.mendable:
            spared.setdefault(place, []).append(finding.id)
    fixes = [
        Fix(
            rule=rule,
            category=group[0].category,
            file=file,
            findings=tuple(f.id for f in group),
            author=group[0].agent,
            spared=tuple(spared.get((rule, file), ())),
        )
        for (rule, file), group in groups.items()
    ]
    return tuple(
        sorted(
            fixes,
            key=lambda fix: (
                _CATEGORY_ORDER.index(fix.category),
                orders.get(fix.rule, 50),
                fix.rule,
                fix.file,
            ),
        )
    )


def plan_edits(proposals: Sequence[Proposal], findings: Iterable[Finding]) -> tuple[Fix, ...]:
    """One fix for each patch that a model wrote, the worst finding first; they are tried after the rules' mends.

    Then a mend never waits for an edit that may be wrong, and what an edit gains is what it adds to them.
    """
    known = {finding.id: finding for finding in findings}
    answered = [(known[one.finding], one) for one in proposals if one.finding in known]
    return tuple(
        Fix(
            rule=finding.rule,
            category=finding.category,
            file=proposal.changes[0].path,
            findings=(finding.id,),
            author=proposal.agent,
            title=proposal.title,
            rationale=proposal.why,
            edits=proposal.changes,
            model=proposal.model,
        )
        for finding, proposal in sorted(answered, key=lambda pair: _weight(pair[0]))
    )


def reorder(fixes: Sequence[Fix], finding_order: Sequence[str], dropped: Collection[str]) -> tuple[Fix, ...]:
    """The plan in the coordinator's order; performance stays first, and what it did not name comes last."""
    place = {finding: number for number, finding in enumerate(finding_order)}
    kept = [fix for fix in fixes if not set(fix.findings) <= set(dropped)]

    def rank(fix: Fix) -> tuple[bool, int]:
        return fix.category != "performance", min((place.get(f, len(place)) for f in fix.findings), default=0)

    return tuple(sorted(kept, key=rank))
