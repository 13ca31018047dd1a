"""`--fail-on` rules: conditions under which a run that worked still exits 1. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence

from swarm.core.errors import UsageError
from swarm.core.findings import SEVERITIES, Finding, severity_rank
from swarm.core.metrics import did_you_mean
from swarm.core.patches import Accepted
from swarm.core.report import Report

_SCORE = re.compile(r"^score:(security|compliance)<(\d+(?:\.\d+)?)$")


def check_fail_on(rules: Sequence[str]) -> None:
    """Raise UsageError for a rule that is none."""
    for rule in rules:
        if rule in ("targets", "regression") or _SCORE.match(rule):
            continue
        kind, _, value = rule.partition(":")
        if kind == "severity":
            if value not in SEVERITIES:
                raise UsageError(f"--fail-on {rule}: severity {value!r} is unknown{did_you_mean(value, SEVERITIES)}")
            continue
        known = ("severity:high", "targets", "regression", "score:security<95")
        raise UsageError(f"--fail-on {rule!r} is unknown; use one of {', '.join(known)}{did_you_mean(rule, known)}")


def reasons_to_fail(rules: Sequence[str], report: Report) -> tuple[str, ...]:
    """One line for each rule that holds. What could not be measured counts as failing: skipping is no pass."""
    reasons: list[str] = []
    for rule in rules:
        if rule == "targets":
            reasons += [
                f"target missed: {t.expression}" + (f" ({t.reason})" if t.met is None else "")
                for t in report.targets
                if not t.met
            ]
        elif rule == "regression":
            if any(isinstance(p.verdict, Accepted) for p in report.patches) and not report.benchmarks:
                reasons.append("regression not measured: there was no load benchmark")
            reasons += [
                f"slower than before: {b.name}"
                for b in report.benchmarks
                for ratio in (b.ratio_p50, b.ratio_p95)
                if ratio is not None and ratio.change == "worse"
            ]
        elif rule.startswith("severity:"):
            bound = severity_rank(rule.partition(":")[2])  # type: ignore[arg-type]
            still = [f for f in report.findings if f.status != "patched" and severity_rank(f.severity) <= bound]
            if still:
                findings = "1 open finding" if len(still) == 1 else f"{len(still)} open findings"
                reasons.append(
                    f"{findings} of {rule.partition(':')[2]} or above, e.g. {still[0].rule} at {_place(still[0])}"
                )
        elif match := _SCORE.match(rule):
            score = report.security_score if match[1] == "security" else report.compliance_score
            if score.after is None or score.after < float(match[2]):
                reasons.append(
                    f"{match[1]} score {score.after if score.after is not None else 'not measured'} < {match[2]}"
                )
    return tuple(dict.fromkeys(reasons))


def _place(finding: Finding) -> str:
    return f"{finding.file}:{finding.line}" if finding.line else finding.file or "the running service"
