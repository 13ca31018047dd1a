"""Gate `probes`: no live probe that passed on the original fails on the candidate."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from swarm.core.patches import GateResult
from swarm.probes.probe import ProbeResult
from swarm.probes.run import all_probes


def check(before: Sequence[ProbeResult], after: Sequence[ProbeResult], closed: Collection[str] = ()) -> GateResult:
    """Hold the candidate's probe results against the original's, by probe and route.

    `closed` are the probes whose holes the judged patches close as far as the code shows: those must pass now, or
    fail at less than before where they tell their parts: what the code does not show a patch cannot close.
    """
    passed = {(result.probe, result.route) for result in before if result.outcome == "passed"}
    worse = worsened(before, after)
    better = sum(r.outcome == "passed" and (r.probe, r.route) not in passed for r in after)
    if worse:
        return GateResult("probes", False, f"{worse[0].title} fails now: {worse[0].evidence}")
    unseen = lost(before, after)
    if unseen:
        why = next((f": {r.evidence}" for r in after if r.probe == unseen[0] and r.outcome == "skipped"), "")
        return GateResult("probes", False, f"{unseen[0]} passed before and could not be run now{why}")
    failed_before = {(result.probe, result.route): result for result in before if result.outcome == "failed"}
    open_still = [
        r
        for r in after
        if r.probe in closed and r.outcome == "failed"
        and (r.probe, r.route) in failed_before and not _fewer(failed_before[r.probe, r.route], r)
    ]  # fmt: skip
    if open_still:
        held = {result.probe for result in open_still}
        guilty = tuple(sorted(rule for probe in all_probes() if probe.id in held for rule in probe.proves))
        detail = f"does not close what it mends: {open_still[0].title}: {open_still[0].evidence}"
        return GateResult("probes", False, detail, rules=guilty)
    if not before:
        return GateResult("probes", None, "no probe applies to this target")
    return GateResult("probes", True, f"{len(passed)} still pass, {better} pass that did not")


def worsened(before: Sequence[ProbeResult], after: Sequence[ProbeResult]) -> list[ProbeResult]:
    """What fails now and passed on the original, by probe and route."""
    passed = {(result.probe, result.route) for result in before if result.outcome == "passed"}
    return [r for r in after if r.outcome == "failed" and {(r.probe, r.route), (r.probe, "")} & passed]


def lost(before: Sequence[ProbeResult], after: Sequence[ProbeResult]) -> list[str]:
    """The probes that passed somewhere on the original and say nothing of it now; a failed one says something."""
    said = {(result.probe, result.route) for result in after if result.outcome != "skipped"}
    failed = {result.probe for result in after if result.outcome == "failed"}
    passed = [result for result in before if result.outcome == "passed" and result.probe not in failed]
    return sorted({result.probe for result in passed if (result.probe, result.route) not in said})


def _fewer(before: ProbeResult, after: ProbeResult) -> bool:
    """Whether the probe fails at a part of what it failed at, and at nothing else."""
    return bool(after.parts) and set(after.parts) < set(before.parts)
