"""Charts of a comparison: ECDFs on a log axis, percentiles with intervals, ratios with intervals."""

from __future__ import annotations

from collections.abc import Sequence

from swarm.core.metrics import Comparison, Ratio
from swarm.reporting.numbers import interval, plain, quantity
from swarm.reporting.page.svg import LogScale, Safe, figure, line, log_scale, tag, text
from swarm.reporting.quantiles import band, ecdf, finite, percentile

WIDTH = 960.0
LEFT, RIGHT = 64.0, 930.0


def curves(item: Comparison) -> Safe | None:
    """Before and after as ECDFs with their 95 % bands; None where no side has samples."""
    sides = [(n, finite(s)) for n, s in (("before", item.before_samples), ("after", item.after_samples))]
    sides = [(name, samples) for name, samples in sides if samples]
    if not sides:
        return None
    scale = log_scale([v for _, s in sides for v in (s[0], s[-1])], LEFT, RIGHT)
    top, bottom = 44.0, 320.0
    parts = _frame(scale, top, bottom, item.unit)
    for name, samples in sides:
        parts += _curve(name, samples, scale, top, bottom)
    parts += _labels(sides, scale, top, bottom, item.unit)
    label = f"Cumulative distribution of {item.name} before and after, {item.unit}, logarithmic axis"
    return figure(WIDTH, 364, label, parts)


def _frame(scale: LogScale, top: float, bottom: float, unit: str) -> list[Safe]:
    parts = []
    for share in (0.0, 0.25, 0.5, 0.75, 0.95, 1.0):
        y = bottom - share * (bottom - top)
        parts.append(line(LEFT, y, RIGHT, y, "grid mark" if share == 0.95 else "grid"))
        parts.append(text(LEFT - 8, y + 4, f"{share * 100:.0f} %", "tick", "end"))
    for value in scale.ticks():
        x = scale(value)
        parts.append(line(x, bottom, x, bottom + 5, "axis"))
        parts.append(text(x, bottom + 20, plain(value), "tick", "middle"))
    parts.append(line(LEFT, bottom, RIGHT, bottom, "axis"))
    parts.append(text(RIGHT, bottom + 38, f"{unit}, log scale", "tick", "end"))
    return parts


def _curve(name: str, samples: Sequence[float], scale: LogScale, top: float, bottom: float) -> list[Safe]:
    def y(share: float) -> float:
        return round(bottom - min(1.0, max(0.0, share)) * (bottom - top), 1)

    points = [(round(scale(v), 1), share) for v, share in ecdf(samples)]
    half = band(len(samples))
    upper = [f"{x},{y(share + half)}" for x, share in points]
    lower = [f"{x},{y(share - half)}" for x, share in reversed(points)]
    path, height = [f"M{points[0][0]},{y(0)}"], y(0)
    for x, share in points:
        path.append(f"L{x},{height}L{x},{y(share)}")
        height = y(share)
    path.append(f"L{RIGHT},{height}")
    shade = tag("polygon", points=" ".join(upper + lower), class_=f"band {name}")
    return [shade, tag("path", d="".join(path), class_=f"curve {name}")]


def _labels(
    sides: Sequence[tuple[str, Sequence[float]]], scale: LogScale, top: float, bottom: float, unit: str
) -> list[Safe]:
    """A legend in words above the curves, and each side's p95 as a dot with its foot on the axis."""
    parts = []
    y95 = bottom - 0.95 * (bottom - top)
    for place, (name, samples) in enumerate(sides):
        p95 = percentile(samples, 0.95).value
        x, x_name = round(scale(p95), 1), LEFT + 8 + place * 230
        parts.append(line(x, y95, x, bottom, f"foot {name}"))
        parts.append(tag("circle", cx=x, cy=round(y95, 1), r=5, class_=f"dot {name}"))
        parts.append(tag("circle", cx=x_name, cy=14, r=6, class_=f"dot {name}"))
        parts.append(text(x_name + 13, 18.5, f"{name}: p95 {quantity(p95, unit)}", f"name {name}"))
    return parts


def percentiles(item: Comparison) -> Safe | None:
    """p50, p90, p95, p99 of both sides with the 95 % intervals of their order statistics."""
    sides = [(n, finite(s)) for n, s in (("before", item.before_samples), ("after", item.after_samples))]
    sides = [(name, samples) for name, samples in sides if samples]
    if not sides:
        return None
    rows = [(q, [(name, percentile(samples, q)) for name, samples in sides]) for q in (0.5, 0.9, 0.95, 0.99)]
    values = [v for _, marks in rows for _, p in marks for v in (p.low, p.high)]
    scale = log_scale(values, LEFT, RIGHT - 120)
    parts, y = [], 26.0
    for q, marks in rows:
        parts.append(text(LEFT - 14, y + 4, f"p{q * 100:.0f}", "row", "end"))
        parts.append(line(LEFT, y, RIGHT - 120, y, "grid"))
        for name, p in marks:
            x = scale(p.value)
            parts.append(line(scale(p.low), y, scale(p.high), y, f"whisker {name}"))
            parts.append(tag("circle", cx=round(x, 1), cy=y, r=6, class_=f"dot {name}"))
            parts.append(text(x, y - 11, plain(p.value), f"figure {name}", "middle"))
        if len(marks) == 2:
            words = f"× {marks[1][1].value / marks[0][1].value:.2f}"
            parts.append(text(RIGHT, y + 4, words, "row", "end"))
        y += 44
    parts += [text(scale(value), y, plain(value), "tick", "middle") for value in scale.ticks()]
    parts.append(text(RIGHT, y, f"{item.unit}, log scale", "tick", "end"))
    return figure(WIDTH, y + 10, f"Percentiles of {item.name} with 95 % intervals, {item.unit}", parts)


def ratios(items: Sequence[Comparison]) -> Safe | None:
    """after / before of each benchmark with its interval, against the line of no change."""
    rows: list[tuple[str, Ratio]] = []
    for item in items:
        named = (("p95", item.ratio_p95), ("p50", item.ratio_p50))
        rows += [(f"{item.name}, {statistic}", ratio) for statistic, ratio in named if ratio is not None]
    if not rows:
        return None
    left, right, top = 290.0, 800.0, 30.0
    high = max(1.25, *(min(3.0, ratio.ci95[1]) * 1.05 for _, ratio in rows))
    one = left + (right - left) / high
    bottom = top + len(rows) * 32
    parts = [line(one, top - 8, one, bottom, "axis dashed"), text(one, top - 14, "no change", "tick", "middle"),
             text(left, top - 14, "← less is better", "tick")]  # fmt: skip
    for place, (name, ratio) in enumerate(rows):
        y = top + 14 + place * 32
        x, low, up = (left + min(v, high) / high * (right - left) for v in (ratio.value, *ratio.ci95))
        tone = ratio.change.replace(" ", "-")
        parts += [text(left - 12, y + 4, name[:38], "row", "end"), line(left, y, right, y, "grid"),
                  line(low, y, up, y, f"whisker {tone}"),
                  tag("circle", cx=round(x, 1), cy=y, r=6, class_=f"dot {tone}"),
                  text(WIDTH, y + 4, f"{ratio.value:.2f}  ({interval(*ratio.ci95)})", "row", "end")]  # fmt: skip
    for step in (0.0, 0.5, 1.0, 1.5, 2.0, 2.5, 3.0):
        if step <= high:
            parts.append(text(left + step / high * (right - left), bottom + 14, f"{step:g}", "tick", "middle"))
    return figure(WIDTH, bottom + 22, "Ratio after / before with 95 % intervals", parts)
