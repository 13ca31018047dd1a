"""Holds each target expression against what was measured. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from swarm.bench.statistics import summarize
from swarm.bench.watched import Whole
from swarm.coordinator.questions import model_times
from swarm.core.efficiency import ContextEfficiency, TimeEfficiency
from swarm.core.metrics import Comparison, Summary, TargetExpression, parse_target_expression
from swarm.core.model_calls import is_model_path
from swarm.core.report import (
    CacheUse,
    Capacity,
    ErrorRates,
    ResourceUse,
    Score,
    Side,
    TargetOutcome,
    Waterfall,
)

_WRITES = re.compile(r"^\s*(INSERT|UPDATE|DELETE|REPLACE|COMMIT|CREATE|ALTER|MERGE)\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Measured:
    """What a run measured, for target expressions to be held against.

    `answer` is what senders waited for under load; `whole` is to the end of all that a request causes.
    """

    answer: Comparison | None = None
    whole: Comparison | None = None
    wholes_before: Sequence[Whole] = ()
    wholes_after: Sequence[Whole] = ()
    side_before: Side = Side()
    side_after: Side = Side()
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
    context: ContextEfficiency = ContextEfficiency(None, None, None, None, None, "not measured")
    reasons: dict[str, str] = field(default_factory=dict)


def judge_targets(expressions: Sequence[tuple[str, str]], measured: Measured) -> tuple[TargetOutcome, ...]:
    """One outcome for each (expression, specialist); `met` is None where the metric was not measured."""
    outcomes = []
    for text, specialist in expressions:
        expression = parse_target_expression(text)
        before, after, reason = _values(expression, measured)
        if after is None:
            why = f"not measured, because {reason or 'the run ended before it'}"
            outcomes.append(TargetOutcome(text, specialist, before, None, None, why))
        else:
            outcomes.append(TargetOutcome(text, specialist, before, after, expression.met_by(after), reason))
    return tuple(outcomes)


def _values(expression: TargetExpression, m: Measured) -> Values:
    """Before, after and a reason or a remark, in the metric's canonical unit."""
    metric, statistic = expression.metric, expression.statistic
    match metric:
        case "webhook_processing_time" | "webhook_latency":
            return _latency(m.whole, statistic, m, "to the end of all that a webhook causes")
        case "webhook_ack_time":
            return _latency(m.answer, statistic, m, "to the answer, under load")
        case "model_response_time":
            before, after, remark = model_times(m.wholes_before, m.wholes_after, expression)
            return _statistic(before, statistic), _statistic(after, statistic), remark
        case "api_response_time" | "database_write_time" | "database_query_time":
            return _from_spans(expression, m)
        case "throughput" | "concurrent_webhook_capacity":
            if m.capacity is None:
                return None, None, m.reasons.get("capacity", "capacity was not measured")
            return m.capacity.before_rps, m.capacity.after_rps, m.capacity.criterion
        case "memory_usage" | "memory_efficiency" | "cpu_usage":
            return _resource(metric, m)
        case "cache_hit_rate" | "cache_operation_time":
            return _cache(expression, m)
        case "error_rate" | "api_error_rate":
            return _errors(metric, m)
        case "time_savings":
            remark = "specialists' wall time against the sum of their times"
            told = remark if m.time.saving is not None else "no whole run of specialists, in one go, was timed"
            return None, _percent(m.time.saving), told
        case "security_score":
            return m.security.before, m.security.after, m.security.reason
        case "compliance_score":
            return m.compliance.before, m.compliance.after, m.compliance.reason
        case "security_validation_success":
            remark = "signatures judged rightly, of the good and bad ones that the probes sent"
            return _percent(m.validation_before), _percent(m.validation_after), remark
        case "context_savings":
            return None, _percent(m.context.saving), m.context.method
        case _:
            return None, None, "this version has no measurement for it"


Values = tuple[float | None, float | None, str]


def _latency(comparison: Comparison | None, statistic: str, m: Measured, remark: str) -> Values:
    if comparison is None:
        return None, None, m.reasons.get("benchmark", "there was no load benchmark")
    counts = [str(side.n if side else 0) for side in (comparison.before, comparison.after)]
    remark = f"{remark}; n = {' and '.join(counts)}"
    return _statistic(comparison.before, statistic), _statistic(comparison.after, statistic), remark


def _resource(metric: str, m: Measured) -> Values:
    before, after = m.resources_before, m.resources_after
    if metric == "cpu_usage":
        return before.cpu_percent, after.cpu_percent, "mean of one core under load"
    return before.rss_mb, after.rss_mb, "peak resident memory under load"


def _errors(metric: str, m: Measured) -> Values:
    if metric == "error_rate":
        return _percent(m.errors.before), _percent(m.errors.after), ""
    before, after = m.side_before.upstreams.failing, m.side_after.upstreams.failing
    why = "upstream calls that failed or were refused (5xx, 429) and were not repeated with success, of all"
    why = why if after is not None else "no call was seen"
    return _percent(before), _percent(after), why


def _cache(expression: TargetExpression, m: Measured) -> Values:
    before, after = m.side_before.cache, m.side_after.cache
    if expression.metric == "cache_operation_time":
        why = "mean of the slowest tier, by the service's own metrics" if after.operation_ms is not None else ""
        return before.operation_ms, after.operation_ms, why or after.reason or "no cache reports its times"
    if after.hit_rate is None:
        return _percent(before.hit_rate), None, after.reason or "there was no load benchmark"
    told = ", ".join(f"{kind or 'all'} {hits} of {asked}" for kind, hits, asked in after.kinds)
    rates = _hit_rate(expression, before), _hit_rate(expression, after)
    if rates[1] is None:
        return _percent(rates[0]), None, f"no cache of that kind was asked under load: {told}"
    which = f"of the kinds that hold {' or '.join(expression.of)}, " if expression.of else ""
    return _percent(rates[0]), _percent(rates[1]), f"{which}by the service's own metrics under load: {told}"


def _hit_rate(expression: TargetExpression, cache: CacheUse) -> float | None:
    """Hits by all that was asked of the kinds that the expression names, 0 to 1."""
    if not expression.of:
        return cache.hit_rate
    chosen = [(hits, asked) for kind, hits, asked in cache.kinds if expression.selects(kind)]
    asked_in_all = sum(asked for _, asked in chosen)
    return sum(hits for hits, _ in chosen) / asked_in_all if asked_in_all else None


def _from_spans(expression: TargetExpression, m: Measured) -> Values:
    metric, statistic = expression.metric, expression.statistic
    before, after = _span_values(expression, m.waterfalls_before), _span_values(expression, m.waterfalls_after)
    each = "webhook" if metric.startswith("database") else "call, as the service sees it"
    if not after:
        kind = "SQL statement" if metric.startswith("database") else "outgoing call"
        return None, None, f"no such {kind} was seen in the traced requests"
    return (
        _statistic(summarize(before), statistic) if before else None,
        _statistic(summarize(after), statistic),
        f"per {each}, traced; n = {len(before)} and {len(after)}",
    )


def _span_values(expression: TargetExpression, waterfalls: Sequence[Waterfall]) -> list[float]:
    metric, values = expression.metric, list[float]()
    for waterfall in waterfalls:
        if metric == "api_response_time":
            calls = [s for s in waterfall.spans if s.kind == "http"]
            values += [
                s.duration_ms for s in calls
                if not is_model_path(s.name.partition("?")[0]) and expression.selects(s.name)
            ]  # fmt: skip
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
