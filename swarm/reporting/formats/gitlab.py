"""GitLab's code quality report: findings as a JSON array that merge requests show."""

from __future__ import annotations

import hashlib
import json

from swarm.core.report import Report
from swarm.reporting.escape import one_line

NAME = "gitlab"
FILENAME = "gl-code-quality-report.json"

_SEVERITY = {"critical": "blocker", "high": "critical", "medium": "major", "low": "minor", "info": "info"}


def render(report: Report) -> str:
    """Every finding: patches lie beside the tree until they are applied, so all still hold in it."""
    seen: dict[str, int] = {}
    items = []
    for finding in report.findings:
        seen[finding.id] = seen.get(finding.id, 0) + 1
        fingerprint = hashlib.sha256(f"{finding.id}:{seen[finding.id]}".encode()).hexdigest()[:32]
        begin = max(1, finding.line)
        items.append(
            {
                "description": one_line(f"{finding.title}. {finding.recommendation}", 500),
                "check_name": one_line(finding.rule),
                "fingerprint": fingerprint,
                "severity": _SEVERITY[finding.severity],
                "location": {
                    "path": one_line(finding.file) or ".",
                    "lines": {"begin": begin, "end": max(begin, finding.end_line)},
                },
            }
        )
    return json.dumps(items, indent=2, ensure_ascii=False) + "\n"
