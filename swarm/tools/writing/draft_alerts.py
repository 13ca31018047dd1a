"""Tool: drafts of alerts, kept for the report's monitoring files."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from swarm.core.alerts import AlertDraft
from swarm.core.errors import TargetError, ToolFailed
from swarm.core.metrics import METRIC_UNITS, did_you_mean
from swarm.tools.tool import Answer, Arguments, Tool, as_json

if TYPE_CHECKING:
    from swarm.tools.workbench import Workbench

_MOST = 30
_ROOM_OVER_BASELINE = 1.5


class AlertArguments(Arguments):
    """One alert."""

    name: str = Field(pattern="^[A-Za-z][A-Za-z0-9]{2,60}$", description="CamelCase: WebhookLatencyHigh")
    metric: str = Field(description=f"one of {', '.join(sorted(METRIC_UNITS))}")
    statistic: Literal["p50", "p90", "p95", "p99", "mean"] = "p95"
    operator: Literal["<", ">"] = ">"
    threshold: float = Field(ge=0, description="in ms, %, /s or MB, as the metric has it")
    for_s: int = Field(300, ge=0, le=86_400)
    severity: Literal["critical", "warning", "info"] = "warning"
    reason: str = Field("", max_length=300)


class DraftAlertsArguments(Arguments):
    """The alerts; none means thresholds from what was measured."""

    alerts: list[AlertArguments] = Field(default_factory=list, max_length=_MOST)


class DraftAlerts(Tool):
    """Thresholds come from the model, or from traced requests through the unpatched service."""

    name = "draft_alerts"
    group = "Alerting-Setup"
    description = (
        "Keeps drafts of alerts for the monitoring files of the report. "
        "Without `alerts`, thresholds are derived from measured requests."
    )
    arguments = DraftAlertsArguments
    untrusted = False
    playbook_stage = 2

    async def run(self, arguments: DraftAlertsArguments, bench: Workbench) -> Answer:
        """The drafts that are kept now; one of the same name is replaced. Raises ToolFailed for an unknown metric."""
        for alert in arguments.alerts:
            if alert.metric not in METRIC_UNITS:
                near = did_you_mean(alert.metric, METRIC_UNITS)
                raise ToolFailed(f"metric {alert.metric!r} is unknown{near}")
        drafts = [_draft(alert) for alert in arguments.alerts] or await _measured(bench)
        names = {draft.name for draft in drafts}
        bench.alerts[:] = [old for old in bench.alerts if old.name not in names] + drafts
        bench.measurements.keep("alerts", tuple(bench.alerts))
        shown = [
            f"{draft.name}: {draft.metric} {draft.statistic} {draft.operator} {draft.threshold:g} "
            f"{draft.unit} for {draft.for_s} s, {draft.severity}"
            for draft in bench.alerts
        ]
        return Answer(as_json({"alerts": shown}))


def _draft(alert: AlertArguments) -> AlertDraft:
    return AlertDraft(
        alert.name, alert.metric, alert.statistic, alert.operator, alert.threshold,
        METRIC_UNITS[alert.metric], alert.for_s, alert.severity, alert.reason,
    )  # fmt: skip


async def _measured(bench: Workbench) -> list[AlertDraft]:
    """An error rate that no healthy service has, and a latency half above the slowest traced request."""
    why = "more than one webhook in twenty fails"
    drafts = [AlertDraft("WebhookErrorRateHigh", "error_rate", "mean", ">", 5.0, "%", 300, "critical", why)]
    try:
        waterfalls = await bench.waterfall()
    except (ToolFailed, TargetError):
        return drafts  # a service that does not start has no latency to go by
    good = [waterfall.duration_ms for waterfall in waterfalls if 200 <= waterfall.status < 300]
    if good:
        limit_ms = max(10.0, float(round(max(good) * _ROOM_OVER_BASELINE, -1)))
        why = f"half above the slowest of {len(good)} requests before any patch ({max(good):.0f} ms)"
        name, metric = "WebhookLatencyHigh", "webhook_processing_time"
        drafts.append(AlertDraft(name, metric, "p95", ">", limit_ms, "ms", 300, "warning", why))
    return drafts
