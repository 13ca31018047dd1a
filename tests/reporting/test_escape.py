"""Text of the target's in a report: shown as it is, and as nothing else."""

from __future__ import annotations

import pytest

from swarm.reporting.escape import markdown


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("84.6 % of the weight", "84.6 % of the weight"),
        ("0.176 → 0.401 ms", "0.176 → 0.401 ms"),
        ("1. a list", "1\\. a list"),
        ("12) a list", "12\\) a list"),
        ("3.", "3\\."),
        ("- a list", "\\- a list"),
        ("# a title", "\\# a title"),
    ],
)
def test_only_what_would_begin_a_list_or_a_title_is_escaped(text: str, shown: str) -> None:
    assert markdown(text) == shown
