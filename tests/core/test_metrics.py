"""Target expressions and ratios."""

from __future__ import annotations

import pytest

from swarm.core.errors import UsageError
from swarm.core.metrics import Ratio, parse_target_expression


@pytest.mark.parametrize(
    ("text", "metric", "statistic", "number"),
    [
        ("webhook_processing_time < 500ms", "webhook_processing_time", "p95", 500.0),
        ("webhook_latency_p99 <= 0.5 s", "webhook_latency", "p99", 500.0),
        ("webhook_latency_mean<750 ms", "webhook_latency", "mean", 750.0),
        ("throughput > 20 webhooks/second", "throughput", "p95", 20.0),
        ("error_rate < 1%", "error_rate", "p95", 1.0),
        ("memory_efficiency < 100MB per process", "memory_efficiency", "p95", 100.0),
    ],
)
def test_expressions_are_read_in_the_canonical_unit(text: str, metric: str, statistic: str, number: float) -> None:
    expression = parse_target_expression(text)
    assert (expression.metric, expression.statistic, expression.number) == (metric, statistic, number)


@pytest.mark.parametrize("text", ["webhook_latency", "webhook_latency < fast", "nothing < 3 ms", "error_rate < 3 ms"])
def test_what_is_no_expression_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        parse_target_expression(text)


def test_a_target_is_met_by_its_operator() -> None:
    assert parse_target_expression("throughput > 20/s").met_by(21)
    assert not parse_target_expression("throughput > 20/s").met_by(20)
    assert parse_target_expression("error_rate <= 1%").met_by(1)


@pytest.mark.parametrize(
    ("ratio", "change"),
    [
        (Ratio(0.5, (0.4, 0.6)), "better"),
        (Ratio(1.5, (1.4, 1.6)), "worse"),
        (Ratio(0.98, (0.97, 0.99)), "no change"),
        (Ratio(0.8, (0.6, 1.01)), "no change"),
    ],
)
def test_a_change_must_be_clear_of_one(ratio: Ratio, change: str) -> None:
    assert ratio.change == change


def test_an_expression_may_name_parts_of_a_metric_that_has_some() -> None:
    expression = parse_target_expression("cache_hit_rate[ tenant, Agent ] > 85%")
    assert (expression.metric, expression.of) == ("cache_hit_rate", ("tenant", "Agent"))
    assert expression.selects("agent-context")
    assert not expression.selects("pipelines")
    assert parse_target_expression("cache_hit_rate > 85%").selects("pipelines")
    for wrong in ("webhook_latency[fast] < 1ms", "cache_hit_rate[] > 85%", "cache_hit_rate[ , ] > 85%"):
        with pytest.raises(UsageError):
            parse_target_expression(wrong)
