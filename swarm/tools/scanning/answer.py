"""What the scanning tools have in common: their answer, with the files that could not be parsed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from swarm.core.findings import Finding
from swarm.tools.digests import findings_answer
from swarm.tools.tool import Answer

if TYPE_CHECKING:
    from swarm.tools.workbench import Workbench

_MOST_UNPARSED = 20


def scan_answer(findings: Sequence[Finding], bench: Workbench) -> Answer:
    """Digests of the findings, measured costs included where they are known by now."""
    known = tuple(bench.findings.get(finding.id) or finding for finding in findings)
    more: dict[str, Any] = {}
    unparsed = bench.index.tree.unparsed
    if unparsed:
        more["not_parsed"] = [f"{file}: {reason}"[:200] for file, reason in unparsed[:_MOST_UNPARSED]]
    return findings_answer(known, more, brought=findings)
