"""What one check earns: credit only for what was proven, or for what code that was looked at can show. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from swarm.core.findings import Finding, Severity, confidence_rank, severity_rank
from swarm.core.report import CheckState
from swarm.probes.probe import ProbeResult
from swarm.probes.run import NO_CONTROL
from swarm.scores.registry import Check

_DELIBERATE = "(a comment there calls it deliberate)"


@dataclass(frozen=True, slots=True)
class Seen:
    """What was seen of one tree. `findings` is None where its code was not scanned.

    `inapplicable` holds, by check, what shows that it does not concern this tree; `caught` the share of the planted
    faults of a class that those who look saw (1 where none was planted). `blind` are rules that broke down over it.
    """

    probes: Sequence[ProbeResult] = ()
    findings: Sequence[Finding] | None = None
    inapplicable: Mapping[str, str] = field(default_factory=dict)
    caught: Mapping[str, float] = field(default_factory=dict)
    blind: Collection[str] = ()


@dataclass(frozen=True, slots=True)
class Credit:
    """`value` from 0 to 1, None where the check does not apply; `open` is the severity of what is wrong."""

    value: float | None
    state: CheckState
    evidence: str
    open: Severity | None = None
    without_control: bool = False

    @property
    def ran(self) -> bool:
        """Whether the check's own proof was made: what a scan says in a probe's place is none."""
        return self.state in ("proven", "failed", "static")


def credit_of(check: Check, seen: Seen) -> Credit:
    """The credit of one check."""
    results = [result for result in seen.probes if result.probe in check.probes]
    failed = sorted((r for r in results if r.outcome == "failed"), key=lambda r: severity_rank(r.severity or "high"))
    if failed:
        worst = failed[0]
        severity = worst.severity or (check.severity if worst.probe == check.id else "info")
        return Credit(0.0, "failed", _at(worst.route, worst.evidence), severity)
    found = _wrong_in_code(check, seen)
    if found is not None:
        return found
    factor = seen.caught.get(check.faults, 1.0)
    answered = {r.probe for r in results if r.outcome in ("passed", "inapplicable")}
    if check.probes and answered == set(check.probes) and len(answered) == len(results):
        passed = [r.evidence for r in results if r.outcome == "passed"]
        if not passed:
            return Credit(None, "not applicable", results[0].evidence)
        return Credit(factor, "proven", "; ".join(passed) + _blind(factor))
    if check.id in seen.inapplicable:
        return Credit(None, "not applicable", seen.inapplicable[check.id])
    return _without_proof(check, seen, results, factor)


def _without_proof(check: Check, seen: Seen, results: Sequence[ProbeResult], factor: float) -> Credit:
    skipped = next((r.evidence for r in results if r.outcome == "skipped"), "")
    without_control = skipped.startswith(NO_CONTROL)
    looked = bool(check.rules) and seen.findings is not None and not set(check.rules) & set(seen.blind)
    worth = check.detector * factor if looked else 0.0
    if check.probes:
        words = skipped or "no probe for it ran"
        if worth:
            words += f"; the code shows nothing, which counts {worth:.2f}"
        return Credit(worth, "not run", words, without_control=without_control)
    if not looked:
        words = "the code was not scanned, or not to its end" if check.rules else "nothing here can look"
        return Credit(0.0, "not run", words)
    return Credit(worth, "static", f"nothing found by {', '.join(check.rules)}" + _blind(factor))


def _wrong_in_code(check: Check, seen: Seen) -> Credit | None:
    mine = [f for f in seen.findings or () if f.status != "patched" and f.rule in check.rules]
    suppressed = [f for f in mine if _DELIBERATE in f.evidence]
    wrong = [f for f in mine if f.severity != "info" and confidence_rank(f.confidence) <= 2]
    if wrong:
        worst = min(wrong, key=lambda f: severity_rank(f.severity))
        place = f"{worst.file}:{worst.line}" if worst.file else "the running service"
        return Credit(0.0, "failed", f"{worst.rule} at {place}: {worst.title}", worst.severity)
    if suppressed:
        one = suppressed[0]
        return Credit(0.0, "failed", f"{one.rule} at {one.file}:{one.line} is suppressed by a comment")
    return None


def _blind(factor: float) -> str:
    return "" if factor == 1.0 else f"; of the faults planted in its class only {factor:.0%} were caught"


def _at(route: str, evidence: str) -> str:
    return f"{route}: {evidence}" if route else evidence
