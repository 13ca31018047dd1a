"""Marks text that comes from the target, so that a model takes it as data and never as instructions."""

from __future__ import annotations

import re

_OPEN = "<target-data>\n"
_CLOSE = "\n</target-data>"
# \u003c means `<` inside a JSON string, so that escaped JSON still parses to the same value.
_BREAKOUT = re.compile(r"<(?=/?target-data)", re.IGNORECASE)


def mark(text: str) -> str:
    """`text` between marks that it cannot close itself."""
    return _OPEN + _BREAKOUT.sub(r"\\u003c", text) + _CLOSE


def unmark(text: str) -> str:
    """What `mark` was given (its escapes stay, as JSON escapes); other text comes back as it is."""
    if text.startswith(_OPEN) and text.endswith(_CLOSE):
        return text[len(_OPEN) : -len(_CLOSE)]
    return text
