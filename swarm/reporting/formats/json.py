"""report.json: the contract's schema 1, with what the other formats need to be rendered again."""

from __future__ import annotations

import json
import re
from typing import Any

from swarm.core.codec import encode, number
from swarm.core.metrics import Comparison, Ratio
from swarm.core.patches import JudgedPatch, Rejected
from swarm.core.report import Report

NAME = "json"
FILENAME = "report.json"
SCHEMA = 1

# A newline that is not escaped cannot stand inside a JSON string, so this never touches text.
_NUMBERS = re.compile(r"\[\n\s*((?:[-+.\deE]+|null)(?:,\n\s*(?:[-+.\deE]+|null))*)\n\s*\]")


def render(report: Report) -> str:
    """The document as JSON text; lists of numbers stay on one line."""
    text = json.dumps(to_document(report), indent=2, ensure_ascii=False, allow_nan=False)
    text = text.encode("utf-8", "replace").decode()  # half characters, as in names of files that are no UTF-8
    return _NUMBERS.sub(lambda m: "[" + re.sub(r",\s+", ", ", m[1]) + "]", text) + "\n"


def to_document(report: Report) -> dict[str, Any]:
    """The report as plain JSON values."""
    texts = _Texts()
    return {
        "schema": SCHEMA,
        "run": encode(report.run),
        "agents": encode(report.agents),
        "findings": [{"id": f.id, **encode(f)} for f in report.findings],
        "patches": [_patch(p, texts) for p in report.patches],
        "benchmarks": [_benchmark(b) for b in report.benchmarks],
        "capacity": encode(report.capacity),
        "errors": encode(report.errors),
        "resources": {"before": encode(report.resources_before), "after": encode(report.resources_after)},
        "sides": {"before": encode(report.side_before), "after": encode(report.side_after)},
        "readiness": encode(report.readiness),
        "targets": encode(report.targets),
        "areas": encode(report.areas),
        "scores": {"security": encode(report.security_score), "compliance": encode(report.compliance_score)},
        "efficiency": {"context": encode(report.context), "time": encode(report.time)},
        "verification": encode(report.verification),
        "monitoring": encode(report.monitoring),
        "alerts": encode(report.alerts),
        "waterfall": {"before": encode(report.waterfall_before), "after": encode(report.waterfall_after)},
        "profile": encode(report.profile_before),
        "sweep": encode(report.sweep),
        "phases": encode(report.phases),
        "unparsed_files": list(report.unparsed_files),
        "load_note": report.load_note,
        "texts": texts.items,
    }


class _Texts:
    """Whole files of the patches, each kept once: patches of a series share their before and after."""

    def __init__(self) -> None:
        self.items: list[str] = []
        self._places: dict[str, int] = {}

    def place(self, text: str | None) -> int | None:
        if text is None:
            return None
        if text not in self._places:
            self._places[text] = len(self.items)
            self.items.append(text)
        return self._places[text]


def patch_path(judged: JudgedPatch) -> str:
    """Where the patch lies in the run's folder."""
    folder = "rejected" if isinstance(judged.verdict, Rejected) else "patches"
    return f"{folder}/{judged.patch.id}.patch"


def _patch(judged: JudgedPatch, texts: _Texts) -> dict[str, Any]:
    patch, verdict = judged.patch, judged.verdict
    failed = isinstance(verdict, Rejected)
    return {
        "id": patch.id,
        "file": patch_path(judged),
        "title": patch.title,
        "rule": patch.rule,
        "category": patch.category,
        "findings": list(patch.findings),
        "author": patch.author,
        "model": patch.model,
        "verdict": "rejected" if failed else "accepted",
        "reason": verdict.reason if isinstance(verdict, Rejected) else "",
        "rejected_by": verdict.gate if isinstance(verdict, Rejected) else None,
        "files": list(patch.files),
        "gates": encode(verdict.gates),
        "effect": encode(verdict.effect),
        "rationale": patch.rationale,
        "changes": [
            {"path": c.path, "before": texts.place(c.before), "after": texts.place(c.after)} for c in patch.changes
        ],
    }


def _benchmark(item: Comparison) -> dict[str, Any]:
    return {
        "name": item.name,
        "unit": item.unit,
        "before": encode(item.before),
        "after": encode(item.after),
        "ratio": _ratio(item.ratio_p50, item.ratio_p95),
        "note": item.note,
        "before_samples": encode(item.before_samples),
        "after_samples": encode(item.after_samples),
    }


def _ratio(p50: Ratio | None, p95: Ratio | None) -> dict[str, Any]:
    """`ci95` belongs to the p95, as the contract has it; the p50's own stands beside it."""
    return {
        "p50": number(p50.value) if p50 else None,
        "p95": number(p95.value) if p95 else None,
        "ci95": encode(p95.ci95) if p95 else None,
        "p50_ci95": encode(p50.ci95) if p50 else None,
    }
