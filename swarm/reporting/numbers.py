"""Numbers as people read them: few digits, a unit, and a dash where nothing was measured."""

from __future__ import annotations

import math

from swarm.core import wording

MISSING = "–"
MINUS = "−"


def is_number(value: float | None) -> bool:
    """Whether there is a finite number to show."""
    return value is not None and math.isfinite(value)


def plain(value: float | None) -> str:
    """Three or four significant digits with thousands separators: 1,045 · 43.9 · 0.42."""
    if value is None or not math.isfinite(value):
        return MISSING
    size = abs(value)
    digits = 0 if size >= 100 or value == int(value) else 1 if size >= 10 else 2 if size >= 0.1 else 4
    text = f"{value:,.{digits}f}"
    if "." in text and digits == 4:
        text = text.rstrip("0").rstrip(".")
    return text.replace("-", MINUS)


def quantity(value: float | None, unit: str) -> str:
    """A number with its unit; the dash alone where there is none."""
    if not is_number(value):
        return MISSING
    gap = "" if unit.startswith("/") else " "
    return f"{plain(value)}{gap}{unit}" if unit else plain(value)


def share(value: float | None) -> str:
    """A share from 0 to 1 as per cent."""
    return MISSING if value is None or not math.isfinite(value) else f"{plain(value * 100)} %"


def change(ratio: float | None) -> str:
    """after / before as a signed change: 0.42 is −58 %."""
    if ratio is None or not math.isfinite(ratio):
        return MISSING
    points = round((ratio - 1) * 100)
    if points == -100 and ratio > 0:  # what is left is not nothing
        return f"{MINUS}{min(99.9, (1 - ratio) * 100):.1f} %"
    sign = "+" if points > 0 else MINUS if points < 0 else "±"
    return f"{sign}{abs(points)} %"


def interval(low: float, high: float) -> str:
    """A ratio's interval: 0.39–0.46."""
    return f"{low:.2f}–{high:.2f}" if math.isfinite(low) and math.isfinite(high) else MISSING


def seconds(value: float | None) -> str:
    """A duration as `core.wording` tells it; the dash where there is none."""
    return MISSING if value is None or not math.isfinite(value) else wording.seconds(value)
