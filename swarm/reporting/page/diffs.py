"""A unified diff as lines with a class each, cut to a budget of characters.

Only patches themselves hold the code as it is: on a page that is passed around, the persons and secrets in it are
left out.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from swarm.reporting.escape import clean

_ADDRESS = re.compile(r"\b[\w.+-]+@(?=[\w-]+\.[a-z])")
_SECRET = re.compile(
    r"""((?:secret|token|passw|api_?key|credential)\w*["']?\s*(?:[:=]|,|\)).{0,40}?["'])[^"'\s]{8,}(?=["'])""",
    re.IGNORECASE,
)
_HIDDEN = "«masked»"


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
            shown.append(DiffLine(_kind(line), _SECRET.sub(rf"\1{_HIDDEN}", _ADDRESS.sub(f"{_HIDDEN}@", text))))
    return tuple(shown), 0


def _kind(line: str) -> str:
    if line.startswith(("+++ ", "new file", "deleted file")):
        return "file"
    if line.startswith("@@"):
        return "hunk"
    return {"+": "add", "-": "del"}.get(line[:1], "")
