"""Holds each target expression against what was measured. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from swarm.bench.statistics import summarize
from swarm.core.metrics import Comparison, Summary, parse_target_expression
from swarm.core.model_calls import is_model_path
from swarm.core.report import (
    Capacity,
    ErrorRates,
    ResourceUse,
    Score,
    TargetOutcome,
    TimeEfficiency,
    Waterfall,
)

_WRITES = re.compile(r"^\s*(INSERT|UPDATE|DELETE|REPLACE|COMMIT|CREATE|ALTER|MERGE)\b", re.IGNORECASE)
LATENCIES = ("webhook_processing_time", "webhook_latency", "webhook_ack_time")


@dataclass(frozen=True, slots=True)
class Measured:
    """What a run measured, for target expressions to be held against."""

    latency: Comparison | None = None
    errors: ErrorRates = ErrorRates(None, None)
    capacity: Capacity | None = None
    resources_before: ResourceUse = ResourceUse(None, None)
    resources_after: ResourceUse = ResourceUse(None, None)
    waterfalls_before: Sequence[Waterfall] = ()
    waterfalls_after: Sequence[Waterfall] = ()
    time: TimeEfficiency = TimeEfficiency(None, None, None, None)
    security: Score = Score(None, None, reason="the run ended before it was scored")
    compliance: Score = Score(None, None, reason="the run ended before it was scored")
    validation_before: float | None = None
    validation_after: float | None = None
    reasons: dict[str, str] = field(default_factory=dict)


def judge_targets(expressions: Sequence[tuple[str, str]], measured: Measured) -> tuple[TargetOutcome, ...]:
    """One outcome for each (expression, specialist); `met` is None where the metric was not measured."""
    outcomes = []
    for text, specialist in expressions:
        expression = parse_target_expression(text)
        before, after, reason = _values(expression.metric, expression.statistic, measured)
        if after is None:
            why = f"not measured, because {reason or 'the run ended before it'}"
            outcomes.append(TargetOutcome(text, specialist, before, None, None, why))
        else:
            outcomes.append(TargetOutcome(text, specialist, before, after, expression.met_by(after), reason))
    return tuple(outcomes)


def _values(metric: str, statistic: str, m: Measured) -> tuple[float | None, float | None, str]:
    """Before, after and a reason or a remark, in the metric's canonical unit."""
    match metric:
        case "webhook_processing_time" | "webhook_latency" | "webhook_ack_time":
            if m.latency is None:
                return None, None, m.reasons.get("benchmark", "there was no load benchmark")
            return _statistic(m.latency.before, statistic), _statistic(m.latency.after, statistic), ""
        case "api_response_time" | "model_response_time" | "database_write_time" | "database_query_time":
            return _from_spans(metric, statistic, m)
        case "error_rate":
            return _percent(m.errors.before), _percent(m.errors.after), ""
        case "throughput" | "concurrent_webhook_capacity":
            if m.capacity is None:
                return None, None, m.reasons.get("capacity", "capacity was not measured")
            return m.capacity.before_rps, m.capacity.after_rps, m.capacity.criterion
        case "memory_usage" | "memory_efficiency":
            return m.resources_before.rss_mb, m.resources_after.rss_mb, "peak resident memory under load"
        case "cpu_usage":
            return (
                m.resources_before.cpu_percent,
                m.resources_after.cpu_percent,
                "mean of one core under load",
            )
        case "time_savings":
            return None, _percent(m.time.saving), "specialists' wall time against the sum of their times"
        case "security_score":
            return m.security.before, m.security.after, m.security.reason
        case "compliance_score":
            return m.compliance.before, m.compliance.after, m.compliance.reason
        case "security_validation_success":
            remark = "signatures judged rightly, of the good and bad ones that the probes sent"
            return _percent(m.validation_before), _percent(m.validation_after), remark
        case "context_savings":
            return None, None, "no generalist ran on the same work; `--pattern single` gives the other side"
        case "cache_hit_rate" | "cache_operation_time":
            return None, None, "the target has no cache that swarm can read"
        case _:
            return None, None, "this version has no measurement for it"


def _from_spans(metric: str, statistic: str, m: Measured) -> tuple[float | None, float | None, str]:
    before, after = _span_values(metric, m.waterfalls_before), _span_values(metric, m.waterfalls_after)
    remark = "per webhook, traced" if metric.startswith("database") else "per call, as the service sees it, traced"
    if not after:
        kind = "SQL statement" if metric.startswith("database") else "outgoing call"
        return None, None, f"no such {kind} was seen in the traced requests"
    return (
        _statistic(summarize(before), statistic) if before else None,
        _statistic(summarize(after), statistic),
        remark,
    )


def _span_values(metric: str, waterfalls: Sequence[Waterfall]) -> list[float]:
    values: list[float] = []
    for waterfall in waterfalls:
        if metric in ("api_response_time", "model_response_time"):
            calls = [s for s in waterfall.spans if s.kind == "http"]
            model = [s.duration_ms for s in calls if is_model_path(s.name.partition("?")[0])]
            other = [s.duration_ms for s in calls if not is_model_path(s.name.partition("?")[0])]
            values += model if metric == "model_response_time" else other
            continue
        statements = [s for s in waterfall.spans if s.kind == "sql"]
        chosen = [
            s.duration_ms for s in statements
            if bool(_WRITES.match(s.name)) == (metric == "database_write_time")
        ]  # fmt: skip
        if chosen:
            values.append(sum(chosen))
    return values


def _statistic(summary: Summary | None, name: str) -> float | None:
    return None if summary is None else float(getattr(summary, name))


def _percent(share: float | None) -> float | None:
    return None if share is None else share * 100.0
