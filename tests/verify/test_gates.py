"""The gates that need no running service."""

from __future__ import annotations

from pathlib import Path

import pytest

from swarm.core.patches import FileChange, Patch
from swarm.core.ports import CommandResult
from swarm.core.report import TestCounts
from swarm.probes.probe import ProbeResult
from swarm.verify.gates import probes, protects, starts
from swarm.verify.testrun import TestRun, count_words, is_pytest, newly_wrong, read_result


def patch(*paths: str) -> Patch:
    changes = tuple(FileChange(path, "a\n", "b\n") for path in paths)
    return Patch("001-r", "t", "r", "api", (), "a", "", changes)


@pytest.mark.parametrize(
    "path",
    [
        "tests/test_a.py",
        "pkg/tests/helpers.py", "test_a.py", "pkg/a_test.py", "conftest.py", ".github/workflows/ci.yml",
        "poetry.lock", "sub/uv.lock", ".gitlab-ci.yml", "docs/a.md", "../outside.py", "/etc/passwd",
    ],
)  # fmt: skip
def test_protected_files_are_refused(path: str) -> None:
    assert protects.check(patch("app.py", path), ["docs/**"]).passed is False


@pytest.mark.parametrize("path", ["app.py", "pkg/testing_tools.py", "contest.py", "requirements.txt", "latest/a.py"])
def test_other_files_are_not(path: str) -> None:
    assert protects.check(patch(path), ["docs/**"]).passed is True


def test_a_log_that_got_worse_fails_the_start() -> None:
    assert starts.check("INFO up", "INFO up\nINFO ready").passed
    assert starts.check("WARNING old\nERROR known", "ERROR known").passed
    worse = starts.check("INFO up", "INFO up\nTraceback (most recent call last):")
    assert worse.passed is False
    assert "Traceback" in worse.detail


def result(probe: str, outcome: str) -> ProbeResult:
    return ProbeResult(probe, outcome, "seen", "Title", "POST /hook")  # type: ignore[arg-type]


def test_probes_that_passed_must_pass_again() -> None:
    before = (result("W01", "passed"), result("W02", "failed"))
    assert probes.check(before, (result("W01", "passed"), result("W02", "failed"))).passed
    assert probes.check(before, (result("W01", "failed"), result("W02", "passed"))).passed is False
    assert probes.check(before, (result("W01", "skipped"), result("W02", "passed"))).passed is False
    assert probes.check((), ()).passed is None


def test_a_patch_must_close_the_hole_that_it_mends() -> None:
    before = (result("W01", "passed"), result("W09", "failed"))
    still_open = (result("W01", "passed"), result("W09", "failed"))
    assert probes.check(before, still_open, {"W09"}).passed is False
    assert probes.check(before, still_open, {"W12"}).passed is True
    assert probes.check(before, (result("W01", "passed"), result("W09", "passed")), {"W09"}).passed is True


def run(passed: int, failed: int = 0, outcomes: dict[str, str] | None = None, **changes: object) -> TestRun:
    fields = {"exit_code": 1 if failed else 0, "ended_by": "", "tail": "", "duration_s": 1.0, **changes}
    return TestRun(TestCounts(passed, failed, 0), outcomes or {}, **fields)  # type: ignore[arg-type]


def test_tests_may_not_newly_fail_vanish_or_hang() -> None:
    before = run(2, outcomes={"a": "passed", "b": "passed"})
    assert newly_wrong(before, before) == ""
    assert "b" in newly_wrong(before, run(1, 1, {"a": "passed", "b": "failed"}))
    assert "no longer run: b" in newly_wrong(before, run(1, outcomes={"a": "passed"}))
    assert "no longer run: b" in newly_wrong(before, run(1, outcomes={"a": "passed", "b": "skipped"}))
    assert "time" in newly_wrong(before, run(2, outcomes=dict(before.outcomes), ended_by="time"))
    assert newly_wrong(run(5), run(4)) != ""
    assert newly_wrong(run(5), run(5, exit_code=2)) != ""


@pytest.mark.parametrize(
    ("words", "counts"),
    [
        ("== 3 passed, 1 skipped in 0.1s ==", TestCounts(3, 0, 1)),
        ("2 failed, 5 passed, 1 error in 2s", TestCounts(5, 3, 0)),
        ("Ran 7 tests in 0.1s\n\nFAILED (failures=2, skipped=1)", TestCounts(4, 2, 1)),
        ("Ran 7 tests in 0.1s\n\nOK", TestCounts(7, 0, 0)),
        ("nothing to read", TestCounts(0, 0, 0)),
    ],
)
def test_counts_are_read_from_the_closing_words(words: str, counts: TestCounts) -> None:
    assert count_words(words) == counts


def test_outcomes_come_from_the_xml_by_name(tmp_path: Path) -> None:
    junit = tmp_path / "tests.xml"
    junit.write_text(
        '<testsuites><testsuite><testcase classname="m" name="a"/><testcase classname="m" name="b">'
        '<failure message="x"/></testcase><testcase classname="m" name="c"><skipped/></testcase>'
        "</testsuite></testsuites>"
    )
    read = read_result(CommandResult(("pytest",), 1, "1 failed", 0.5), junit)
    assert read.outcomes == {"m::a": "passed", "m::b": "failed", "m::c": "skipped"}
    assert read.failing == ("m::b",)
    assert not read.green


def test_pytest_is_known_however_it_is_called() -> None:
    assert is_pytest(["python", "-m", "pytest", "-q"])
    assert is_pytest([".venv/bin/pytest"])
    assert not is_pytest(["python", "-m", "unittest"])


def test_a_hole_that_a_patch_leaves_open_points_at_the_rule_that_mends_it() -> None:
    before = [ProbeResult("W11", "failed", "server errors for a list (500)", "Hostile JSON", "POST /hook")]
    refused = probes.check(before, before, {"W11"})
    assert (refused.passed, refused.rules) == (False, ("unchecked-json",))
    assert "server errors for a list (500)" in refused.detail


def test_a_hole_of_many_parts_counts_as_mended_where_fewer_are_open() -> None:
    def failing(*parts: str) -> tuple[ProbeResult, ...]:
        return (ProbeResult("W11", "failed", "seen", "Hostile JSON", "POST /hook", parts=parts),)

    before = failing("a list", "a NUL character")
    assert probes.check(before, failing("a list"), {"W11"}).passed is True
    assert probes.check(before, failing("a list", "a NUL character"), {"W11"}).passed is False
    assert probes.check(before, failing("no body"), {"W11"}).passed is False
    assert probes.check(before, failing(), {"W11"}).passed is False


def test_a_probe_that_fails_at_a_route_now_is_no_probe_that_could_not_run() -> None:
    before = [ProbeResult("W17", "passed", "no limit", "Forged headers")]
    failing = probes.check(before, [ProbeResult("W17", "failed", "meets no limit", "Forged headers", "POST /hook")])
    assert (failing.passed, failing.detail) == (False, "Forged headers fails now: meets no limit")
    unseen = [ProbeResult("W17", "skipped", "not done within 15 s", "Forged headers")]
    assert probes.check(before, unseen).detail == "W17 passed before and could not be run now: not done within 15 s"
    assert probes.lost(before, unseen) == ["W17"]
    assert probes.lost(before, failing_of("W17")) == []


def failing_of(probe: str) -> list[ProbeResult]:
    return [ProbeResult(probe, "failed", "seen", "Title", "POST /hook")]
