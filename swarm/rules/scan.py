"""One scan: every rule once over one index."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace

from swarm.analysis.index import Index
from swarm.analysis.reading.collecting import collector_off
from swarm.core.findings import Category, Finding, confidence_rank, severity_rank
from swarm.rules.facts.in_use import with_scripts_low
from swarm.rules.looking import found_by
from swarm.rules.registry import all_rules


def scan(index: Index, categories: Collection[Category] | None = None) -> tuple[Finding, ...]:
    """The findings of all rules of these categories (all where None), the worst first, each problem once."""
    found: dict[str, Finding] = {}
    with collector_off():
        for rule in all_rules():
            if categories is None or rule.category in categories:
                for finding in found_by(rule, index):
                    found.setdefault(finding.id, finding)
    told_by = {rule.id: rule.told_by for rule in all_rules() if rule.told_by}
    with index.alone:
        return tuple(sorted(with_scripts_low(index, _joined(found.values(), told_by)), key=_order))


def _joined(findings: Collection[Finding], told_by: Mapping[str, str]) -> list[Finding]:
    """One finding for a problem that one rule sees at its places and another as a whole: with the way of the data."""
    ways: dict[str, list[Finding]] = {}
    wholes = {finding.rule for finding in findings}
    kept: list[Finding] = []
    for finding in findings:
        whole = told_by.get(finding.rule, "")
        if whole in wholes:
            ways.setdefault(whole, []).append(finding)
        else:
            kept.append(finding)
    return [_with_ways(finding, ways.get(finding.rule, [])) for finding in kept]


def _with_ways(finding: Finding, places: list[Finding]) -> Finding:
    if not places:
        return finding
    lines = ", ".join(f"{place.file}:{place.line}" for place in places[:3])
    more = f" and {len(places) - 3} more" if len(places) > 3 else ""
    evidence = f"{finding.evidence}; followed from a request to {lines}{more}"
    return replace(finding, evidence=evidence, flow=places[0].flow)


def _order(finding: Finding) -> tuple[int, int, str, int, str]:
    return (
        severity_rank(finding.severity),
        confidence_rank(finding.confidence),
        finding.file,
        finding.line,
        finding.rule,
    )
