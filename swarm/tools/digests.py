"""Findings in few tokens: what a model needs to weigh and name them, never whole files. Pure."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from typing import Any

from swarm.core.findings import Finding, confidence_rank, severity_rank
from swarm.tools.tool import SHOWN_CHARS, Answer, as_json

_EVIDENCE_CHARS = 200


def findings_answer(
    findings: Sequence[Finding], more: Mapping[str, Any] | None = None, *, brought: Sequence[Finding] = ()
) -> Answer:
    """All findings, worst first, with `more` beside them; `brought` are those that came to light by the call.

    No id is ever left out, neither of the short form nor of what stays: a fix can be asked for each one.
    """
    ordered = sorted(
        findings, key=lambda f: (severity_rank(f.severity), confidence_rank(f.confidence), f.file, f.line)
    )
    extra = dict(more or {})
    whole = {"count": len(ordered), "findings": [digest(finding) for finding in ordered], **extra}
    stays = {"more_findings": by_rule(ordered)} if ordered else {}
    return Answer(as_json(whole), tuple(brought), short=_short(ordered, extra), served=stays)


def _short(ordered: Sequence[Finding], extra: Mapping[str, Any], limit: int = SHOWN_CHARS) -> dict[str, Any]:
    """As many of the worst as there is room for, and the others by their rules."""

    def form(shown: int) -> dict[str, Any]:
        answer: dict[str, Any] = {"count": len(ordered), "findings": [digest(one) for one in ordered[:shown]]}
        if shown < len(ordered):
            answer["more_findings"] = by_rule(ordered[shown:])
        return {**answer, **extra}

    fitting = bisect_left(range(1, len(ordered) + 1), True, key=lambda shown: len(as_json(form(shown))) > limit)
    return form(fitting)


def digest(finding: Finding) -> dict[str, Any]:
    """One finding in the fields that a model needs to choose by, its evidence cut short."""
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


def by_rule(findings: Sequence[Finding]) -> list[dict[str, Any]]:
    """One entry a rule, severity and mendability, with the `ids` of its findings in their order."""
    groups: dict[tuple[str, str, bool], list[str]] = {}
    for finding in findings:
        groups.setdefault((finding.rule, finding.severity, finding.mendable), []).append(finding.id)
    return [
        {"rule": rule, "severity": severity, "mendable": mendable, "ids": ids}
        for (rule, severity, mendable), ids in groups.items()
    ]
