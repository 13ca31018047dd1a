"""The rules' own test, for `promtool test rules`: quiet when healthy, loud when failing, slow, refused or gone."""

from __future__ import annotations

import math
from typing import Any

from swarm.core.report import Report
from swarm.reporting.escape import one_line
from swarm.reporting.monitoring.drafts import DraftRule, expressed
from swarm.reporting.monitoring.prometheus import BURNS
from swarm.reporting.monitoring.thresholds import BUCKETS_S, METRIC, AlertThresholds

FILENAME = "monitoring/prometheus-rules.test.yml"
_JOB = 'job="webhooks"'
_SETTLED_MIN = 10  # beyond an alert's own time: its window of five minutes, and as much again
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
    drafted, _ = expressed(report, alerts)
    tests += [_draft_test(rule, alerts) for rule in drafted]
    document = {"rule_files": ["prometheus-rules.yml"], "evaluation_interval": "1m", "tests": tests}
    head = f"# promtool test rules prometheus-rules.test.yml   (run {one_line(report.run.id)})\n"
    return head + yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=1000)


def _series(alerts: AlertThresholds, failing: float, slow: float, refused: float = 0) -> list[dict[str, str]]:
    """Ninety minutes at sixty requests a minute, of which some fail, are slow, or are refused besides."""

    def growing(name: str, labels: str, step: float) -> dict[str, str]:
        return {"series": f"{METRIC}{name}{{{_JOB},{labels}}}", "values": f"0+{step:g}x90"}

    def buckets(status: str, quick: float, answered: float) -> list[dict[str, str]]:
        bounds = (alerts.latency_ms / 2000, alerts.bucket_s, alerts.bucket_s * 10, math.inf)
        growths = zip(bounds, (quick, quick, answered, answered), strict=True)
        label = f'{alerts.status_label}="{status}"'
        return [growing("_bucket", f'{label},le="{_bound(upper)}"', growth) for upper, growth in growths]

    series = [growing("_count", f'{alerts.status_label}="200"', 60 - failing), *buckets("200", 60 - slow, 60)]
    if failing:
        series.append(growing("_count", f'{alerts.status_label}="500"', failing))
    if refused:  # at once, so that an alert of slow answers, which counts them too, keeps quiet
        series += [growing("_count", f'{alerts.status_label}="401"', refused), *buckets("401", refused, refused)]
    return series


def _bound(upper: float) -> str:
    return "+Inf" if math.isinf(upper) else f"{upper:g}"


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


def _draft_test(rule: DraftRule, alerts: AlertThresholds) -> dict[str, Any]:
    """Two jobs: one past the rule's bound, where it must fire, and one not, where it must keep quiet."""
    minutes = math.ceil(rule.draft.for_s / 60) + _SETTLED_MIN
    above = rule.draft.operator == ">"
    series = [
        {"series": f'{METRIC}{name}{{job="{job}",{labels}}}', "values": f"0+{step:.12g}x{minutes}"}
        for job, is_above in (("past", above), ("kept", not above))
        for name, labels, step in _growth(rule, alerts, above=is_above)
    ]
    check = {
        "expr": f"count by (job) (ALERTS{{{_selector(rule.name)}}})",
        "eval_time": f"{minutes}m",
        "exp_samples": [{"labels": '{job="past"}', "value": 1}],
    }
    name = f"{rule.name} fires past its threshold, and not before it"
    return {"name": name, "interval": "1m", "input_series": series, "promql_expr_test": [check]}


def _growth(rule: DraftRule, alerts: AlertThresholds, *, above: bool) -> list[tuple[str, str, float]]:
    """Counters by name and labels, with their growth a minute, that lie above the rule's bound or do not."""
    good, failed = (f'{alerts.status_label}="{status}"' for status in (200, 500))
    match rule.slo:
        case "errors":
            share = (rule.bound + 1) / 2 if above else rule.bound / 2
            return [("_count", good, 60 * (1 - share)), ("_count", failed, 60 * share)]
        case "traffic":
            per_s = (rule.bound * 2 or 1.0) if above else rule.bound / 2
            return [("_count", good, 60 * per_s)]
        case _ if rule.draft.statistic == "mean":
            return [("_count", good, 60), ("_sum", good, 60 * rule.bound * (2 if above else 0.5))]
    # A quantile is a guess inside of its bucket: all requests lie in one that the bound does not cut.
    if above:
        empty = len([upper for upper in BUCKETS_S if upper < rule.bound]) + 1
    else:
        empty = len([upper for upper in BUCKETS_S if upper <= rule.bound]) - 1
    counts = [0.0] * empty + [60.0] * (len(BUCKETS_S) - empty)
    buckets = [("_bucket", f'{good},le="{upper:g}"', count) for upper, count in zip(BUCKETS_S, counts, strict=True)]
    return [*buckets, ("_bucket", f'{good},le="+Inf"', 60.0), ("_count", good, 60.0)]
