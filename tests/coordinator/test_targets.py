"""Target expressions against measurements: met, missed, and never met by what was not measured."""

from __future__ import annotations

from dataclasses import replace

import pytest

from swarm.bench.watched import Whole
from swarm.coordinator.targets import Measured, judge_targets
from swarm.core.efficiency import TimeEfficiency
from swarm.core.metrics import ANSWER, END_TO_END, METRIC_UNITS, Comparison, Summary
from swarm.core.report import (
    CacheUse,
    Capacity,
    ErrorRates,
    ResourceUse,
    Side,
    UpstreamUse,
    Waterfall,
    WaterfallSpan,
)
from swarm.target.upstream.calls import UpstreamCall


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
WHOLE = Whole(
    4, 200, True, 300.0, 320.0,
    tuple(
        UpstreamCall("ai", "POST", path, "", b"", 200, 1.0, 1.3, "read", {})
        for path in ("/v1/messages", "/v1/messages", "/contacts/1")
    ),
)  # fmt: skip


ALL = Measured(
    answer=Comparison(ANSWER, "ms", summary(900.0), summary(12.0)),
    whole=Comparison(END_TO_END, "ms", summary(900.0), summary(300.0)),
    wholes_before=(WHOLE, WHOLE),  # four questions, of which one is left after
    wholes_after=(replace(WHOLE, calls=WHOLE.calls[1:]),),
    side_before=Side(upstreams=UpstreamUse(4.0, 0.02)),
    side_after=Side(upstreams=UpstreamUse(2.0, 0.0), cache=CacheUse((("agent", 9, 10), ("flow", 9, 10)), 0.9, 0.5)),
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
        ("webhook_ack_time < 15ms", 12.0, True),
        ("api_error_rate < 1%", 0.0, True),
        ("cache_hit_rate > 85%", 90.0, True),
        ("cache_hit_rate[flow, AGENT] > 85%", 90.0, True),
        ("cache_operation_time < 10ms", 0.5, True),
        ("model_response_time_p50 < 30ms", 0.0, True),
        ("error_rate < 1%", 0.5, True),
        ("concurrent_webhook_capacity > 20/s", 40.0, True),
        ("memory_efficiency < 100MB per process", 90.0, True),
        ("api_response_time < 150ms", 120.0, True),
        ("api_response_time_mean[crm] < 100ms", 120.0, False),
        ("model_response_time_mean < 80ms", 75.0, True),
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


def test_a_target_may_name_the_question_or_the_kind_that_it_means() -> None:
    score, coach = b'{"system": "You score leads."}', b'{"system": [{"type": "text", "text": "You coach\\nagents."}]}'
    asked = [
        UpstreamCall("ai", "POST", "/v1/messages", "", body, 200, 1.0, 1.2, "read", {})
        for body in (score, coach, score, coach)
    ]
    kinds = CacheUse((("flow", 1, 10), ("agent", 9, 10)), 0.5, 0.5)
    measured = Measured(
        wholes_before=(Whole(4, 200, True, 1.0, 900.0, tuple(asked)),),
        wholes_after=(Whole(4, 200, True, 1.0, 400.0, tuple(asked[:1] + asked[2:3])),),
        side_after=Side(cache=kinds),
    )
    texts = [
        "model_response_time_mean < 30ms", "model_response_time_mean[coach] < 30ms",
        "model_response_time_mean[summarise] < 30ms", "cache_hit_rate[agent] > 85%", "cache_hit_rate[price] > 85%",
    ]  # fmt: skip
    every, coaching, unknown, agent, price = judge_targets([(text, "someone") for text in texts], measured)
    assert (every.before, every.after, every.met) == (pytest.approx(200.0), pytest.approx(100.0), False)
    assert "“You coach agents.” mean 200 → 0 ms (2 of 2 without a call)" in every.reason
    assert "“You score leads.” mean 200 → 200 ms" in every.reason
    assert (coaching.after, coaching.met) == (0.0, True)
    assert "You score" not in coaching.reason
    assert unknown.met is None
    assert "“You coach agents.”" in unknown.reason
    assert (agent.after, agent.met) == (90.0, True)
    assert price.met is None
    assert "agent 9 of 10" in price.reason
