"""One scan: every rule once over one index."""

from __future__ import annotations

from collections.abc import Collection

from swarm.analysis.collecting import collector_off
from swarm.analysis.index import Index
from swarm.core.findings import Category, Finding, confidence_rank, severity_rank
from swarm.rules.registry import all_rules


def scan(index: Index, categories: Collection[Category] | None = None) -> tuple[Finding, ...]:
    """The findings of all rules of these categories (all where None), the worst first, each problem once."""
    found: dict[str, Finding] = {}
    with collector_off():
        for rule in all_rules():
            if categories is None or rule.category in categories:
                for finding in rule.find(index):
                    found.setdefault(finding.id, finding)
    return tuple(sorted(found.values(), key=_order))


def _order(finding: Finding) -> tuple[int, int, str, int, str]:
    return (
        severity_rank(finding.severity),
        confidence_rank(finding.confidence),
        finding.file,
        finding.line,
        finding.rule,
    )
