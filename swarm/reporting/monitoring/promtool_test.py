"""The rules' own test, for `promtool test rules`: quiet when healthy, loud when failing, slow, refused or gone."""

from __future__ import annotations

from typing import Any

from swarm.core.report import Report
from swarm.reporting.escape import one_line
from swarm.reporting.monitoring.prometheus import BURNS
from swarm.reporting.monitoring.thresholds import METRIC, AlertThresholds

FILENAME = "monitoring/prometheus-rules.test.yml"
_JOB = 'job="webhooks"'
ALERTS = (
    *(f"{name},{burn.long}" for name in ("WebhookErrorBudgetBurn", "WebhookLatencyBudgetBurn") for burn in BURNS),
    "WebhookLatencyHigh", "WebhookMetricsLost", "WebhookSendersRefused",
)  # fmt: skip


def promtool_test(report: Report, alerts: AlertThresholds) -> str:
    """The test file as YAML; it lies beside the rules file."""
    import yaml

    tests = [
        _test("a healthy service is left alone", _series(alerts, failing=0, slow=0), []),
        _test("all requests failing pages", _series(alerts, failing=60, slow=0), ["WebhookErrorBudgetBurn"]),
        _test(
            "slow answers page",
            _series(alerts, failing=0, slow=60),
            ["WebhookLatencyBudgetBurn", "WebhookLatencyHigh"],
        ),
        _test("a service that is gone is noticed", [], ["WebhookMetricsLost"]),
    ]
    if alerts.refused_per_s is not None:
        refused = alerts.refused_per_s * 60 * 5
        tests.append(_test("refused senders are noticed", _series(alerts, 0, 0, refused), ["WebhookSendersRefused"]))
    document = {"rule_files": ["prometheus-rules.yml"], "evaluation_interval": "1m", "tests": tests}
    head = f"# promtool test rules prometheus-rules.test.yml   (run {one_line(report.run.id)})\n"
    return head + yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=1000)


def _series(alerts: AlertThresholds, failing: float, slow: float, refused: float = 0) -> list[dict[str, str]]:
    """Ninety minutes at sixty requests a minute, of which some fail, are slow, or are refused besides."""

    def growing(name: str, labels: str, step: float) -> dict[str, str]:
        return {"series": f"{METRIC}{name}{{{_JOB},{labels}}}", "values": f"0+{step:g}x90"}

    good = 60 - failing
    series = [
        growing("_count", f'{alerts.status_label}="200"', good),
        growing("_bucket", f'{alerts.status_label}="200",le="+Inf"', 60),
    ]
    quick = alerts.latency_ms / 2000
    for bound, total in ((quick, 60 - slow), (alerts.bucket_s, 60 - slow), (alerts.bucket_s * 10, 60)):
        series.append(growing("_bucket", f'{alerts.status_label}="200",le="{bound:g}"', total))
    if failing:
        series.append(growing("_count", f'{alerts.status_label}="500"', failing))
    if refused:
        # These are quick, so their bucket grows as their count does.
        series += [growing("_count", f'{alerts.status_label}="401"', refused),
                   growing("_bucket", f'{alerts.status_label}="401",le="{alerts.bucket_s:g}"', refused)]  # fmt: skip
    return series


def _test(name: str, series: list[dict[str, str]], firing: list[str]) -> dict[str, Any]:
    """Each alert is asked for by its ALERTS series, so that its wording may change without breaking the test."""
    checks = []
    for alert in ALERTS:
        samples = [{"labels": "{}", "value": 1}] if alert.split(",")[0] in firing else []
        expression = f"group(ALERTS{{{_selector(alert)}}})"
        checks.append({"expr": expression, "eval_time": "80m", "exp_samples": samples})
    return {"name": name, "interval": "1m", "input_series": series, "promql_expr_test": checks}


def _selector(alert: str) -> str:
    """`Name,window` as a selector of that alert firing, over that window where one is named."""
    name, _, window = alert.partition(",")
    return f'alertname="{name}",alertstate="firing"' + (f',window="{window}"' if window else "")
