"""The agents' timeline as SVG: who worked when, in which tools, under which phase."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from swarm.core.report import AgentInfo, PhaseTime
from swarm.reporting.escape import one_line
from swarm.reporting.numbers import plain, seconds
from swarm.reporting.page.svg import Safe, even_ticks, figure, line, tag, text

WIDTH = 960.0
GUTTER, RIGHT = 230.0, 940.0
ROW = 34.0
MOST_TOOL_SPANS = 120


def chart(agents: Sequence[AgentInfo], phases: Sequence[PhaseTime]) -> Safe | None:
    """One row an agent; None where nobody worked."""
    if not agents:
        return None
    end_s = max(0.001, sum(p.duration_s for p in phases), *(a.finished_s for a in agents))

    def x(moment_s: float) -> float:
        return GUTTER + max(0.0, min(moment_s, end_s)) / end_s * (RIGHT - GUTTER)

    top = 64.0 if phases else 34.0
    bottom = top + ROW * len(agents)
    parts: list[Safe] = []
    for value in even_ticks(end_s):
        parts.append(line(x(value), top - 4, x(value), bottom, "grid"))
        parts.append(text(x(value), bottom + 16, f"{plain(value)} s", "tick", "middle"))
    start = 0.0
    for place, phase in enumerate(phases):
        width = x(start + phase.duration_s) - x(start)
        box = tag("rect", tag("title", f"{phase.phase}: {seconds(phase.duration_s)}"), x=round(x(start), 1), y=18,
                  width=round(max(1.0, width), 1), height=24, class_=f"phase p{place % 2}")  # fmt: skip
        parts.append(box)
        if width > 7 * len(phase.phase) + 6:
            parts.append(text(x(start) + width / 2, 34, phase.phase, "tick", "middle"))
        start += phase.duration_s
    if phases:
        parts.append(text(GUTTER - 12, 34, "phase", "row muted", "end"))
    for place, agent in enumerate(agents):
        parts += _row(top + ROW * place, agent, x(agent.started_s), x(agent.finished_s), x)
    return figure(WIDTH, bottom + 24, f"Timeline of {len(agents)} agents over {seconds(end_s)}", parts)


def _row(y: float, agent: AgentInfo, left: float, right: float, x: Callable[[float], float]) -> list[Safe]:
    words = f"{agent.name}, {agent.status}: {seconds(agent.finished_s - agent.started_s)}, {agent.findings} findings"
    parts = [
        text(GUTTER - 12, y + 21, one_line(agent.name, 32), "row", "end"),
        tag("rect", tag("title", words), x=round(left, 1), y=round(y + 6, 1), width=round(max(2.0, right - left), 1),
            height=ROW - 12, rx=4, class_=f"agent {agent.role} {agent.status}"),
    ]  # fmt: skip
    for name, start_s, finish_s in agent.tool_spans[:MOST_TOOL_SPANS]:
        width = max(1.5, x(finish_s) - x(start_s))
        hint = f"{name}: {seconds(finish_s - start_s)}"
        left, top = round(x(start_s), 1), round(y + 10, 1)
        box = tag(
            "rect", tag("title", hint), x=left, y=top, width=round(width, 1), height=ROW - 20, rx=2, class_="tool"
        )
        parts.append(box)
    return parts
