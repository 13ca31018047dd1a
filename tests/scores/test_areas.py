"""Areas that a specialist is told to validate, and the checks that speak of them."""

from __future__ import annotations

import pytest

from swarm.core.report import Score, ScoreCheck
from swarm.scores.areas import checks_for, validated_areas


@pytest.mark.parametrize(
    ("area", "checks"),
    [
        ("webhook_signature_validation", {"W01", "W02", "W03", "W04", "W05", "S01"}),
        ("input_sanitization", {"W10", "W11", "W12", "W19", "W20", "W22", "S04"}),
        ("rate_limiting", {"W09", "W14", "W17"}),
        ("api_key_rotation", {"W05", "W23", "W27", "S02"}),
        ("FairHousing", {"C13", "C14"}),
        ("telemarketing consent", {"C06", "C08", "C09"}),
        ("bus_factor", set()),
    ],
)
def test_checks_of_an_area(area: str, checks: set[str]) -> None:
    assert set(checks_for(area)) == checks


def test_an_area_counts_what_applies_and_names_what_is_open() -> None:
    def row(name: str, before: float | None, after: float | None, state: str = "proven") -> ScoreCheck:
        return ScoreCheck(name, "", "live", 5.0, before, after, "", state, state)  # type: ignore[arg-type]

    score = Score(1.0, 2.0, (row("C06", 0.0, 1.0), row("C08", None, None, "not applicable"), row("C09", 0.0, 0.0)))
    (consent, unknown) = validated_areas({"hardener": ["consent", "bus_factor"]}, (score,))
    assert (consent.asked, consent.good_before, consent.good_after, consent.open) == (2, 0, 1, ("C09",))
    assert consent.checks == ("C06", "C08", "C09") and unknown.checks == ()
    assert validated_areas({"hardener": ["consent"]}, (Score(None, None),)) == ()
