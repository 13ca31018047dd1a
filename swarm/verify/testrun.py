"""Runs the target's own tests on a copy, sandboxed, and keeps each test's outcome by name."""

from __future__ import annotations

import re
import shlex
import xml.etree.ElementTree as ElementTree
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from swarm.config.schema import Target
from swarm.core.place import TargetPlace
from swarm.core.ports import CommandLimits, CommandResult, Sandbox
from swarm.core.report import TestCounts
from swarm.target.running.commandline import command_line
from swarm.target.running.environment import child_environment
from swarm.target.tree.copies import Copy

_COUNT = re.compile(r"(\d+) (passed|failed|errors?|skipped)")
_UNITTEST_RAN = re.compile(r"^Ran (\d+) tests?", re.MULTILINE)
_UNITTEST_BAD = re.compile(r"(failures|errors|skipped)=(\d+)")


@dataclass(frozen=True, slots=True)
class TestRun:
    """`outcomes` maps a test's name to passed, failed or skipped; empty where the runner tells only counts."""

    __test__ = False

    counts: TestCounts
    outcomes: Mapping[str, str]
    exit_code: int | None
    ended_by: str
    tail: str
    duration_s: float

    @property
    def green(self) -> bool:
        """Whether the runner said that all is well."""
        return self.exit_code == 0 and self.counts.failed == 0

    @property
    def failing(self) -> tuple[str, ...]:
        """Names of the tests that failed."""
        return tuple(sorted(name for name, outcome in self.outcomes.items() if outcome == "failed"))


async def run_tests(place: TargetPlace, copy: Copy, target: Target, sandbox: Sandbox, tmp: Path) -> TestRun | None:
    """Run `target.tests` in the copy; None where the target names none."""
    if not target.tests:
        return None
    tmp.mkdir(parents=True, exist_ok=True)
    argv = command_line(target.tests, place, tmp=tmp, port=None)
    junit = tmp / "tests.xml"
    if is_pytest(shlex.split(target.tests)):
        argv = [*argv, f"--junitxml={junit}", "-p", "no:cacheprovider"]
    env = child_environment(place, copy, target, tmp, None, {})
    result = await sandbox.run(argv, copy.cwd, env, CommandLimits(timeout_s=300.0))
    return read_result(result, junit)


def is_pytest(words: list[str]) -> bool:
    """Whether a test command runs pytest, directly or as a module."""
    return any(Path(word).name in ("pytest", "py.test") for word in words)


def read_result(result: CommandResult, junit: Path) -> TestRun:
    """The outcomes from pytest's XML where it is there, else the counts from the output's words."""
    outcomes: dict[str, str] = {}
    if junit.exists():
        try:
            outcomes = _read_junit(junit)
        except ElementTree.ParseError:
            outcomes = {}
    counts = _count(outcomes) if outcomes else count_words(result.output)
    tail = "\n".join(result.output.strip().splitlines()[-15:])
    return TestRun(counts, outcomes, result.exit_code, result.ended_by, tail, result.duration_s)


def _read_junit(path: Path) -> dict[str, str]:
    outcomes: dict[str, str] = {}
    for case in ElementTree.parse(path).getroot().iter("testcase"):
        name = f"{case.get('classname', '')}::{case.get('name', '')}"
        kinds = {child.tag for child in case}
        outcome = "failed" if kinds & {"failure", "error"} else "skipped" if "skipped" in kinds else "passed"
        if outcomes.get(name) != "failed":
            outcomes[name] = outcome
    return outcomes


def _count(outcomes: Mapping[str, str]) -> TestCounts:
    values = list(outcomes.values())
    return TestCounts(values.count("passed"), values.count("failed"), values.count("skipped"))


def count_words(output: str) -> TestCounts:
    """Counts from pytest's or unittest's closing words."""
    found = {"passed": 0, "failed": 0, "skipped": 0}
    if ran := _UNITTEST_RAN.search(output):
        bad = {kind: int(number) for kind, number in _UNITTEST_BAD.findall(output)}
        failed = bad.get("failures", 0) + bad.get("errors", 0)
        skipped = bad.get("skipped", 0)
        return TestCounts(int(ran[1]) - failed - skipped, failed, skipped)
    for number, word in _COUNT.findall(output):
        kind = "failed" if word.startswith("error") else word
        found[kind] += int(number)
    return TestCounts(found["passed"], found["failed"], found["skipped"])


def newly_wrong(before: TestRun, after: TestRun) -> str:
    """Why the tests speak against a patch, or "": newly failing, fewer run, or cut off."""
    if after.ended_by:
        return f"the tests were ended by {after.ended_by}"
    worse = [
        name for name, outcome in after.outcomes.items()
        if outcome == "failed" and before.outcomes.get(name) != "failed"
    ]  # fmt: skip
    if worse:
        return f"newly failing: {', '.join(sorted(worse)[:5])}"
    gone = [n for n, outcome in before.outcomes.items() if outcome == "passed" and after.outcomes.get(n) != "passed"]
    if gone:
        return f"no longer run: {', '.join(sorted(gone)[:5])}"
    if after.counts.failed > before.counts.failed:
        return f"{after.counts.failed} failing, {before.counts.failed} before"
    if after.counts.passed < before.counts.passed:
        return f"only {after.counts.passed} pass, {before.counts.passed} before"
    if after.exit_code != 0 and before.exit_code == 0:
        return f"the test command exits {after.exit_code}, 0 before"
    return ""
