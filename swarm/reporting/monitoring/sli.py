"""Service level indicators as PromQL: the shares of requests that failed, or were slow."""

from __future__ import annotations

from swarm.reporting.monitoring.thresholds import METRIC, AlertThresholds


def slow_matcher(alerts: AlertThresholds) -> str:
    """A matcher of the bucket's `le`, which some clients write as 1 and others as 1.0."""
    bound = f"{alerts.bucket_s:g}"
    return f'le="{bound}"' if "." in bound else f'le=~"{bound}([.]0)?"'


def error_ratio(window: str, alerts: AlertThresholds) -> str:
    """Share of requests answered with 5xx."""
    failed = f'sum by (job) (rate({METRIC}_count{{{alerts.status_label}=~"5.."}}[{window}]))'
    every = f"sum by (job) (rate({METRIC}_count[{window}]))"
    # `or 0 * …`: no failed request at all has no series, and means 0, not nothing.
    return f"({failed} or 0 * {every}) / {every}"


def slow_ratio(window: str, alerts: AlertThresholds) -> str:
    """Share of requests slower than the threshold."""
    quick = f"sum by (job) (rate({METRIC}_bucket{{{slow_matcher(alerts)}}}[{window}]))"
    return f"1 - {quick} / sum by (job) (rate({METRIC}_count[{window}]))"
