"""Holds each target expression against what was measured. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from swarm.bench.statistics import summarize
from swarm.bench.watched import Whole
from swarm.core.metrics import Comparison, Summary, parse_target_expression
from swarm.core.model_calls import is_model_path
from swarm.core.report import (
    Capacity,
    ContextEfficiency,
    ErrorRates,
    ResourceUse,
    Score,
    Side,
    TargetOutcome,
    TimeEfficiency,
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
        before, after, reason = _values(expression.metric, expression.statistic, measured)
        if after is None:
            why = f"not measured, because {reason or 'the run ended before it'}"
            outcomes.append(TargetOutcome(text, specialist, before, None, None, why))
        else:
            outcomes.append(TargetOutcome(text, specialist, before, after, expression.met_by(after), reason))
    return tuple(outcomes)


def _values(metric: str, statistic: str, m: Measured) -> Values:
    """Before, after and a reason or a remark, in the metric's canonical unit."""
    match metric:
        case "webhook_processing_time" | "webhook_latency":
            return _latency(m.whole, statistic, m, "to the end of all that a webhook causes")
        case "webhook_ack_time":
            return _latency(m.answer, statistic, m, "to the answer, under load")
        case "model_response_time":
            return _per_question(statistic, m)
        case "api_response_time" | "database_write_time" | "database_query_time":
            return _from_spans(metric, statistic, m)
        case "throughput" | "concurrent_webhook_capacity":
            if m.capacity is None:
                return None, None, m.reasons.get("capacity", "capacity was not measured")
            return m.capacity.before_rps, m.capacity.after_rps, m.capacity.criterion
        case "memory_usage" | "memory_efficiency" | "cpu_usage":
            return _resource(metric, m)
        case "cache_hit_rate" | "cache_operation_time":
            return _cache(metric, m)
        case "error_rate" | "api_error_rate":
            return _errors(metric, m)
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
    why = "upstream calls that failed or were refused (5xx, 429), of all" if after is not None else "no call was seen"
    return _percent(before), _percent(after), why


def _cache(metric: str, m: Measured) -> Values:
    before, after = m.side_before.cache, m.side_after.cache
    if metric == "cache_operation_time":
        why = "mean of the slowest tier, by the service's own metrics" if after.operation_ms is not None else ""
        return before.operation_ms, after.operation_ms, why or after.reason or "no cache reports its times"
    if after.hit_rate is None:
        return _percent(before.hit_rate), None, after.reason or "there was no load benchmark"
    kinds = ", ".join(f"{kind or 'all'} {hits} of {asked}" for kind, hits, asked in after.kinds)
    return _percent(before.hit_rate), _percent(after.hit_rate), f"by the service's own metrics under load: {kinds}"


def _per_question(statistic: str, m: Measured) -> Values:
    """Model calls of the same requests on both sides: a question that needs no call any more took no time."""
    good = {one.number for one in m.wholes_before if one.ok} & {one.number for one in m.wholes_after if one.ok}
    sides = []
    for wholes in (m.wholes_before, m.wholes_after):
        calls = [call for one in wholes if one.number in good for call in one.calls if is_model_path(call.path)]
        sides.append([1000.0 * (call.end_s - call.start_s) for call in calls])
    before, after = sides
    if not before and not after:
        return None, None, "no call to a model was seen"
    saved = max(0, len(before) - len(after))
    after = [*after, *[0.0] * saved]
    remark = f"per question that the original asks (n = {len(before)})"
    if saved:
        remark += f"; {saved} were answered without a call and count as 0 ms"
    return (
        _statistic(summarize(before), statistic) if before else None,
        _statistic(summarize(after), statistic),
        remark,
    )


def _from_spans(metric: str, statistic: str, m: Measured) -> Values:
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
        if metric == "api_response_time":
            calls = [s for s in waterfall.spans if s.kind == "http"]
            values += [s.duration_ms for s in calls if not is_model_path(s.name.partition("?")[0])]
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
