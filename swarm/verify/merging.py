"""Carries a change of a text over to what others made of that text meanwhile, line by line. Pure."""

from __future__ import annotations

import difflib
from collections.abc import Sequence

Hunk = tuple[int, int, list[str]]  # lines [start, end) of the original, and what stands there now


def merge(original: str, changed: str, current: str) -> str | None:
    """`current` with what led from `original` to `changed`; None where both changed the same or neighbouring lines.

    What both changed alike is no collision.
    """
    if current == original:
        return changed
    base = original.splitlines(keepends=True)
    ours, theirs = _hunks(base, changed), _hunks(base, current)
    wanted = [hunk for hunk in ours if hunk not in theirs]
    if any(_touch(one, other) for one in wanted for other in theirs):
        return None
    lines = list(base)
    for start, end, there in sorted([*wanted, *theirs], key=lambda hunk: hunk[:2], reverse=True):
        lines[start:end] = there
    return "".join(lines)


def _hunks(base: Sequence[str], text: str) -> list[Hunk]:
    lines = text.splitlines(keepends=True)
    matcher = difflib.SequenceMatcher(None, base, lines, autojunk=False)
    return [(i1, i2, lines[j1:j2]) for tag, i1, i2, j1, j2 in matcher.get_opcodes() if tag != "equal"]


def _touch(one: Hunk, other: Hunk) -> bool:
    """Whether they share a line or stand side by side: then nobody knows which comes first."""
    return one[0] <= other[1] and other[0] <= one[1]
