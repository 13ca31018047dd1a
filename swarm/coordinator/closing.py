"""Findings that are gone without a patch of their own: another patch mended them, or the running service shows it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from swarm.core.findings import Finding
from swarm.core.report import Score
from swarm.rules.looking import found_by
from swarm.rules.rule import Rule
from swarm.verify.verifier import Proven


def closed_on_the_way(
    findings: Sequence[Finding], settled: Proven | None, scores: Sequence[Score], rules: Mapping[str, Rule]
) -> tuple[Finding, ...]:
    """The findings, those patched that are still called open and were looked for in vain in the patched service.

    No single patch can be named for them. Only what was looked for again counts: a probe that failed before and
    passes now, and a rule whose fix had nothing left to mend after the patches before it.
    """
    if settled is None or not settled.stack.patches:
        return tuple(findings)
    passed = {
        check.id
        for score in scores
        for check in score.checks
        if check.before_state == "failed" and check.after_state == "proven" and check.after == 1
    }
    passed |= _passed_beside(settled, {check.id for score in scores for check in score.checks})
    gone: set[str] = set()
    for unbuilt in settled.unbuilt:
        rule = rules.get(unbuilt.fix.rule)
        if rule is not None and unbuilt.patch is None:
            gone |= set(unbuilt.fix.findings) - {finding.id for finding in found_by(rule, settled.stack.index)}
    return tuple(
        replace(finding, status="patched")
        if finding.status == "open" and (finding.id in gone or _probe(finding) in passed)
        else finding
        for finding in findings
    )


def _passed_beside(settled: Proven, scored: Collection[str]) -> set[str]:
    """Probes that no score counts and that the whole stack's proof saw pass, on every route."""
    results = [
        result for result in (settled.judgement.probes if settled.judgement else ()) if result.probe not in scored
    ]
    return {result.probe for result in results} - {result.probe for result in results if result.outcome != "passed"}


def _probe(finding: Finding) -> str:
    """The probe that alone shows a finding; "" for one that the code shows."""
    return "" if finding.file else finding.anchor.partition(" ")[0]
