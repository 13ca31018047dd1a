"""Text splices: replace stretches of a text by offsets, all at once."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, order=True)
class Edit:
    """Put `text` in place of the characters from offset `start` up to `end`; start == end inserts."""

    start: int
    end: int
    text: str


def apply_edits(text: str, edits: Iterable[Edit]) -> str:
    """The text after all edits; identical edits count once, inserts at one place keep the order given.

    New lines end as those of the text do: a file with CRLF keeps it throughout.
    Raises ValueError where two edits overlap or one lies outside of the text.
    """
    unique = list(dict.fromkeys(edits))
    ordered = sorted(unique, key=lambda edit: (edit.start, edit.end > edit.start))
    parts: list[str] = []
    position = 0
    first = text.find("\n")
    has_crlf = first > 0 and text[first - 1] == "\r"
    for edit in ordered:
        if edit.start < position or edit.end < edit.start or edit.end > len(text):
            raise ValueError(f"edits overlap or lie outside of the text at offset {edit.start}")
        new = edit.text.replace("\r\n", "\n").replace("\n", "\r\n") if has_crlf else edit.text
        parts += [text[position : edit.start], new]
        position = edit.end
    return "".join(parts) + text[position:]
