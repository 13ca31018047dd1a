"""The readiness section: what should be known before the patches are deployed, each line by its measured value. Pure.

The lines of the section "monitoring" come later, from the files that are written (reporting/readiness.py).
"""

from __future__ import annotations

from collections.abc import Iterator

from swarm.coordinator.targets import Measured, judge_targets
from swarm.core.report import ReadinessLine, Side, TargetOutcome

BEFORE_DEPLOYMENT = "Before deployment"
TARGETS = "Performance targets"
FAILED_AT_MOST = 0.01
MORE_MEMORY = 1.2  # times what the original needs
EXPECTED = (
    ("API response time under 100 ms (p95)", "api_response_time_p95 < 100ms"),
    ("Webhook processing under 320 ms (p95)", "webhook_processing_time_p95 < 320ms"),
    ("Model responses under 30 ms (mean)", "model_response_time_mean < 30ms"),
    ("Cache hit rate over 85 %", "cache_hit_rate > 85%"),
    ("Database queries under 50 ms (p90)", "database_query_time_p90 < 50ms"),
    ("Cache operations under 10 ms (mean)", "cache_operation_time_mean < 10ms"),
)


def readiness(measured: Measured, rate_per_s: float, rollback: ReadinessLine | None) -> tuple[ReadinessLine, ...]:
    """The sections "before deployment" and "performance targets"; nothing where there is no patched tree."""
    if measured.answer is None:
        return ()
    lines = [*_before_deployment(measured, rate_per_s)]
    if rollback is not None:
        lines.append(rollback)
    targets = judge_targets([(expression, "") for _, expression in EXPECTED], measured)
    names = [name for name, _ in EXPECTED]
    lines += [_target(name, outcome) for name, outcome in zip(names, targets, strict=True)]
    return tuple(lines)


def _before_deployment(m: Measured, rate_per_s: float) -> Iterator[ReadinessLine]:
    yield _under_load(m, rate_per_s)
    yield _from_outcome("Cache hit rates validated", "cache_hit_rate > 85%", m, "%")
    yield _from_outcome("Database query performance benchmarked", "database_query_time_p90 < 50ms", m, "ms")
    yield _parallel(m, rate_per_s)
    yield _memory(m)
    yield _work(m.side_after)


def _under_load(m: Measured, rate_per_s: float) -> ReadinessLine:
    name = "Connection pools tested under load"
    failed = m.errors.after
    if failed is None or m.answer is None or m.answer.after is None:
        return _line(name, None, "not measured: no request of the load was answered well")
    before = m.errors.before or 0.0
    value = f"{m.answer.after.n} good answers at {rate_per_s:g}/s, {failed:.1%} failed (before: {before:.1%})"
    if m.side_after.cache.operation_ms is not None:
        value += f"; a cache operation takes {m.side_after.cache.operation_ms:.2g} ms"
    return _line(name, failed <= max(FAILED_AT_MOST, before), value)


def _parallel(m: Measured, rate_per_s: float) -> ReadinessLine:
    name = "Webhook parallel processing tested"
    if m.capacity is None:
        return _line(name, None, m.reasons.get("capacity", "capacity was not measured"))
    before, after = m.capacity.before_rps, m.capacity.after_rps
    if after is None:
        return _line(name, False, f"not even the lowest rate was held: {m.capacity.criterion}")
    held = f"{after:g}/s held (before: {f'{before:g}/s' if before else 'not even the lowest rate'})"
    return _line(name, after >= max(rate_per_s, before or 0.0), held)


def _memory(m: Measured) -> ReadinessLine:
    name = "Memory usage impact assessed"
    before, after = m.resources_before.rss_mb, m.resources_after.rss_mb
    if before is None or after is None:
        return _line(name, None, "not measured on this system")
    return _line(name, after <= before * MORE_MEMORY, f"{before:g} → {after:g} MB, peak")


def _work(side: Side) -> ReadinessLine:
    name = "Work behind the answer finishes"
    if side.work is None:
        return _line(name, None, "not measured")
    work = side.work
    if work.drain_s is None:
        return _line(name, False, "upstream calls went on without end after the load")
    value = f"all done {work.drain_s:.1f} s after the last answer; {work.lost} of {work.requests} events lost"
    return _line(name, work.lost == 0, value)


def _from_outcome(name: str, expression: str, m: Measured, unit: str) -> ReadinessLine:
    [outcome] = judge_targets([(expression, "")], m)
    if outcome.after is None:
        return _line(name, None, outcome.reason)
    before = "–" if outcome.before is None else f"{outcome.before:.3g}"
    return _line(name, outcome.met, f"{before} → {outcome.after:.3g} {unit}; {outcome.reason}")


def _line(name: str, passed: bool | None, value: str) -> ReadinessLine:
    return ReadinessLine(name, passed, value, BEFORE_DEPLOYMENT)


def _target(name: str, outcome: TargetOutcome) -> ReadinessLine:
    if outcome.after is None:
        return ReadinessLine(name, None, outcome.reason, TARGETS)
    before = "–" if outcome.before is None else f"{outcome.before:.3g}"
    return ReadinessLine(name, outcome.met, f"{before} → {outcome.after:.3g}", TARGETS)
