"""Markup built from parts that escape themselves, and the scales that charts share."""

from __future__ import annotations

import html
import math
from collections.abc import Sequence
from dataclasses import dataclass

from swarm.reporting.escape import one_line


class Safe(str):
    """Markup that is already escaped; jinja2 leaves it as it is."""

    __slots__ = ()

    def __html__(self) -> Safe:
        return self


def tag(name: str, *children: str, **attributes: str | float | None) -> Safe:
    """One element. Plain strings are escaped, Safe ones are not; `class_` is class, `stroke_width` stroke-width."""
    parts = [name]
    for key, value in attributes.items():
        if value is not None:
            text = f"{value:.6g}" if isinstance(value, float) else str(value)
            parts.append(f'{key.rstrip("_").replace("_", "-")}="{html.escape(one_line(text))}"')
    inside = "".join(c if isinstance(c, Safe) else html.escape(one_line(c)) for c in children)
    return Safe(f"<{' '.join(parts)}>{inside}</{name}>" if inside else f"<{' '.join(parts)}/>")


def join(parts: Sequence[Safe]) -> Safe:
    """Several pieces of markup as one."""
    return Safe("".join(parts))


def figure(width: float, height: float, label: str, parts: Sequence[Safe]) -> Safe:
    """An <svg> that scales with the page and tells a screen reader what it shows."""
    inside = (tag("title", label), *parts)
    box = f"0 0 {width:g} {height:g}"
    return tag("svg", *inside, viewBox=box, role="img", aria_label=label, xmlns="http://www.w3.org/2000/svg")


def text(x: float, y: float, words: str, class_: str = "", anchor: str = "start") -> Safe:
    """A label."""
    return tag("text", words, x=round(x, 1), y=round(y, 1), class_=class_ or None, text_anchor=anchor)


def line(x1: float, y1: float, x2: float, y2: float, class_: str) -> Safe:
    """A straight line."""
    return tag("line", x1=round(x1, 1), y1=round(y1, 1), x2=round(x2, 1), y2=round(y2, 1), class_=class_)


@dataclass(frozen=True, slots=True)
class LogScale:
    """Positive values onto pixels."""

    low: float
    high: float
    left: float
    right: float

    def __call__(self, value: float) -> float:
        share = math.log(max(value, 1e-9) / self.low) / math.log(self.high / self.low)
        return self.left + min(1.0, max(0.0, share)) * (self.right - self.left)

    def ticks(self) -> tuple[float, ...]:
        """1, 2 and 5 of each decade; only the ones where there are many decades."""
        decades = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)
        span = math.log10(self.high / self.low)
        steps = (1, 1.5, 2, 3, 4, 5, 6, 8) if span < 0.8 else (1, 2, 5) if span < 2.5 else (1,)
        values = (step * 10.0**decade for decade in decades for step in steps)
        return tuple(v for v in values if self.low <= v <= self.high)


def log_scale(values: Sequence[float], left: float, right: float) -> LogScale:
    """A scale that holds all values with a little room, and at least a factor of two."""
    low, high = min(values) / 1.12, max(values) * 1.12
    if high / low < 2:
        middle = math.sqrt(low * high)
        low, high = middle / math.sqrt(2), middle * math.sqrt(2)
    return LogScale(low, high, left, right)


def even_ticks(high: float, about: int = 8) -> tuple[float, ...]:
    """Round numbers from 0 to `high`."""
    if high <= 0 or not math.isfinite(high):
        return (0.0,)
    raw = high / about
    power: float = 10.0 ** math.floor(math.log10(raw))
    step = next(power * m for m in (1, 2, 5, 10) if power * m >= raw)
    return tuple(step * k for k in range(int(high / step + 1e-9) + 1))
