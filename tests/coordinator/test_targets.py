"""Target expressions against measurements: met, missed, and never met by what was not measured."""

from __future__ import annotations

import pytest

from swarm.coordinator.targets import Measured, judge_targets
from swarm.core.metrics import METRIC_UNITS, Comparison, Summary
from swarm.core.report import Capacity, ErrorRates, ResourceUse, TimeEfficiency, Waterfall, WaterfallSpan


def summary(value: float) -> Summary:
    return Summary(10, value, value, value, value, value, value)


def span(kind: str, name: str, duration_ms: float) -> WaterfallSpan:
    return WaterfallSpan(kind, name, 0.0, duration_ms, "a.py", 1, "f")  # type: ignore[arg-type]


FALL = Waterfall(
    "POST /hook",
    200,
    500.0,
    (
        span("http", "POST ai/v1/messages", 300.0),
        span("http", "PUT crm/contacts/{id}", 120.0),
        span("sql", "SELECT * FROM a", 20.0),
        span("sql", "SELECT * FROM b", 10.0),
        span("sql", "INSERT INTO a VALUES (?)", 40.0),
        span("sql", "COMMIT", 5.0),
    ),
)
ALL = Measured(
    latency=Comparison("webhook latency", "ms", summary(900.0), summary(300.0)),
    errors=ErrorRates(0.02, 0.005),
    capacity=Capacity(10.0, 40.0, "held"),
    resources_before=ResourceUse(150.0, 30.0),
    resources_after=ResourceUse(90.0, 10.0),
    waterfalls_before=(FALL,),
    waterfalls_after=(FALL,),
    time=TimeEfficiency(10.0, 30.0, 10.0, 2 / 3),
)


@pytest.mark.parametrize(
    ("expression", "after", "met"),
    [
        ("webhook_processing_time < 500ms", 300.0, True),
        ("webhook_latency_p99 < 200 ms", 300.0, False),
        ("error_rate < 1%", 0.5, True),
        ("concurrent_webhook_capacity > 20/s", 40.0, True),
        ("memory_efficiency < 100MB per process", 90.0, True),
        ("api_response_time < 150ms", 120.0, True),
        ("model_response_time < 30ms", 300.0, False),
        ("database_query_time < 50ms", 30.0, True),
        ("database_write_time < 50ms", 45.0, True),
        ("time_savings > 50%", 200 / 3, True),
    ],
)
def test_each_metric_comes_from_its_measurement(expression: str, after: float, met: bool) -> None:
    [outcome] = judge_targets([(expression, "someone")], ALL)
    assert outcome.after == pytest.approx(after)
    assert outcome.met is met


@pytest.mark.parametrize("metric", sorted(METRIC_UNITS))
def test_what_was_not_measured_is_never_met(metric: str) -> None:
    unit = METRIC_UNITS[metric]
    for operator in ("<", ">"):
        [outcome] = judge_targets([(f"{metric} {operator} 1 {unit}", "someone")], Measured())
        assert outcome.met is None
        assert outcome.after is None
        assert outcome.reason.startswith("not measured, because ")
