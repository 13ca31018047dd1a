"""The rules' own test, for `promtool test rules`: quiet when healthy, loud when failing, slow, refused or gone."""

from __future__ import annotations

from typing import Any

from swarm.core.report import Report
from swarm.reporting.escape import one_line
from swarm.reporting.monitoring.thresholds import METRIC, AlertThresholds

FILENAME = "monitoring/prometheus-rules.test.yml"
_JOB = 'job="webhooks"'


def promtool_test(report: Report, alerts: AlertThresholds) -> str:
    """The test file as YAML; it lies beside the rules file."""
    import yaml

    tests = [
        _test("a healthy service is left alone", _series(alerts, failing=0, slow=0), []),
        _test("half of all requests failing pages", _series(alerts, failing=30, slow=0), ["WebhookErrorBudgetBurn"]),
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
    for bound, total in ((alerts.bucket_s, 60 - slow), (alerts.bucket_s * 10, 60)):
        series.append(growing("_bucket", f'{alerts.status_label}="200",le="{bound:g}"', total))
    if failing:
        series.append(growing("_count", f'{alerts.status_label}="500"', failing))
    if refused:
        # These are quick, so their bucket grows as their count does.
        series += [growing("_count", f'{alerts.status_label}="401"', refused),
                   growing("_bucket", f'{alerts.status_label}="401",le="{alerts.bucket_s:g}"', refused)]  # fmt: skip
    return series


def _test(name: str, series: list[dict[str, str]], firing: list[str]) -> dict[str, Any]:
    """Whether each alert fires is asked by its ALERTS series, so that wording may change without breaking the test."""
    names = ("WebhookErrorBudgetBurn", "WebhookLatencyBudgetBurn", "WebhookLatencyHigh", "WebhookMetricsLost",
             "WebhookSendersRefused")  # fmt: skip
    checks = []
    for alert in names:
        samples = [{"labels": "{}", "value": 1}] if alert in firing else []
        expression = f'group(ALERTS{{alertname="{alert}",alertstate="firing"}})'
        checks.append({"expr": expression, "eval_time": "80m", "exp_samples": samples})
    return {"name": name, "interval": "1m", "input_series": series, "promql_expr_test": checks}
