"""Numbers as people read them."""

from __future__ import annotations

import math

import pytest

from swarm.reporting.numbers import change


@pytest.mark.parametrize(
    ("ratio", "told"),
    [
        (0.42, "−58 %"), (1.2, "+20 %"), (1.0, "±0 %"), (0.0048, "−99.5 %"), (0.00001, "−99.9 %"), (0.0, "−100 %"),
        (None, "–"), (math.inf, "–"),
    ],
)  # fmt: skip
def test_a_change_in_per_cent(ratio: float | None, told: str) -> None:
    assert change(ratio) == told
