"""Lines of figures of two runs, as they are shown beside each other."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Line:
    """One figure of both runs, as shown; `change` is the second over the first, where that means something."""

    label: str
    first: str
    second: str
    change: str = ""


@dataclass(frozen=True, slots=True)
class Part:
    """Lines of one subject, under its title."""

    title: str
    lines: tuple[Line, ...]
