"""What the baseline tells about a target that answers its own declared requests badly."""

from __future__ import annotations

import pytest

from swarm.coordinator.baseline import bad_answers
from swarm.target.replay.observation import Exchange, ExchangeKind, Observation
from swarm.target.replay.stored_state import StoredState

EMPTY = StoredState({}, 0.0)


def look(*answers: tuple[ExchangeKind, int]) -> Observation:
    exchanges = tuple(
        Exchange(f"request {number}", kind, "", status, "", b"", (), 0.1, 0.0)
        for number, (kind, status) in enumerate(answers)
    )
    return Observation(exchanges, EMPTY, EMPTY, (), 1.0)


def test_good_requests_with_bad_answers_are_named() -> None:
    (line,) = bad_answers(look(("normal", 202), ("normal", 500), ("badly signed", 401)))
    assert line.startswith("1 of 2 requests")
    assert "(500; first: request 1)" in line


@pytest.mark.parametrize("kind", ["badly signed", "upstream fails"])
def test_requests_that_are_meant_to_fail_are_not(kind: ExchangeKind) -> None:
    assert bad_answers(look(("normal", 200), (kind, 500))) == ()
