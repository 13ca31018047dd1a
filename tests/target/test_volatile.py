"""Masks are as narrow as two looks allow: a clock passes, a changed value does not."""

from __future__ import annotations

from typing import Any

import pytest

from swarm.target.volatile import Side, differences, hard, learn, parse_body, soft

NOW = 1_790_000_000.0  # 2026-09-21T14:13:20Z


def compared(one: Any, two: Any, candidate: Any) -> list[str]:
    masks = learn(Side(one, NOW), Side(two, NOW + 5))
    return differences(Side(one, NOW), Side(candidate, NOW + 9), masks)


@pytest.mark.parametrize(
    ("one", "two"),
    [
        ("2026-09-21T14:13:20Z", "2026-09-21T14:13:29.123+00:00"),
        ("2026-09-21 16:13:20", "2026-09-21 16:13:29"),  # naive, of another zone
        (NOW, NOW + 9),
        (int(NOW * 1000), int(NOW * 1000) + 9000),
        ("http://127.0.0.1:4711/x", "http://127.0.0.1:815/x"),
        (f"at {int(NOW)}", f"at {int(NOW) + 9}"),
    ],
)
def test_clocks_and_ports_pass_even_where_two_looks_were_alike(one: Any, two: Any) -> None:
    assert compared({"a": one}, {"a": one}, {"a": two}) == []


@pytest.mark.parametrize(
    ("one", "two"),
    [
        ("2026-05-04T10:00:00Z", "2026-05-05T10:00:00Z"),  # an appointment, not a clock
        ("2026-05-04", "2026-05-05"),
        (450_000, 450_001),
        ("5d0caad8-6dbe-40d4-bad6-a9b4e8fa2556", "5d0caad8-6dbe-40d4-bad6-a9b4e8fa2557"),
        ("delivered", "failed"),
        (1, True),
        (None, ""),
        ("5", 5),
        ([1, 2], [1, 3]),
        ([1], [1, 1]),
        ({"b": 1}, {}),
        ({"b": 1}, {"b": 1, "c": 2}),
        ({}, []),
    ],
)
def test_a_value_that_was_the_same_twice_must_stay(one: Any, two: Any) -> None:
    assert len(compared({"a": one}, {"a": one}, {"a": two})) == 1


def test_an_id_that_differed_keeps_its_shape() -> None:
    ids = [f"order-{digit * 8}-0000-4000-8000-000000000000" for digit in "123"]
    assert compared({"id": ids[0]}, {"id": ids[1]}, {"id": ids[2]}) == []
    assert len(compared({"id": ids[0]}, {"id": ids[1]}, {"id": "none"})) == 1
    assert len(compared({"id": ids[0]}, {"id": ids[1]}, {})) == 1
    assert len(compared({"id": ids[0]}, {"id": ids[1]}, {"id": None})) == 1


def test_a_value_of_no_shape_that_differed_keeps_its_type() -> None:
    assert compared({"id": "aQz"}, {"id": "Bxx"}, {"id": "any"}) == []
    assert len(compared({"id": "aQz"}, {"id": "Bxx"}, {"id": 7})) == 1
    # what stands beside it is not masked
    assert len(compared({"id": "aQz", "n": 1}, {"id": "Bxx", "n": 1}, {"id": "any", "n": 2})) == 1


def test_a_field_that_comes_and_goes_may() -> None:
    assert compared({"a": 1, "warm": 1}, {"a": 1}, {"a": 1}) == []
    assert compared({"a": 1, "warm": 1}, {"a": 1}, {"a": 1, "warm": 3}) == []


def test_durations_are_numbers() -> None:
    assert compared({"took_ms": 12.5}, {"took_ms": 12.5}, {"took_ms": 80}) == []
    assert len(compared({"took_ms": 12.5}, {"took_ms": 12.5}, {"took_ms": "80"})) == 1


def test_bodies_are_parsed_by_what_they_are() -> None:
    assert parse_body(b'{"a": [1]}') == {"a": [1]}
    assert parse_body(b"a=1&a=2&b=", "application/x-www-form-urlencoded") == {"a": ["1", "2"], "b": [""]}
    assert parse_body(b"<p>\xff") == "<p>�"


def test_soft_masks_less_than_hard() -> None:
    text = "order 4711 of 5d0caad8-6dbe-40d4-bad6-a9b4e8fa2556 at 2020-01-01T00:00:00Z"
    assert soft(text, NOW) == text
    assert hard(text) == "order <n> of <uuid> at <time>"
