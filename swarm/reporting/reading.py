"""report.json back to a Report, so that a finished run can be rendered again."""

from __future__ import annotations

import json
import math
from typing import Any

from swarm.core.alerts import AlertDraft
from swarm.core.codec import decode
from swarm.core.efficiency import ContextEfficiency, TimeEfficiency
from swarm.core.errors import UsageError
from swarm.core.findings import Finding
from swarm.core.metrics import Comparison, Ratio, Summary
from swarm.core.patches import Accepted, Effect, FileChange, GateResult, JudgedPatch, Patch, Rejected, Verdict
from swarm.core.report import (
    AgentInfo,
    Capacity,
    ErrorRates,
    MonitoringFiles,
    PhaseTime,
    ProfileLine,
    ReadinessLine,
    Report,
    ResourceUse,
    RunInfo,
    Score,
    Side,
    TargetOutcome,
    ValidatedArea,
    Verification,
    Waterfall,
)
from swarm.core.sweep import Sweep


def read_report(text: str) -> Report:
    """The report of a report.json. Raises UsageError where it is none, or of a newer schema."""
    try:
        data = json.loads(text)
    except ValueError as error:
        raise UsageError(f"report.json is no JSON ({error}); was the run cut off? `swarm resume` goes on") from None
    schema = data.get("schema") if isinstance(data, dict) else None
    if schema != 1:
        raise UsageError(
            f"report.json has schema {schema!r}, this swarm reads 1; render it with the swarm that wrote it"
        )
    try:
        return _report(data)
    except (ValueError, KeyError, TypeError, IndexError) as error:
        raise UsageError(f"report.json does not hold a whole report: {error}") from None


def _report(data: dict[str, Any]) -> Report:
    texts: list[str] = data.get("texts", [])
    waterfall = data.get("waterfall", {})
    efficiency, resources, scores = data["efficiency"], data["resources"], data["scores"]
    return Report(
        run=decode(RunInfo, data["run"]),
        agents=tuple(decode(AgentInfo, item) for item in data["agents"]),
        findings=tuple(decode(Finding, item) for item in data["findings"]),
        patches=tuple(_patch(item, texts) for item in data["patches"]),
        benchmarks=tuple(_benchmark(item) for item in data["benchmarks"]),
        capacity=decode(Capacity, data["capacity"]) if data["capacity"] else None,
        errors=decode(ErrorRates, data["errors"]),
        resources_before=decode(ResourceUse, resources["before"]),
        resources_after=decode(ResourceUse, resources["after"]),
        targets=tuple(decode(TargetOutcome, item) for item in data["targets"]),
        security_score=decode(Score, scores["security"]),
        compliance_score=decode(Score, scores["compliance"]),
        context=decode(ContextEfficiency, efficiency["context"]),
        time=decode(TimeEfficiency, efficiency["time"]),
        verification=decode(Verification, data["verification"]),
        monitoring=decode(MonitoringFiles, data["monitoring"]),
        waterfall_before=decode(Waterfall, waterfall["before"]) if waterfall.get("before") else None,
        waterfall_after=decode(Waterfall, waterfall["after"]) if waterfall.get("after") else None,
        profile_before=tuple(decode(ProfileLine, item) for item in data.get("profile", [])),
        sweep=decode(Sweep, data["sweep"]) if data.get("sweep") else None,
        phases=tuple(decode(PhaseTime, item) for item in data.get("phases", [])),
        unparsed_files=tuple(data.get("unparsed_files", [])),
        load_note=data.get("load_note", ""),
        alerts=tuple(decode(AlertDraft, item) for item in data.get("alerts", [])),
        side_before=decode(Side, data.get("sides", {}).get("before", {})),
        side_after=decode(Side, data.get("sides", {}).get("after", {})),
        readiness=tuple(decode(ReadinessLine, item) for item in data.get("readiness", [])),
        areas=tuple(decode(ValidatedArea, item) for item in data.get("areas", [])),
    )


def _patch(data: dict[str, Any], texts: list[str]) -> JudgedPatch:
    def text(place: int | None) -> str | None:
        return None if place is None else texts[place]

    changes = tuple(FileChange(c["path"], text(c["before"]), text(c["after"])) for c in data.get("changes", []))
    patch = Patch(
        data["id"], data["title"], data["rule"], data.get("category", ""), tuple(data["findings"]),
        data["author"], data.get("rationale", ""), changes, data.get("model", ""),
    )  # fmt: skip
    gates = tuple(decode(GateResult, item) for item in data["gates"])
    effect = decode(Effect, data["effect"]) if data["effect"] else None
    verdict: Verdict = Accepted(gates, effect)
    if data["verdict"] == "rejected":
        verdict = Rejected(data["rejected_by"], data["reason"], gates, effect)
    return JudgedPatch(patch, verdict)


def _benchmark(data: dict[str, Any]) -> Comparison:
    ratio = data["ratio"]
    return Comparison(
        name=data["name"],
        unit=data["unit"],
        before=decode(Summary, data["before"]) if data["before"] else None,
        after=decode(Summary, data["after"]) if data["after"] else None,
        ratio_p50=_ratio(ratio["p50"], ratio.get("p50_ci95")),
        ratio_p95=_ratio(ratio["p95"], ratio["ci95"]),
        before_samples=tuple(float(v) for v in data.get("before_samples", []) if v is not None),
        after_samples=tuple(float(v) for v in data.get("after_samples", []) if v is not None),
        note=data.get("note", ""),
    )


def _ratio(value: float | None, ci95: list[float | None] | None) -> Ratio | None:
    if value is None:
        return None
    low, high = ci95 or (None, None)
    return Ratio(float(value), (math.nan if low is None else float(low), math.nan if high is None else float(high)))
