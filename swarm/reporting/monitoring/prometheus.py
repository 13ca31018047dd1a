"""Prometheus rules: burn rates over several windows, latency, refused senders, lost metrics, the agents' drafts.

The windows and factors are the SRE Workbook's (chapter 5, "Alerting on SLOs").
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from swarm.core.report import Report
from swarm.reporting.escape import one_line
from swarm.reporting.monitoring import drafts
from swarm.reporting.monitoring.sli import error_ratio, slow_ratio
from swarm.reporting.monitoring.thresholds import METRIC, AlertThresholds

FILENAME = "monitoring/prometheus-rules.yml"
WINDOWS = ("5m", "30m", "1h", "6h", "3d")


@dataclass(frozen=True, slots=True)
class Burn:
    """Alert when the budget burns `factor` times too fast over both windows."""

    factor: float
    long: str
    short: str
    severity: str


BURNS = (Burn(14.4, "1h", "5m", "page"), Burn(6, "6h", "30m", "page"), Burn(1, "3d", "6h", "ticket"))


def prometheus_rules(report: Report, alerts: AlertThresholds) -> str:
    """The rules file as YAML."""
    import yaml

    groups = [
        {"name": "webhook-sli", "interval": "30s", "rules": _recordings(alerts)},
        {"name": "webhook-slo", "rules": [*_burn_alerts(alerts), *_plain_alerts(alerts)]},
    ]
    drafted, left = drafts.expressed(report, alerts)
    if drafted:
        groups.append({"name": "webhook-drafts", "rules": [drafts.rule_of(rule) for rule in drafted]})
    head = [
        f"# Alerts for {one_line(report.run.target)}, written by swarm in run {one_line(report.run.id)}.",
        f"# They read {METRIC}, which the no-metrics patch exports.",
        *(f"# {one_line(reason)}" for reason in alerts.reasons),
        f"# Slow means above {alerts.bucket_s:g} s, the histogram bound that holds {alerts.latency_ms:g} ms.",
        *drafts.comments(left),
    ]
    body = yaml.safe_dump({"groups": groups}, sort_keys=False, allow_unicode=True, width=1000)
    return "\n".join(head) + "\n" + body


def _recordings(alerts: AlertThresholds) -> list[dict[str, Any]]:
    errors = [{"record": f"job:http_server_errors:ratio_rate{w}", "expr": error_ratio(w, alerts)} for w in WINDOWS]
    slow = [{"record": f"job:http_server_slow:ratio_rate{w}", "expr": slow_ratio(w, alerts)} for w in WINDOWS]
    return errors + slow


def _burn_alerts(alerts: AlertThresholds) -> list[dict[str, Any]]:
    kinds = (
        ("ErrorBudgetBurn", "errors", alerts.error_rate, "requests fail"),
        ("LatencyBudgetBurn", "slow", alerts.slow_share, f"requests take over {alerts.bucket_s:g} s"),
    )
    rules = []
    for name, sli, budget, words in kinds:
        for burn in BURNS:
            # A share cannot pass 1: a wide budget times 14.4 would make an alert that never fires.
            bound = min(burn.factor * budget, 0.9)
            series = f"job:http_server_{sli}:ratio_rate"
            rules.append(
                {
                    "alert": f"Webhook{name}",
                    "expr": f"{series}{burn.long} > {bound:.6g} and {series}{burn.short} > {bound:.6g}",
                    "labels": {"severity": burn.severity, "slo": sli, "window": burn.long},
                    "annotations": {
                        "summary": f"{{{{ $value | humanizePercentage }}}} of {words} on {{{{ $labels.job }}}}",
                        "description": f"The budget of {budget * 100:g} % burns {burn.factor:g} times too fast "
                        f"over {burn.long} and {burn.short}.",
                    },
                }
            )
    return rules


def _plain_alerts(alerts: AlertThresholds) -> list[dict[str, Any]]:
    seconds = f"{alerts.latency_ms / 1000:g}"
    p95 = f"histogram_quantile(0.95, sum by (job, le) (rate({METRIC}_bucket[5m])))"
    rules = [
        {
            "alert": "WebhookLatencyHigh",
            "expr": f"{p95} > {seconds}",
            "for": "5m",
            "labels": {"severity": "ticket", "slo": "slow"},
            "annotations": {
                "summary": f"p95 is above {alerts.latency_ms:g} ms on {{{{ $labels.job }}}}",
                "description": "Look at the waterfall of a slow request: which outgoing call or query grew?",
            },
        },
        {
            "alert": "WebhookMetricsLost",
            "expr": f"absent({METRIC}_count)",
            "for": "10m",
            "labels": {"severity": "ticket"},
            "annotations": {
                "summary": f"No series of {METRIC}",
                "description": "The service is down, is not scraped, or runs without the no-metrics patch.",
            },
        },
    ]
    if alerts.refused_per_s is not None:
        refused = f'sum by (job) (rate({METRIC}_count{{{alerts.status_label}=~"401|403"}}[5m]))'
        rules.append(
            {
                "alert": "WebhookSendersRefused",
                "expr": f"{refused} > {alerts.refused_per_s:g}",
                "for": "5m",
                "labels": {"severity": "ticket"},
                "annotations": {
                    "summary": "Webhooks are refused for their signature on {{ $labels.job }}",
                    "description": "A secret was changed on one side alone, or somebody tries signatures.",
                },
            }
        )
    return rules
