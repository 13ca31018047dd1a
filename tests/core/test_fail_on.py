"""--fail-on: what holds, and that what was not measured counts as failing."""

from __future__ import annotations

import pytest

from swarm.core.errors import UsageError
from swarm.core.fail_on import check_fail_on, reasons_to_fail
from swarm.core.findings import Finding
from swarm.core.metrics import Comparison, Ratio
from swarm.core.patches import Accepted, JudgedPatch, Patch
from swarm.core.report import Report, RunInfo, Score, TargetOutcome

INFO = RunInfo("r", "", "", 0.0, "", "", "", "", "complete")


def finding(severity: str, status: str = "open") -> Finding:
    return Finding("rule", "api", severity, "high", "t", "a.py", 1, 1, "", "", status=status)  # type: ignore[arg-type]


def test_severity_counts_what_is_still_open() -> None:
    report = Report(INFO, findings=(finding("high"), finding("critical", "patched"), finding("low")))
    assert reasons_to_fail(["severity:high"], report)
    assert not reasons_to_fail(["severity:critical"], report)


def test_targets_missed_or_not_measured_fail() -> None:
    report = Report(INFO, targets=(TargetOutcome("a < 1ms", "s", None, None, None, "not measured, because"),))
    assert reasons_to_fail(["targets"], report)
    assert not reasons_to_fail(["targets"], Report(INFO, targets=(TargetOutcome("a", "s", 1, 1, True),)))


def test_regression_needs_a_clear_ratio() -> None:
    slow = Comparison("webhook latency", "ms", None, None, Ratio(1.2, (1.1, 1.3)), None)
    noisy = Comparison("webhook latency", "ms", None, None, Ratio(1.2, (0.9, 1.5)), None)
    assert reasons_to_fail(["regression"], Report(INFO, benchmarks=(slow,)))
    assert not reasons_to_fail(["regression"], Report(INFO, benchmarks=(noisy,)))


def test_regression_that_was_not_measured_fails_where_something_was_changed() -> None:
    changed = JudgedPatch(Patch("001-a", "t", "a", "api", (), "api", "", ()), Accepted(()))
    assert reasons_to_fail(["regression"], Report(INFO, patches=(changed,)))
    assert not reasons_to_fail(["regression"], Report(INFO))


def test_a_score_that_was_not_measured_fails() -> None:
    assert reasons_to_fail(["score:security<95"], Report(INFO))
    assert not reasons_to_fail(["score:security<95"], Report(INFO, security_score=Score(10.0, 96.0)))


@pytest.mark.parametrize("rule", ["severity:hgih", "target", "score:beauty<3", "x"])
def test_an_unknown_rule_is_refused(rule: str) -> None:
    with pytest.raises(UsageError):
        check_fail_on([rule])
