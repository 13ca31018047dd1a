"""Partial updates made as one write: which the replay takes for the same, and which not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from swarm.target.replay.compare import compare
from swarm.target.replay.observation import Exchange, ExchangeKind, Observation, Recording
from swarm.target.replay.stored_state import StoredState
from swarm.target.replay.write_merging import merge
from swarm.target.upstream.calls import UpstreamCall, effect_of
from swarm.target.upstream.tape import Tape

NOW = 1_790_000_000.0
EMPTY = StoredState({}, NOW)


def call(method: str, path: str, start: float, body: str, status: int = 200) -> UpstreamCall:
    return UpstreamCall("crm", method, path, "", body.encode(), status, start, start + 0.9, effect_of(method), {})


def exchange(*calls: UpstreamCall, status: int = 200, kind: ExchangeKind = "normal") -> Exchange:
    return Exchange("request 1", kind, "crm" if kind != "normal" else "", status, "text/plain", b"", calls, 0.1, NOW)


def judged(base: Exchange, candidate: Exchange) -> Sequence[str]:
    def look(one: Exchange) -> Observation:
        return Observation((one,), EMPTY, EMPTY, (), 1.0)

    return compare(Recording(look(base), look(base), Tape()), look(candidate)).differences


SCORE = call("PUT", "/contacts/1", 0, '{"fields": [{"key": "score", "value": 5}]}')
HOMES = call("PUT", "/contacts/1", 1, '{"fields": [{"key": "homes", "value": [1, 2]}]}')
BOTH = call("PUT", "/contacts/1", 0, '{"fields": [{"key": "score", "value": 5}, {"key": "homes", "value": [1, 2]}]}')
NOTE = call("POST", "/notes", 2, '{"text": "hi"}')


def test_two_updates_of_a_contact_made_as_one_are_the_same() -> None:
    assert judged(exchange(SCORE, HOMES, NOTE), exchange(BOTH, NOTE)) == ()
    three = replace(HOMES, start_s=1.9, end_s=1.95, body=b'{"dnd": true}')
    all_of_it = replace(BOTH, body=BOTH.body[:-1] + b', "dnd": true}')
    assert judged(exchange(SCORE, HOMES, three, NOTE), exchange(all_of_it, NOTE)) == ()


@pytest.mark.parametrize(
    "wrong",
    [
        pytest.param([SCORE, NOTE], id="drops one"),
        pytest.param([replace(BOTH, body=BOTH.body.replace(b"5", b"6")), NOTE], id="changes a value"),
        pytest.param([replace(BOTH, body=BOTH.body.replace(b"5", b'5, "x": 1')), NOTE], id="adds a value"),
        pytest.param([replace(BOTH, path="/contacts/2"), NOTE], id="another contact"),
        pytest.param([replace(BOTH, method="PATCH"), NOTE], id="another method"),
        pytest.param([replace(NOTE, start_s=0.0, end_s=0.5), replace(BOTH, start_s=1.0)], id="after the note"),
        pytest.param([replace(NOTE, start_s=0.1, end_s=0.5), BOTH], id="beside the note"),
    ],
)
def test_a_merge_that_is_another_write_is_told(wrong: list[UpstreamCall]) -> None:
    assert judged(exchange(SCORE, HOMES, NOTE), exchange(*wrong))


def test_a_merge_over_another_write_is_told() -> None:
    between = replace(NOTE, start_s=1.0, end_s=1.5)
    later = replace(HOMES, start_s=2.0, end_s=2.5)
    assert judged(exchange(SCORE, between, later), exchange(BOTH, between))


def test_updates_that_overlapped_are_not_taken_for_a_sequence() -> None:
    assert judged(exchange(SCORE, replace(HOMES, start_s=0.5)), exchange(BOTH))


def test_where_the_first_of_them_fails_the_merged_one_fails() -> None:
    failed = replace(SCORE, status=500)
    base = exchange(failed, status=502, kind="upstream fails")
    assert judged(base, exchange(replace(BOTH, status=500), status=502, kind="upstream fails")) == ()
    other = replace(BOTH, status=500, body=b'{"fields": [{"key": "homes", "value": [1, 2]}]}')
    assert judged(base, exchange(other, status=502, kind="upstream fails"))


def test_where_something_else_fails_the_merged_one_is_no_other_write() -> None:
    failed = replace(NOTE, status=500)
    base = exchange(SCORE, HOMES, failed, status=502, kind="upstream fails")
    assert judged(base, exchange(BOTH, failed, status=502, kind="upstream fails")) == ()
    other = replace(BOTH, body=BOTH.body.replace(b"5", b"6"))
    assert judged(base, exchange(other, failed, status=502, kind="upstream fails"))


@pytest.mark.parametrize(
    ("earlier", "later", "both"),
    [
        ({"a": 1, "b": {"c": 2}}, {"b": {"d": 3}, "a": 4}, {"a": 4, "b": {"c": 2, "d": 3}}),
        ([{"id": 1, "v": 1}, {"id": 2}], [{"id": 1, "v": 9}], [{"id": 1, "v": 9}, {"id": 2}]),
        ([1, 2], [3], [3]),
        ([{"v": 1}], [{"v": 2}], [{"v": 2}]),
        ({"a": 1}, None, None),
    ],
)
def test_what_two_updates_come_to(earlier: Any, later: Any, both: Any) -> None:
    assert merge(earlier, later) == both
