"""Monitoring files: promtool and amtool have the say where they are; a wrong rule must make them say no."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from swarm.core.alerts import AlertDraft
from swarm.core.metrics import METRIC_UNITS
from swarm.core.report import Report, TargetOutcome
from swarm.reporting.folder import write_file
from swarm.reporting.monitoring import promtool_test
from swarm.reporting.monitoring.drafts import TAKEN, expressed, rule_of
from swarm.reporting.monitoring.files import monitoring_files, validate_monitoring, write_monitoring
from swarm.reporting.monitoring.thresholds import AlertThresholds, thresholds_of

pytestmark = pytest.mark.long

needs_promtool = pytest.mark.skipif(
    not (os.environ.get("SWARM_PROMTOOL") or shutil.which("promtool")), reason="promtool is not on this machine"
)
RULES = "monitoring/prometheus-rules.yml"


def test_thresholds_come_from_the_targets(report: Report) -> None:
    expressions = ("webhook_latency < 750ms", "error_rate <= 0.5%")
    targets = tuple(TargetOutcome(e, "x", None, None, None) for e in expressions)
    alerts = thresholds_of(replace(report, targets=targets))
    assert (alerts.latency_ms, alerts.error_rate, alerts.bucket_s) == (750, 0.005, 0.75)


def test_thresholds_without_targets_come_from_the_measurement(report: Report) -> None:
    alerts = thresholds_of(replace(report, targets=()))
    after = report.benchmarks[0].after
    assert after is not None
    assert alerts.latency_ms == pytest.approx(after.p95 * 1.5, abs=0.1)
    assert thresholds_of(replace(report, targets=(), benchmarks=())).latency_ms == 500


def test_burn_rates_are_the_workbooks(report: Report) -> None:
    document = yaml.safe_load(monitoring_files(report, AlertThresholds(error_rate=0.01))[RULES])
    burns = [r for r in document["groups"][1]["rules"] if r["alert"] == "WebhookErrorBudgetBurn"]
    assert [r["expr"] for r in burns] == [
        "job:http_server_errors:ratio_rate1h > 0.144 and job:http_server_errors:ratio_rate5m > 0.144",
        "job:http_server_errors:ratio_rate6h > 0.06 and job:http_server_errors:ratio_rate30m > 0.06",
        "job:http_server_errors:ratio_rate3d > 0.01 and job:http_server_errors:ratio_rate6h > 0.01",
    ]
    assert [r["labels"]["severity"] for r in burns] == ["page", "page", "ticket"]


def test_no_alert_of_refused_senders_where_they_are_not_counted(report: Report) -> None:
    files = monitoring_files(report, AlertThresholds(refused_per_s=None))
    assert not [text for name, text in files.items() if "SendersRefused" in text and "rules.yml" in name]


def test_hostile_names_stay_comments(hostile: Report) -> None:
    for name, text in monitoring_files(hostile, AlertThresholds(reasons=("a\ngroups: []",))).items():
        assert json.loads(text) if name.endswith(".json") else yaml.safe_load(text)


@needs_promtool
@pytest.mark.parametrize(
    "alerts",
    [
        AlertThresholds(latency_ms=1000, error_rate=0.001),
        AlertThresholds(latency_ms=58.4),  # far below the bound of its bucket
        AlertThresholds(latency_ms=40_000, error_rate=0.2, slow_share=0.5),
        AlertThresholds(
            latency_ms=3, refused_per_s=None, status_label="http_response_status_code", route_label="http_route"
        ),
    ],
)
def test_promtool_accepts_the_files(alerts: AlertThresholds, report: Report, tmp_path: Path) -> None:
    files = write_monitoring(report, tmp_path, alerts)
    assert files.validated_by[:3] == (
        "promtool check rules",
        "promtool test rules",
        "promtool (the dashboard's expressions)",
    )
    assert set(files.files) == {f"monitoring/{p.name}" for p in (tmp_path / "monitoring").iterdir()}


@needs_promtool
def test_promtool_refuses_what_is_wrong(report: Report, tmp_path: Path) -> None:
    for name, text in monitoring_files(report, AlertThresholds()).items():
        write_file(tmp_path, name, text)
    rules = tmp_path / RULES
    good = rules.read_text()
    rules.write_text(good.replace("> 0.144", "> 1.44"))
    passed = validate_monitoring(tmp_path)
    assert "promtool check rules" in passed and "promtool test rules" not in passed
    rules.write_text(good.replace("sum by (job) (", "sum by (job ("))
    assert "promtool check rules" not in validate_monitoring(tmp_path)


def test_no_tool_validates_nothing(report: Report, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("SWARM_PROMTOOL", raising=False)
    assert write_monitoring(report, tmp_path, AlertThresholds()).validated_by == ()


def draft(metric: str, operator: str, threshold: float, statistic: str = "p95", **more: Any) -> AlertDraft:
    values = {"name": "Drafted", "unit": METRIC_UNITS[metric], "for_s": 300, "severity": "warning", "reason": "why"}
    return AlertDraft(
        metric=metric, operator=operator, threshold=threshold, statistic=statistic, **{**values, **more}
    )  # type: ignore[arg-type]


def test_drafts_become_rules_beside_the_base(report: Report) -> None:
    text = monitoring_files(report, AlertThresholds())[RULES]
    groups = {group["name"]: group["rules"] for group in yaml.safe_load(text)["groups"]}
    assert {rule["alert"] for rule in groups["webhook-slo"]} == set(TAKEN)
    latency, errors = groups["webhook-drafts"]
    assert (latency["alert"], latency["labels"]["severity"]) == ("WebhookLatencyHighDrafted", "ticket")
    assert latency["expr"].startswith("histogram_quantile(0.95, ") and latency["expr"].endswith(" > 0.45")
    assert (errors["alert"], errors["for"], errors["labels"]["severity"]) == ("WebhookErrorRateHigh", "300s", "page")
    assert errors["expr"].endswith(" > 0.05")
    assert "# Not written: CacheMissesMany (cache_hit_rate < 80 %): the no-metrics patch exports" in text
    assert "webhook-drafts" not in monitoring_files(replace(report, alerts=()), AlertThresholds())[RULES]


@pytest.mark.parametrize(
    ("made", "why"),
    [
        (draft("webhook_latency", ">", 12_000), "between 5 and 10000 ms"),
        (draft("webhook_latency", ">", 10_000), "between 5 and 10000 ms"),
        (draft("webhook_latency", "<", 2), "between 5 and 10000 ms"),
        (draft("webhook_latency", ">", 0, "mean"), "always or never"),
        (draft("error_rate", ">", 100), "always or never"),
        (draft("error_rate", "<", 0), "always or never"),
        (draft("throughput", "<", 0), "never fire"),
        (draft("memory_usage", ">", 512), "process_resident_memory_bytes"),
        (draft("api_error_rate", ">", 5), "the service's own requests alone"),
        (draft("error_rate", ">", float("nan")), "no number"),
        (draft("error_rate", ">", 5, name="no name"), "no alert's name"),
    ],
)
def test_what_cannot_be_a_rule_is_told(made: AlertDraft, why: str, report: Report) -> None:
    rules, left = expressed(replace(report, alerts=(made,)), AlertThresholds())
    assert rules == () and why in left[0].reason


def test_a_models_words_are_no_template(report: Report) -> None:
    made = draft("error_rate", ">", 5, reason='{{ query "up" }}\nand {{{ more')
    rules, _ = expressed(replace(report, alerts=(made,)), AlertThresholds())
    assert "{{" not in rule_of(rules[0])["annotations"]["description"]


EVERY_KIND = (
    *(
        draft(metric, operator, threshold, statistic)
        for metric, statistic in (
            ("webhook_latency", "p50"),
            ("webhook_ack_time", "p99"),
            ("webhook_latency", "mean"),
        )
        for operator, threshold in ((">", 450), ("<", 450), (">", 5), (">", 9_000), ("<", 10_000), (">", 500))
    ),
    *(draft("error_rate", o, t) for o, t in ((">", 0), (">", 5), (">", 99.5), ("<", 100), ("<", 0.1))),
    *(draft("throughput", o, t) for o, t in ((">", 0), (">", 200), ("<", 0.05), ("<", 1e6))),
    draft("error_rate", ">", 5, for_s=0, severity="critical"),
    draft("error_rate", ">", 5, for_s=5_000, severity="info", reason="{{ .Broken"),
)


def write_drafts(report: Report, folder: Path, wrong: tuple[str, str] = ("", "")) -> None:
    """The rules of the drafts and their tests, without the base, which promtool would evaluate beside each."""
    files = monitoring_files(report, AlertThresholds())
    assert wrong[0] in files[RULES]
    rules, tests = yaml.safe_load(files[RULES].replace(*wrong)), yaml.safe_load(files[promtool_test.FILENAME])
    rules["groups"] = [group for group in rules["groups"] if group["name"] == "webhook-drafts"]
    tests["tests"] = [
        one for one in tests["tests"] if one["name"].endswith("fires past its threshold, and not before it")
    ]
    assert len(tests["tests"]) == len(rules["groups"][0]["rules"])
    write_file(folder, RULES, yaml.safe_dump(rules))
    write_file(folder, promtool_test.FILENAME, yaml.safe_dump(tests))


@needs_promtool
def test_promtool_sees_every_draft_fire_and_keep_quiet(report: Report, tmp_path: Path) -> None:
    drafts = tuple(replace(made, name=f"Drafted{n}") for n, made in enumerate(EVERY_KIND))
    report = replace(report, alerts=drafts)
    rules, left = expressed(report, AlertThresholds())
    assert len(rules) == len(drafts) and left == ()
    write_drafts(report, tmp_path)
    assert validate_monitoring(tmp_path) == ("promtool check rules", "promtool test rules")


@needs_promtool
@pytest.mark.parametrize("wrong", [("> 0.45", "> 45"), ("> 0.45", "> 0.001"), ("> 0.05", "< 0.05"), ("300s", "900s")])
def test_the_test_finds_a_drafts_wrong_rule(wrong: tuple[str, str], report: Report, tmp_path: Path) -> None:
    write_drafts(report, tmp_path)
    assert validate_monitoring(tmp_path) == ("promtool check rules", "promtool test rules")
    write_drafts(report, tmp_path, wrong)
    assert validate_monitoring(tmp_path) == ("promtool check rules",)
