"""A unified diff as lines with a class each, cut to a budget of characters."""

from __future__ import annotations

from dataclasses import dataclass

from swarm.reporting.escape import clean


@dataclass(frozen=True, slots=True)
class DiffLine:
    """`kind` is add, del, hunk, file or "" for context."""

    kind: str
    text: str


def diff_lines(diff: str, size: int) -> tuple[tuple[DiffLine, ...], int]:
    """The lines that fit into `size` characters, and how many were left out."""
    shown: list[DiffLine] = []
    every = diff.split("\n")
    if every and not every[-1]:
        every.pop()
    for place, line in enumerate(every):
        text = clean(line).replace("\n", " ")[:400]
        size -= len(text) + 20
        if size < 0:
            return tuple(shown), len(every) - place
        if not line.startswith(("diff --git", "--- ", "index ")):
            shown.append(DiffLine(_kind(line), text))
    return tuple(shown), 0


def _kind(line: str) -> str:
    if line.startswith(("+++ ", "new file", "deleted file")):
        return "file"
    if line.startswith("@@"):
        return "hunk"
    return {"+": "add", "-": "del"}.get(line[:1], "")
