"""Questions to models in a replay: fewer of them is no difference, another question is."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from swarm.core.model_calls import is_question
from swarm.target.replay.observation import Exchange
from swarm.target.replay.write_matching import Write, expected_writes, writes_of
from swarm.target.volatile import differences


def question_differences(first: Exchange, second: Exchange, theirs: Exchange) -> Iterator[str]:
    """What the candidate asks a model that the original did not: its answers are worth nothing then."""
    asked = _questions(theirs)
    if not asked:
        return
    expected, lonely = expected_writes(_questions(first), _questions(second))
    seen: set[str] = set()
    for question in asked:
        known = any(
            not differences(item.first.side, question.side, item.masks)
            for item in expected if item.first.group == question.group
        )  # fmt: skip
        again = any(not differences(other.side, question.side, {}) for other in lonely)
        if not known and not again and question.name not in seen:
            seen.add(question.name)
            yield f"asks another question: {question.name}"


def _questions(exchange: Exchange) -> list[Write]:
    """The questions that a request caused, to be compared as writes are."""
    calls = [
        call for call in exchange.calls if call.effect == "read" and is_question(call.method, call.path, call.body)
    ]
    return writes_of(replace(exchange, calls=tuple(replace(call, effect="write") for call in calls)))
