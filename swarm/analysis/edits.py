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

    Raises ValueError where two edits overlap or one lies outside of the text.
    """
    unique = list(dict.fromkeys(edits))
    ordered = sorted(unique, key=lambda edit: (edit.start, edit.end > edit.start))
    parts: list[str] = []
    position = 0
    for edit in ordered:
        if edit.start < position or edit.end < edit.start or edit.end > len(text):
            raise ValueError(f"edits overlap or lie outside of the text at offset {edit.start}")
        parts += [text[position : edit.start], edit.text]
        position = edit.end
    return "".join(parts) + text[position:]
