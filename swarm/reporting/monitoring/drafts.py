"""Alert drafts of the agents as Prometheus rules; those that the exported metric cannot say, with the reason."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Any

from swarm.core.alerts import AlertDraft
from swarm.core.report import Report
from swarm.reporting.escape import one_line
from swarm.reporting.monitoring.sli import error_ratio
from swarm.reporting.monitoring.thresholds import BUCKETS_S, METRIC, AlertThresholds

# Names that the rules of every run have: a draft by such a name gets another, so that each alert is told apart.
TAKEN = ("WebhookErrorBudgetBurn", "WebhookLatencyBudgetBurn", "WebhookLatencyHigh", "WebhookMetricsLost",
         "WebhookSendersRefused")  # fmt: skip
_LATENCIES = ("webhook_latency", "webhook_processing_time", "webhook_ack_time")
_QUANTILES = {"p50": 0.5, "p90": 0.9, "p95": 0.95, "p99": 0.99}
_SEVERITIES = {"critical": "page", "warning": "ticket", "info": "info"}
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")


@dataclass(frozen=True, slots=True)
class DraftRule:
    """A draft that became a rule: alert `name` when `expression` is `draft.operator` `bound`.

    `bound` is in the expression's own unit: seconds, a share from 0 to 1, or requests a second.
    """

    name: str
    draft: AlertDraft
    expression: str
    bound: float
    slo: str


@dataclass(frozen=True, slots=True)
class Unexpressed:
    """A draft that no rule over the exported metric can say, and why."""

    draft: AlertDraft
    reason: str


def expressed(report: Report, alerts: AlertThresholds) -> tuple[tuple[DraftRule, ...], tuple[Unexpressed, ...]]:
    """The report's drafts as rules, each by a name of its own, and those that cannot be rules."""
    rules: list[DraftRule] = []
    left: list[Unexpressed] = []
    taken = set(TAKEN)
    for draft in report.alerts:
        sli = _sli(draft, alerts)
        if isinstance(sli, str):
            left.append(Unexpressed(draft, sli))
            continue
        name = draft.name
        while name in taken:
            name += "Drafted"
        taken.add(name)
        rules.append(DraftRule(name, draft, *sli))
    return tuple(rules), tuple(left)


def rule_of(rule: DraftRule) -> dict[str, Any]:
    """One alerting rule as Prometheus' YAML has it: `alert`, `expr`, `for`, `labels`, `annotations`."""
    draft = rule.draft
    what = f"{draft.metric} {draft.statistic}" if draft.metric in _LATENCIES else draft.metric
    side = "above" if draft.operator == ">" else "below"
    # Prometheus reads annotations as Go templates, and a reason may be a model's words.
    reason = re.sub(r"\{(?=\{)", "{ ", one_line(draft.reason)) or "No reason was given."
    return {
        "alert": rule.name,
        "expr": f"{rule.expression} {draft.operator} {rule.bound:g}",
        "for": f"{draft.for_s}s",
        "labels": {"severity": _SEVERITIES[draft.severity], "slo": rule.slo, "origin": "agent"},
        "annotations": {
            "summary": f"{what} is {side} {draft.threshold:g} {draft.unit} on {{{{ $labels.job }}}}",
            "description": reason,
        },
    }


def comments(left: tuple[Unexpressed, ...]) -> list[str]:
    """A line for each draft that is no rule."""
    return [
        f"# Not written: {one_line(item.draft.name)} ({one_line(item.draft.metric)} {item.draft.operator} "
        f"{item.draft.threshold:g} {one_line(item.draft.unit)}): {one_line(item.reason)}"
        for item in left
    ]


def _sli(draft: AlertDraft, alerts: AlertThresholds) -> tuple[str, float, str] | str:
    """Expression, bound and slo of a draft; a reason where there is none."""
    if not _NAME.fullmatch(draft.name):
        return "its name is no alert's name: letters, digits and _ alone"
    if not math.isfinite(draft.threshold) or draft.threshold < 0 or draft.for_s < 0:
        return "its threshold or its time is no number from 0 up"
    if draft.metric in _LATENCIES:
        made = _latency(draft)
        return made if isinstance(made, str) else (*made, "slow")
    if draft.metric == "error_rate":
        bound = draft.threshold / 100
        if bound > 1 or bound == (1 if draft.operator == ">" else 0):
            return "a rate lies between 0 and 100 %, so it would fire always or never"
        return f"({error_ratio('5m', alerts)})", bound, "errors"
    if draft.metric == "throughput":
        if draft.operator == "<" and draft.threshold == 0:
            return "no throughput is below 0, so it would never fire"
        return f"sum by (job) (rate({METRIC}_count[5m]))", draft.threshold, "traffic"
    if draft.metric == "memory_usage":
        return "the no-metrics patch exports no memory; a client library's process_resident_memory_bytes would tell"
    return "the no-metrics patch exports the service's own requests alone: their count, status and duration"


def _latency(draft: AlertDraft) -> tuple[str, float] | str:
    bound_s = draft.threshold / 1000
    if draft.statistic == "mean":
        if bound_s == 0:
            return "every request takes longer than 0 ms, so it would fire always or never"
        rates = [f"sum by (job) (rate({METRIC}_{name}[5m]))" for name in ("sum", "count")]
        return f"({rates[0]} / {rates[1]})", bound_s
    if draft.statistic not in _QUANTILES:
        return f"{draft.statistic} is no statistic that a histogram gives"
    first_s, last_s = BUCKETS_S[0], BUCKETS_S[-1]
    if not first_s <= bound_s <= last_s or (draft.operator == ">" and bound_s == last_s):
        return f"the histogram tells quantiles between {first_s * 1000:g} and {last_s * 1000:g} ms alone"
    quantile = _QUANTILES[draft.statistic]
    return f"histogram_quantile({quantile:g}, sum by (job, le) (rate({METRIC}_bucket[5m])))", bound_s
