"""A Grafana dashboard over the same metric: traffic, errors, latency, budgets, refused senders."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from swarm.core.report import Report
from swarm.reporting.escape import one_line
from swarm.reporting.monitoring.sli import error_ratio, slow_ratio
from swarm.reporting.monitoring.thresholds import METRIC, AlertThresholds

FILENAME = "monitoring/grafana-dashboard.json"
_SOURCE = {"type": "prometheus", "uid": "${datasource}"}


def grafana_dashboard(report: Report, alerts: AlertThresholds) -> str:
    """The dashboard's JSON model; its data source is chosen on import."""
    latency_s, status, route = alerts.latency_ms / 1000, alerts.status_label, alerts.route_label
    slow = f"max({slow_ratio('5m', alerts)})"
    burn = [(f"({error_ratio(w, alerts)}) / {alerts.error_rate:g}", w) for w in ("1h", "6h")]
    by_status = f"sum by ({status}) (rate({METRIC}_count[5m]))"
    panels = [
        _stat("Requests", [(f"sum(rate({METRIC}_count[5m]))", "")], "reqps"),
        _stat("Errors (5xx)", [(f"max({error_ratio('5m', alerts)})", "")], "percentunit", alerts.error_rate),
        _stat("p95", [(_quantile(0.95), "")], "s", latency_s),
        _stat(f"Over {alerts.bucket_s:g} s", [(slow, "")], "percentunit", alerts.slow_share),
        _graph("Latency", [(_quantile(q), f"p{q * 100:g}") for q in (0.5, 0.95, 0.99)], "s", latency_s),
        _graph("Requests by status", [(by_status, f"{{{{{status}}}}}")], "reqps"),
        _graph("p95 by route", [(_quantile(0.95, route), f"{{{{{route}}}}}")], "s", latency_s),
        _graph("Error budget burn", burn, "none", 1),
        _graph("Refused senders", [(f'sum(rate({METRIC}_count{{{status}=~"401|403"}}[5m]))', "401 and 403")], "reqps",
               alerts.refused_per_s),
        _heatmap("Distribution of latency", f"sum by (le) (increase({METRIC}_bucket[$__rate_interval]))"),
    ]  # fmt: skip
    return json.dumps(_dashboard(report, _placed(panels)), indent=2, ensure_ascii=False) + "\n"


def expressions(dashboard: str) -> tuple[str, ...]:
    """Every panel's query, for a check without a Grafana."""
    panels = json.loads(dashboard)["panels"]
    return tuple(target["expr"] for panel in panels for target in panel["targets"])


def _quantile(q: float, label: str = "") -> str:
    by = f"{label}, le" if label else "le"
    return f"histogram_quantile({q:g}, sum by ({by}) (rate({METRIC}_bucket[5m])))"


def _panel(kind: str, title: str, queries: list[tuple[str, str]], unit: str, limit: float | None) -> dict[str, Any]:
    steps: list[dict[str, Any]] = [{"color": "green", "value": None}]
    if limit is not None:
        steps.append({"color": "red", "value": round(limit, 6)})
    targets = [
        {"refId": chr(ord("A") + n), "expr": expr, "legendFormat": legend or "__auto", "datasource": _SOURCE}
        for n, (expr, legend) in enumerate(queries)
    ]
    defaults = {"unit": unit, "thresholds": {"mode": "absolute", "steps": steps}}
    return {"type": kind, "title": title, "datasource": _SOURCE, "targets": targets,
            "fieldConfig": {"defaults": defaults, "overrides": []}}  # fmt: skip


def _stat(title: str, queries: list[tuple[str, str]], unit: str, limit: float | None = None) -> dict[str, Any]:
    panel = _panel("stat", title, queries, unit, limit)
    options = {
        "colorMode": "value",
        "graphMode": "area",
        "reduceOptions": {"calcs": ["lastNotNull"], "values": False},
    }
    return {**panel, "options": options}


def _graph(title: str, queries: list[tuple[str, str]], unit: str, limit: float | None = None) -> dict[str, Any]:
    panel = _panel("timeseries", title, queries, unit, limit)
    style = "dashed" if limit is not None else "off"
    panel["fieldConfig"]["defaults"]["custom"] = {"fillOpacity": 8, "thresholdsStyle": {"mode": style}}
    return {
        **panel,
        "options": {"tooltip": {"mode": "multi"}, "legend": {"displayMode": "list", "placement": "bottom"}},
    }


def _heatmap(title: str, query: str) -> dict[str, Any]:
    panel = _panel("heatmap", title, [(query, "{{le}}")], "s", None)
    panel["targets"][0]["format"] = "heatmap"
    return {**panel, "options": {"calculate": False, "yAxis": {"unit": "s"}}}


def _placed(panels: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Four small panels in the first row, then two in each."""
    for number, panel in enumerate(panels):
        if number < 4:
            place = {"h": 4, "w": 6, "x": 6 * number, "y": 0}
        else:
            row, column = divmod(number - 4, 2)
            place = {"h": 8, "w": 12, "x": 12 * column, "y": 4 + 8 * row}
        panel.update(id=number + 1, gridPos=place)
    return panels


def _dashboard(report: Report, panels: list[dict[str, Any]]) -> dict[str, Any]:
    target = one_line(report.run.target, 80)
    source = {"name": "datasource", "type": "datasource", "query": "prometheus", "label": "Prometheus"}
    return {
        "title": f"Webhooks: {target}",
        "uid": "swarm-" + hashlib.sha256(target.encode("utf-8", "replace")).hexdigest()[:12],
        "description": f"Written by swarm in run {one_line(report.run.id)}; not opened in Grafana there.",
        "tags": ["swarm", "webhooks"],
        "schemaVersion": 39,
        "timezone": "browser",
        "refresh": "30s",
        "time": {"from": "now-6h", "to": "now"},
        "templating": {"list": [source]},
        "panels": panels,
    }
