"""The concurrency sweep as SVG: answers per second and the time of one, by how many requests came at once."""

from __future__ import annotations

from swarm.core.sweep import Sweep
from swarm.reporting.numbers import plain, quantity
from swarm.reporting.page.svg import Safe, even_ticks, figure, line, tag, text

WIDTH, HEIGHT = 960.0, 250.0
LEFT, RIGHT, TOP, BOTTOM = 70.0, 930.0, 34.0, 210.0
BAR = 46.0


def chart(sweep: Sweep) -> Safe | None:
    """A bar a level, the knee marked; None where there are no levels."""
    if not sweep.levels:
        return None
    highest = max(max(level.rps for level in sweep.levels), 0.001)
    parts: list[Safe] = []
    for value in even_ticks(highest, 4):
        y = BOTTOM - value / highest * (BOTTOM - TOP)
        parts += [line(LEFT, y, RIGHT, y, "grid"), text(LEFT - 8, y + 4, plain(value), "tick", "end")]
    step = (RIGHT - LEFT) / len(sweep.levels)
    for place, level in enumerate(sweep.levels):
        middle = LEFT + step * (place + 0.5)
        height = max(2.0, level.rps / highest * (BOTTOM - TOP))
        hint = f"{level.at_once} at once: {plain(level.rps)}/s, mean {quantity(level.mean_ms, 'ms')}"
        parts.append(
            tag("rect", tag("title", hint), x=round(middle - BAR / 2, 1), y=round(BOTTOM - height, 1), width=BAR,
                height=round(height, 1), rx=3, class_="span k-http" if level.at_once != sweep.knee else "span k-sql")
        )  # fmt: skip
        parts.append(text(middle, BOTTOM - height - 6, quantity(level.mean_ms, "ms"), "tick", "middle"))
        words = f"{level.at_once}" + (" · the knee" if level.at_once == sweep.knee else "")
        parts.append(text(middle, BOTTOM + 18, words, "tick", "middle"))
    parts.append(text(LEFT, TOP - 16, "answers per second, and the mean time of one above each bar", "tick"))
    parts.append(text(RIGHT, BOTTOM + 36, "requests at once", "tick", "end"))
    return figure(WIDTH, HEIGHT, f"Concurrency sweep: {sweep.words}", parts)
