"""benchmarks.json: the measurements alone, samples included, for other tools to chart."""

from __future__ import annotations

import json

from swarm.core.report import Report
from swarm.reporting.formats.json import to_document

NAME = "benchmarks"
FILENAME = "benchmarks.json"


def render(report: Report) -> str:
    """Benchmarks, capacity, errors, resources and targets as compact JSON."""
    document = to_document(report)
    keys = ("schema", "benchmarks", "capacity", "errors", "resources", "sides", "targets", "load_note")
    chosen = {"run": report.run.id, **{key: document[key] for key in keys}}
    text = json.dumps(chosen, ensure_ascii=False, allow_nan=False)
    return text.encode("utf-8", "replace").decode() + "\n"
