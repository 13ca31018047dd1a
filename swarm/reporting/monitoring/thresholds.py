"""When to alert: the thresholds of a run's monitoring files, from its targets or from what it measured."""

from __future__ import annotations

import math
from dataclasses import dataclass

from swarm.core.errors import UsageError
from swarm.core.metrics import parse_target_expression
from swarm.core.report import Report
from swarm.reporting.verdict import load_comparison

METRIC = "http_server_request_duration_seconds"
# Upper bounds in seconds that OpenTelemetry advises for http.server.request.duration.
BUCKETS_S = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)
_LATENCY_METRICS = ("webhook_processing_time", "webhook_latency", "webhook_ack_time")


@dataclass(frozen=True, slots=True)
class AlertThresholds:
    """What the alerts hold the service to.

    `error_rate` and `slow_share` are error budgets: the share of requests that may fail, or take longer than
    `latency_ms`, over a month. `refused_per_s` is the rate of refused senders (401, 403) that wants a look;
    None writes no such alert.

    The labels are those of the no-metrics patch; a service with OpenTelemetry's own
    metrics has `http_response_status_code` and `http_route`. `reasons` says where the values come from.
    """

    latency_ms: float = 500.0
    error_rate: float = 0.01
    slow_share: float = 0.05
    refused_per_s: float | None = 0.2
    status_label: str = "status"
    route_label: str = "route"
    reasons: tuple[str, ...] = ()

    @property
    def bucket_s(self) -> float:
        """The smallest histogram bound that holds `latency_ms`: a histogram can be asked for no other."""
        return next((b for b in BUCKETS_S if b * 1000 >= self.latency_ms - 1e-9), BUCKETS_S[-1])


def thresholds_of(report: Report) -> AlertThresholds:
    """Thresholds by the run's target expressions; where it has none, by what was measured, with room."""
    latency_ms, why_latency = _latency(report)
    error_rate, why_errors = _errors(report)
    return AlertThresholds(latency_ms=latency_ms, error_rate=error_rate, reasons=(why_latency, why_errors))


def _latency(report: Report) -> tuple[float, str]:
    for target in report.targets:
        try:
            expression = parse_target_expression(target.expression)
        except UsageError:
            continue
        if expression.metric in _LATENCY_METRICS and expression.operator in ("<", "<="):
            return expression.number, f"latency: the target {target.expression!r}"
    item = load_comparison(report)
    side = (item.after or item.before) if item and item.unit == "ms" else None
    if side is not None and math.isfinite(side.p95) and side.p95 > 0:
        return round(side.p95 * 1.5, 1), f"latency: half as much again as the measured p95 of {side.p95:.0f} ms"
    return 500.0, "latency: no target and no measurement, so a plain 500 ms"


def _errors(report: Report) -> tuple[float, str]:
    for target in report.targets:
        try:
            expression = parse_target_expression(target.expression)
        except UsageError:
            continue
        if expression.metric == "error_rate" and expression.operator in ("<", "<=") and expression.number > 0:
            return min(0.5, expression.number / 100), f"errors: the target {target.expression!r}"
    return 0.01, "errors: no target names them, so 1 %"
