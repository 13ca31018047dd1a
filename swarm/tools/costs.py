"""What the lines of a finding cost per request, by the waterfalls that were measured. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from swarm.core.findings import Finding, Severity, confidence_rank
from swarm.core.report import Waterfall, WaterfallSpan

# Below this a cost says nothing: it is within what one wait varies by.
NOTABLE_MS = 1.0
# From here on a cost on every request outweighs what the rule thought of it without a measurement.
WEIGHTY_MS: dict[Severity, tuple[float, Severity]] = {"low": (10.0, "medium"), "medium": (30.0, "high")}


def cost_ms(finding: Finding, waterfalls: Sequence[Waterfall]) -> float | None:
    """Milliseconds per request that were spent in waits at or below the finding's lines.

    Overlapping waits count once. None where nothing was measured at the place.
    """
    if not finding.file or not finding.line or not waterfalls:
        return None
    total, seen = 0.0, False
    for waterfall in waterfalls:
        inside = [(s.start_ms, s.start_ms + s.duration_ms) for s in waterfall.spans if _within(finding, s)]
        seen = seen or bool(inside)
        total += _union_ms(inside)
    return total / len(waterfalls) if seen else None


def with_cost(finding: Finding, waterfalls: Sequence[Waterfall]) -> Finding:
    """The finding with its measured cost.

    Where that is notable, its confidence is at least high; where it is weighty, its severity goes up by one.
    """
    measured = cost_ms(finding, waterfalls)
    if measured is None:
        return finding
    notable = measured >= NOTABLE_MS and confidence_rank(finding.confidence) > confidence_rank("high")
    least_ms, raised = WEIGHTY_MS.get(finding.severity, (float("inf"), finding.severity))
    first_time = finding.measured_ms is None  # a finding that is weighed again stays where it is
    return replace(
        finding,
        measured_ms=round(measured, 2),
        confidence="high" if notable else finding.confidence,
        severity=raised if first_time and measured >= least_ms else finding.severity,
    )


def _within(finding: Finding, span: WaterfallSpan) -> bool:
    last = max(finding.line, finding.end_line)
    places = [(span.file, span.line), *(_place(step) for step in span.path)]
    return any(file == finding.file and finding.line <= line <= last for file, line in places)


def _place(step: str) -> tuple[str, int]:
    """`file:line function` as file and line."""
    file, _, line = step.split(" ", 1)[0].rpartition(":")
    return file, int(line) if line.isdigit() else 0


def _union_ms(intervals: list[tuple[float, float]]) -> float:
    total, reached = 0.0, float("-inf")
    for start, end in sorted(intervals):
        total += max(0.0, end - max(start, reached))
        reached = max(reached, end)
    return total
