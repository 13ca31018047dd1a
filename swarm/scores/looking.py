"""What is seen of one tree's code: the findings that the scores count, and whether those who look can see."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from swarm.analysis.bandit_scan import bandit_findings, join
from swarm.analysis.dataflow.settled import unsettled
from swarm.analysis.index import Index
from swarm.core.findings import Category, Finding
from swarm.core.report import PlantedFault
from swarm.rules.scan import scan
from swarm.scores.faults import caught, plant
from swarm.scores.registry import CHECKS

COUNTED: tuple[Category, ...] = ("security", "compliance", "api", "monitoring")


def static_findings(index: Index, root: Path) -> tuple[Finding, ...]:
    """The rules' findings in the counted categories, joined with bandit's; `root` holds the tree's files."""
    return unsettled(index, join(scan(index, COUNTED), bandit_findings(root, tuple(index.tree.modules))))


def planted_faults(index: Index, scratch: Path) -> tuple[PlantedFault, ...]:
    """Plant every class of static faults in a copy of one file, scan again, and count; empty without a route."""
    planted = plant(index)
    if planted is None:
        return ()
    with tempfile.TemporaryDirectory(dir=scratch, prefix="planted-") as folder:
        root = Path(folder)
        for change in planted.changes:
            file = root / change.path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(change.after or "", encoding="utf-8")
        others = bandit_findings(root, [change.path for change in planted.changes])
    return caught(planted, join(scan(planted.index, COUNTED), others), rules_by_fault())


def rules_by_fault() -> dict[str, tuple[str, ...]]:
    """For each class of planted faults the ids of the rules that must catch it."""
    return {check.faults: check.rules for check in CHECKS if check.faults and check.rules}


def caught_shares(planted: Sequence[PlantedFault]) -> Mapping[str, float]:
    """By class, the share that was caught."""
    return {fault.name: fault.caught / fault.planted for fault in planted if fault.planted}
