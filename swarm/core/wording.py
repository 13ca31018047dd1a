"""Times and counts as people read them, wherever they are shown."""

from __future__ import annotations


def seconds(value: float) -> str:
    """A duration for people: 840 ms, 12.3 s, 2 min 05 s."""
    if value < 1:
        return f"{value * 1000:.0f} ms"
    if value < 100:
        return f"{value:.1f} s"
    minutes, rest = divmod(round(value), 60)
    return f"{minutes} min {rest:02d} s"


def counted(number: int, one: str, many: str = "") -> str:
    """`1 finding`, `3 findings`; `many` where an s is not enough: `2 patches`."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"
