"""Monitoring files: promtool and amtool have the say where they are; a wrong rule must make them say no."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from swarm.core.report import Report, TargetOutcome
from swarm.reporting.monitoring.files import monitoring_files, validate_monitoring, write_monitoring
from swarm.reporting.monitoring.thresholds import AlertThresholds, thresholds_of

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
    write_monitoring(report, tmp_path, AlertThresholds())
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
