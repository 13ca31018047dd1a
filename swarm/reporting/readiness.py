"""The readiness section's part on monitoring: which files were written and validated, what the service exports."""

from __future__ import annotations

from collections.abc import Iterator

from swarm.core.report import ReadinessLine, Report

GROUP = "Monitoring"


def monitoring_lines(report: Report) -> tuple[ReadinessLine, ...]:
    """Nothing where the run measured no patched tree."""
    return tuple(_lines(report)) if report.readiness else ()


def _lines(report: Report) -> Iterator[ReadinessLine]:
    files, by = report.monitoring.files, report.monitoring.validated_by
    exports = set(report.side_after.exports)
    yield _file(
        "Performance dashboard", "grafana-dashboard.json", files, [one for one in by if "dashboard" in one],
        "promtool reads its expressions",
    )  # fmt: skip
    rules = [one for one in by if "rules" in one]
    yield _file(
        "Alerts on performance and errors", "prometheus-rules.yml", files, rules, "promtool checks and tests it"
    )
    amtool = [one for one in by if "amtool" in one]
    yield _file("Alerts find their receivers", "alertmanager.yml", files, amtool, "amtool checks it")
    yield _exported("Cache hit rates monitored", "cache_requests_total", exports)
    yield _exported("Resource usage tracked", "process_resident_memory_bytes", exports)
    yield _exported("Error rates monitored", "http_server_request_duration_seconds_count", exports)
    yield _exported("Operations timed", "operation_duration_seconds_count", exports)


def _file(name: str, file: str, files: tuple[str, ...], by: list[str], check: str) -> ReadinessLine:
    written = next((one for one in files if one.endswith(file)), None)
    if written is None:
        return ReadinessLine(name, False, f"{file} was not written", GROUP)
    if not by:
        return ReadinessLine(name, None, f"{written} is written; not validated on this machine ({check})", GROUP)
    return ReadinessLine(name, True, f"{written}, validated by {', '.join(by)}", GROUP)


def _exported(name: str, metric: str, exports: set[str]) -> ReadinessLine:
    if not exports:
        return ReadinessLine(name, False, "the patched service serves no metrics", GROUP)
    if metric not in exports:
        return ReadinessLine(name, False, f"the patched service's metrics lack {metric}", GROUP)
    return ReadinessLine(name, True, f"{metric} is among the patched service's metrics", GROUP)
