"""Gate `tests`: the target's own tests, none newly failing, none fewer run."""

from __future__ import annotations

from swarm.core.patches import GateResult
from swarm.core.report import TestCounts
from swarm.verify.lab import Lab, Trial
from swarm.verify.testrun import newly_wrong, run_tests


async def check(lab: Lab, trial: Trial) -> tuple[GateResult, TestCounts | None]:
    """Run the tests on the candidate and hold them against the original's."""
    if lab.tests_before is None:
        return GateResult("tests", None, "the target has no tests: replay carries the weight"), None
    after = await run_tests(lab.place, trial.copy, lab.target, lab.sandbox, lab.folder("tests"))
    assert after is not None, "the target names tests"
    wrong = newly_wrong(lab.tests_before, after)
    counts = f"{after.counts.passed} passed, {after.counts.failed} failed, {after.counts.skipped} skipped"
    return GateResult("tests", not wrong, wrong or counts, after.duration_s), after.counts
