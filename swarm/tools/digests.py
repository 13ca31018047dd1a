"""Findings in few tokens: what a model needs to weigh and name them, never whole files. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from swarm.core.findings import Finding, confidence_rank, severity_rank
from swarm.tools.tool import OUTPUT_CHARS, as_json

_EVIDENCE_CHARS = 200
_SPARE_CHARS = 2_000


def findings_answer(
    findings: Sequence[Finding], more: Mapping[str, Any] | None = None, limit: int = OUTPUT_CHARS
) -> str:
    """JSON with `count`, `findings` (worst first) and, where they don't all fit, `more_findings` by rule.

    `more` is laid beside them. No id is ever left out: a fix can be asked for each one.
    """
    ordered = sorted(
        findings, key=lambda f: (severity_rank(f.severity), confidence_rank(f.confidence), f.file, f.line)
    )
    extra = dict(more or {})
    room = limit - _SPARE_CHARS - len(as_json(extra)) - 14 * len(ordered)
    whole: list[dict[str, Any]] = []
    for finding in ordered:
        entry = digest(finding)
        room -= len(as_json(entry))
        if room < 0:
            break
        whole.append(entry)
    answer: dict[str, Any] = {"count": len(ordered), "findings": whole}
    if len(whole) < len(ordered):
        answer["more_findings"] = _by_rule(ordered[len(whole) :])
        answer["note"] = "more_findings are shortened to save room; read their files for the places"
    return as_json({**answer, **extra})


def digest(finding: Finding) -> dict[str, Any]:
    """One finding, short."""
    entry: dict[str, Any] = {
        "id": finding.id,
        "rule": finding.rule,
        "severity": finding.severity,
        "confidence": finding.confidence,
        "place": place(finding),
        "title": finding.title,
        "mendable": finding.mendable,
    }
    if finding.evidence:
        entry["evidence"] = finding.evidence[:_EVIDENCE_CHARS]
    if finding.measured_ms is not None:
        entry["measured_ms"] = finding.measured_ms
    return entry


def place(finding: Finding) -> str:
    """`file:line-end`, or `running service` where no file applies."""
    if not finding.file:
        return "running service"
    if not finding.line:
        return finding.file
    end = f"-{finding.end_line}" if finding.end_line > finding.line else ""
    return f"{finding.file}:{finding.line}{end}"


def _by_rule(findings: Sequence[Finding]) -> list[dict[str, Any]]:
    groups: dict[tuple[str, str, bool], list[str]] = {}
    for finding in findings:
        groups.setdefault((finding.rule, finding.severity, finding.mendable), []).append(finding.id)
    return [
        {"rule": rule, "severity": severity, "mendable": mendable, "ids": ids}
        for (rule, severity, mendable), ids in groups.items()
    ]
