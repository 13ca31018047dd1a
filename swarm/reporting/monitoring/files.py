"""The monitoring files of a run, and what the tools on this machine say about them."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from swarm.core.report import MonitoringFiles, Report
from swarm.reporting.folder import write_file
from swarm.reporting.monitoring import alertmanager, grafana, prometheus, promtool_test
from swarm.reporting.monitoring.thresholds import AlertThresholds

TIMEOUT_S = 30.0


def monitoring_files(report: Report, alerts: AlertThresholds) -> dict[str, str]:
    """Every file by its path in the run's folder. Pure."""
    return {
        prometheus.FILENAME: prometheus.prometheus_rules(report, alerts),
        promtool_test.FILENAME: promtool_test.promtool_test(report, alerts),
        grafana.FILENAME: grafana.grafana_dashboard(report, alerts),
        alertmanager.FILENAME: alertmanager.alertmanager_config(report),
    }


def write_monitoring(report: Report, folder: Path, alerts: AlertThresholds) -> MonitoringFiles:
    """Write the files into a run's folder and validate them there; the value belongs into the report."""
    files = monitoring_files(report, alerts)
    for name, text in files.items():
        write_file(folder, name, text)
    return MonitoringFiles(tuple(sorted(files)), validate_monitoring(folder))


def validate_monitoring(folder: Path) -> tuple[str, ...]:
    """What validated the files in `folder`/monitoring. A tool that is missing, or says no, is not named.

    promtool is `SWARM_PROMTOOL` or on PATH; amtool is beside it or on PATH.
    """
    promtool, where = _tool("promtool"), folder / "monitoring"
    passed = []
    if promtool:
        if _passes([promtool, "check", "rules", "prometheus-rules.yml"], where):
            passed.append("promtool check rules")
        if _passes([promtool, "test", "rules", "prometheus-rules.test.yml"], where):
            passed.append("promtool test rules")
        if _dashboard_parses(promtool, where):
            passed.append("promtool (the dashboard's expressions)")
    amtool = _tool("amtool")
    if amtool and _passes([amtool, "check-config", "alertmanager.yml"], where):
        passed.append("amtool check-config")
    return tuple(passed)


def _tool(name: str) -> str | None:
    named = os.environ.get("SWARM_PROMTOOL")
    if named:
        beside = Path(named).parent / name
        if beside.is_file():
            return str(beside)
    return shutil.which(name)


def _passes(argv: list[str], cwd: Path) -> bool:
    environment = {"PATH": os.environ.get("PATH", os.defpath), "HOME": str(cwd), "LANG": "C.UTF-8"}
    try:
        done = subprocess.run(argv, cwd=cwd, env=environment, capture_output=True, timeout=TIMEOUT_S, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0


def _dashboard_parses(promtool: str, where: Path) -> bool:
    """Each panel's query as a recording rule: promtool then parses it."""
    import yaml

    try:
        queries = grafana.expressions((where / "grafana-dashboard.json").read_text(encoding="utf-8"))
    except (OSError, ValueError, KeyError):
        return False
    rules = [{"record": f"panel:{n}", "expr": q.replace("$__rate_interval", "5m")} for n, q in enumerate(queries)]
    with tempfile.TemporaryDirectory(prefix="swarm-panels-") as scratch:
        (Path(scratch) / "panels.yml").write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": rules}]}))
        return _passes([promtool, "check", "rules", "panels.yml"], Path(scratch))
