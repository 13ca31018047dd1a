"""Tool: which waits a request spends its time in, one after another or together, and from which line."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from swarm.core.report import Waterfall, WaterfallSpan
from swarm.tools.tool import Answer, Arguments, Tool, as_json

if TYPE_CHECKING:
    from swarm.tools.workbench import Workbench

_MOST_SPANS = 40


class MeasureWaterfall(Tool):
    """Traces a few requests through the unpatched service."""

    name = "measure_waterfall"
    group = "Performance-Analysis"
    description = (
        "Traces a few requests through the running service: every outgoing call, query and sleep with its "
        "start, duration and line, for the typical request; and what each known finding costs a request."
    )
    playbook_stage = 2

    async def run(self, arguments: Arguments, bench: Workbench) -> Answer:
        """The typical request's waits; times in milliseconds."""
        from swarm.bench.waterfall import typical

        del arguments
        waterfalls = await bench.waterfall()
        middle = typical(waterfalls)
        measured = [finding for finding in bench.findings.all() if finding.measured_ms is not None]
        answer: dict[str, Any] = {
            "requests": len(waterfalls),
            "typical": None if middle is None else _typical(middle),
            "costs_by_finding": [{"id": f.id, "measured_ms": f.measured_ms} for f in measured],
        }
        if middle is None:
            answer["note"] = "no request was traced: perhaps a framework that the tracer does not know"
        return Answer(as_json(answer))


def _typical(waterfall: Waterfall) -> dict[str, Any]:
    """The longest waits, in their order: a hundred quick statements must not hide the call that takes the time."""
    longest = sorted(waterfall.spans, key=lambda span: -span.duration_ms)[:_MOST_SPANS]
    return {
        "request": waterfall.request,
        "status": waterfall.status,
        "duration_ms": round(waterfall.duration_ms, 1),
        "waits": [_wait(span) for span in waterfall.spans if span in longest],
        "left_out": max(0, len(waterfall.spans) - _MOST_SPANS),
    }


def _wait(span: WaterfallSpan) -> dict[str, Any]:
    wait: dict[str, Any] = {
        "what": f"{span.kind} {span.name}"[:120],
        "at": f"{span.file}:{span.line}",
        "start_ms": round(span.start_ms, 1),
        "ms": round(span.duration_ms, 1),
    }
    if span.count > 1:
        wait["times"] = span.count
    if span.blocks_loop:
        wait["blocks_the_event_loop"] = True
    return wait
