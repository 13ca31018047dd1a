"""The readiness section: each line by what was measured, and a rollback that is really tried."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from swarm.config.schema import Target
from swarm.coordinator.readiness import BEFORE_DEPLOYMENT, TARGETS, readiness
from swarm.coordinator.rollback_trial import try_rollback
from swarm.coordinator.targets import Measured, judge_targets
from swarm.core.metrics import ANSWER, Comparison, Summary
from swarm.core.patches import FileChange, Patch
from swarm.core.report import (
    CacheUse,
    Capacity,
    ErrorRates,
    MonitoringFiles,
    ReadinessLine,
    ResourceUse,
    Side,
    WorkDone,
)
from swarm.reporting.readiness import monitoring_lines
from swarm.target.tree.place import resolve_place
from tests.reporting.sample import sample_report

GOOD = Measured(
    answer=Comparison(ANSWER, "ms", Summary(36, 1, 1, 1, 1, 1, 1), Summary(36, 1, 1, 1, 1, 1, 1)),
    errors=ErrorRates(0.02, 0.0),
    capacity=Capacity(12.0, 48.0, "held"),
    resources_before=ResourceUse(96.0, 40.0),
    resources_after=ResourceUse(99.0, 20.0),
    side_after=Side(WorkDone(36, 0.5, 72, 72, 0), cache=CacheUse((("flow", 9, 10),), 0.9, 0.4)),
)


EXPRESSIONS = ("cache_hit_rate > 85%", "cache_operation_time_mean < 10ms", "database_query_time_p90 < 50ms")


def lines(
    measured: Measured, rollback: ReadinessLine | None = None, expressions: tuple[str, ...] = EXPRESSIONS
) -> dict[str, ReadinessLine]:
    targets = judge_targets([(expression, "fast") for expression in expressions], measured)
    return {line.name: line for line in readiness(measured, targets, 6.0, rollback)}


def test_each_line_has_its_value() -> None:
    told = lines(GOOD, ReadinessLine("Rollback procedures tested", True, "as it was", BEFORE_DEPLOYMENT))
    passed = [
        "Connection pools tested under load", "Cache hit rates validated", "Webhook parallel processing tested",
        "Memory usage impact assessed", "Work behind the answer finishes", "Rollback procedures tested",
        "cache_hit_rate > 85%", "cache_operation_time_mean < 10ms",
    ]  # fmt: skip
    assert [told[name].passed for name in passed] == [True] * len(passed)
    assert "48/s held (before: 12/s)" in told["Webhook parallel processing tested"].value
    assert told["database_query_time_p90 < 50ms"].passed is None
    assert told["database_query_time_p90 < 50ms"].value.startswith("not measured, because ")
    assert {line.group for line in told.values()} == {BEFORE_DEPLOYMENT, TARGETS}


@pytest.mark.parametrize(
    ("name", "worse"),
    [
        ("Connection pools tested under load", {"errors": ErrorRates(0.0, 0.05)}),
        ("Webhook parallel processing tested", {"capacity": Capacity(12.0, 6.0, "held")}),
        ("Webhook parallel processing tested", {"capacity": Capacity(12.0, None, "held")}),
        ("Memory usage impact assessed", {"resources_after": ResourceUse(150.0, 1.0)}),
        ("Work behind the answer finishes", {"side_after": Side(WorkDone(36, 0.5, 72, 60, 6))}),
        ("Work behind the answer finishes", {"side_after": Side(WorkDone(36, None, 72, 72, 0))}),
        ("Cache hit rates validated", {"side_after": Side(cache=CacheUse((("flow", 5, 10),), 0.5, 0.4))}),
    ],
)
def test_what_falls_short_is_told(name: str, worse: dict[str, object]) -> None:
    assert lines(replace(GOOD, **worse))[name].passed is False  # type: ignore[arg-type]


def test_a_run_without_a_patched_tree_has_no_section() -> None:
    assert readiness(Measured(), (), 6.0, None) == ()


def test_a_swarm_is_held_to_its_own_targets_alone() -> None:
    slow = replace(GOOD, side_after=Side(cache=CacheUse((("flow", 5, 10),), 0.5, 0.4)))
    assert lines(slow)["Cache hit rates validated"].value.endswith("missed: cache_hit_rate > 85%")
    told = lines(slow, expressions=("cache_hit_rate > 40%", "security_score > 95"))
    assert told["Cache hit rates validated"].passed is True
    assert [name for name, line in told.items() if line.group == TARGETS] == ["cache_hit_rate > 40%"]
    assert lines(slow, expressions=())["Cache hit rates validated"].passed is True


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / "app.py").write_text("x = 1\n", encoding="utf-8")
    return tmp_path / "tree"


def patch(*changes: FileChange) -> Patch:
    return Patch("001-x", "x", "x", "api", (), "a", "", changes)


def test_a_rollback_is_tried(tree: Path, tmp_path: Path) -> None:
    place = resolve_place("x", Target.model_validate({"path": ".", "start": "true {port}"}), tree)
    series = [
        patch(FileChange("app.py", "x = 1\n", "x = 2\n"), FileChange("new/one.py", None, "y = 1\n")),
        patch(FileChange("app.py", "x = 2\n", "x = 3\n")),
    ]
    line = try_rollback(place, series, tmp_path / "scratch", "g")
    assert line.passed is True
    assert "2 patches applied to a copy (2 files)" in line.value
    assert (tree / "app.py").read_text() == "x = 1\n" and not (tree / "new").exists()
    unfit = try_rollback(place, [patch(FileChange("app.py", "z = 1\n", "z = 2\n"))], tmp_path / "scratch", "g")
    assert unfit.passed is False
    assert try_rollback(place, [], tmp_path / "scratch", "g").passed is None


def test_monitoring_lines_follow_files_and_exports() -> None:
    report = sample_report()
    told = {line.name: line for line in monitoring_lines(report)}
    assert told["Alerts on performance and errors"].passed is True
    assert told["Performance dashboard"].passed is False  # the sample has written none
    assert told["Cache hit rates monitored"].passed is True
    assert told["Resource usage tracked"].passed is False
    unchecked = replace(report, monitoring=MonitoringFiles(("monitoring/prometheus-rules.yml",), ()))
    assert {one.name: one for one in monitoring_lines(unchecked)}["Alerts on performance and errors"].passed is None
    assert monitoring_lines(replace(report, readiness=())) == ()
