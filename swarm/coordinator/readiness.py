"""The readiness section: what should be known before the patches are deployed, each line by its measured value. Pure.

The lines of the section "monitoring" come later, from the files that are written (reporting/readiness.py).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from swarm.coordinator.targets import Measured, judge_targets
from swarm.core.metrics import parse_target_expression
from swarm.core.report import ReadinessLine, Side, TargetOutcome

BEFORE_DEPLOYMENT = "Before deployment"
TARGETS = "Performance targets"
FAILED_AT_MOST = 0.01
MORE_MEMORY = 1.2  # times what the original needs
PERFORMANCE = frozenset({
    "webhook_processing_time", "webhook_latency", "webhook_ack_time", "api_response_time", "model_response_time",
    "database_query_time", "database_write_time", "cache_hit_rate", "cache_operation_time", "throughput",
    "concurrent_webhook_capacity", "memory_usage", "memory_efficiency", "cpu_usage",
})  # fmt: skip


def readiness(
    measured: Measured, targets: Sequence[TargetOutcome], rate_per_s: float, rollback: ReadinessLine | None
) -> tuple[ReadinessLine, ...]:
    """The sections "before deployment" and "performance targets"; nothing where there is no patched tree.

    `targets` are the swarm's own, judged: no service is held to numbers that its owners did not write.
    """
    if measured.answer is None:
        return ()
    lines = [*_before_deployment(measured, targets, rate_per_s)]
    if rollback is not None:
        lines.append(rollback)
    lines += [_target(one) for one in _once(targets) if _metric(one) in PERFORMANCE]
    return tuple(lines)


def _before_deployment(m: Measured, targets: Sequence[TargetOutcome], rate_per_s: float) -> Iterator[ReadinessLine]:
    yield _under_load(m, rate_per_s)
    yield _measured("Cache hit rates validated", "cache_hit_rate > 0%", m, targets, "%")
    yield _measured("Database query performance benchmarked", "database_query_time_p90 < 1000ms", m, targets, "ms")
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


def _measured(name: str, expression: str, m: Measured, targets: Sequence[TargetOutcome], unit: str) -> ReadinessLine:
    """Passed where it was measured and meets all that the swarm's targets say of it."""
    [outcome] = judge_targets([(expression, "")], m)
    if outcome.after is None:
        return _line(name, None, outcome.reason)
    before = "–" if outcome.before is None else f"{outcome.before:.3g}"
    missed = [one.expression for one in _once(targets) if _metric(one) == _metric(outcome) and one.met is False]
    told = f"; missed: {', '.join(missed)}" if missed else ""
    return _line(name, not missed, f"{before} → {outcome.after:.3g} {unit}; {outcome.reason}{told}")


def _metric(outcome: TargetOutcome) -> str:
    return parse_target_expression(outcome.expression).metric


def _once(targets: Sequence[TargetOutcome]) -> list[TargetOutcome]:
    """Each expression once: two specialists may hold the same target."""
    return list({one.expression: one for one in targets}.values())


def _line(name: str, passed: bool | None, value: str) -> ReadinessLine:
    return ReadinessLine(name, passed, value, BEFORE_DEPLOYMENT)


def _target(outcome: TargetOutcome) -> ReadinessLine:
    name = outcome.expression
    if outcome.after is None:
        return ReadinessLine(name, None, outcome.reason, TARGETS)
    before = "–" if outcome.before is None else f"{outcome.before:.3g}"
    return ReadinessLine(name, outcome.met, f"{before} → {outcome.after:.3g}", TARGETS)
