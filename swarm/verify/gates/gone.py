"""Gate `gone`: the mended findings are not found any more, and no grave new one is."""

from __future__ import annotations

from swarm.core.findings import Finding, severity_rank
from swarm.core.patches import GateResult
from swarm.rules.scan import scan
from swarm.verify.lab import Lab, Trial


def check(lab: Lab, trial: Trial) -> GateResult:
    """Scan the candidate and hold it against the original."""
    after = {finding.id: finding for finding in scan(trial.stack.index)}
    before = {finding.id for finding in scan(lab.original.index)}
    still = [
        after[finding] for patch in trial.judged for finding in patch.findings
        if finding in after and after[finding].rule == patch.rule and after[finding].mendable
    ]  # fmt: skip
    if still:
        return GateResult("gone", False, f"still found: {_place(still[0])}")
    grave = [f for f in after.values() if f.id not in before and severity_rank(f.severity) <= 1]
    new = [f for f in grave if _count(after, f) > _count_in(lab, f)]
    if new:
        return GateResult("gone", False, f"brings a new finding: {new[0].rule} at {_place(new[0])}")
    mended = sum(len(patch.findings) for patch in trial.judged)
    return GateResult("gone", True, f"{mended} findings are gone, no grave new one")


def _count(after: dict[str, Finding], like: Finding) -> int:
    return sum(f.rule == like.rule for f in after.values())


def _count_in(lab: Lab, like: Finding) -> int:
    return sum(f.rule == like.rule for f in scan(lab.original.index))


def _place(finding: Finding) -> str:
    return f"{finding.file}:{finding.line} {finding.title}" if finding.file else finding.title
