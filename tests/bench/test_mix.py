"""The mix: the same kinds in every slice, by their shares, and no request twice."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

from swarm.bench.mix import EveryChoice, Mix
from swarm.config.schema import Target
from swarm.target.traffic import Traffic

FIRST = 5_000


def traffic(seed: int = 7, shares: tuple[float, ...] = (0.6, 0.3, 0.1)) -> Traffic:
    """Webhooks by share; the first of several has two payloads, so it is two kinds."""
    webhooks = [
        {
            "path": f"/hook/{place}",
            "share": share,
            "sign": {"scheme": "none"},
            "payloads": [{"id": "{{uuid}}"}, {"other": "{{uuid}}"}][: 2 if place == 0 and len(shares) > 1 else 1],
        }
        for place, share in enumerate(shares)
    ]
    target = Target.model_validate({"path": ".", "start": "true", "webhooks": webhooks})
    return Traffic(target, Path(), seed)


def kinds(of: Traffic, numbers: tuple[int, ...]) -> Counter[tuple[int, int]]:
    return Counter(of.kind(number) for number in numbers)


@pytest.mark.parametrize("count", [1, 3, 7])
@pytest.mark.parametrize("seed", [1, 7])
def test_short_calls_go_through_the_kinds_in_one_order(count: int, seed: int) -> None:
    of = traffic(seed)
    mix = Mix(of, FIRST)
    in_calls = [number for _ in range(6) for number in mix.next_numbers(count)]
    assert in_calls == list(Mix(of, FIRST).next_numbers(6 * count))


def test_every_kind_has_its_turn() -> None:
    of = traffic()
    assert len(kinds(of, Mix(of, FIRST).next_numbers(12))) == 4


def test_no_number_is_given_twice_nor_one_of_another_stretch() -> None:
    mix = Mix(traffic(), FIRST)
    given = [number for count in (1, 5, 2, 30, 5) for number in mix.next_numbers(count)]
    assert len(set(given)) == len(given) == 43
    assert min(given) >= FIRST


def test_kinds_come_by_their_shares_and_spread_evenly() -> None:
    of = traffic()
    mix = Mix(of, FIRST)
    seen = kinds(of, mix.next_numbers(200))
    by_webhook = [sum(n for (place, _), n in seen.items() if place == wanted) for wanted in range(3)]
    assert by_webhook == pytest.approx([120, 60, 20], abs=14)
    assert len(seen) == 4 and min(seen.values()) > 0
    order = [of.kind(number)[0] for number in mix.next_numbers(20)]
    assert 2 <= sum(place == 1 for place in order[:10]) <= 4, "no kind is kept for the end"


def test_two_mixes_of_one_seed_give_the_same_numbers() -> None:
    assert Mix(traffic(), FIRST).next_numbers(12) == Mix(traffic(), FIRST).next_numbers(12)
    assert not set(Mix(traffic(), FIRST).next_numbers(12)) & set(Mix(traffic(), 2 * FIRST).next_numbers(12))


def test_one_kind_alone_is_a_plain_count() -> None:
    mix = Mix(traffic(shares=(1.0,)), FIRST)
    assert mix.next_numbers(3) + mix.next_numbers(2) == tuple(range(FIRST, FIRST + 5))


def choice_of(options: list[str]) -> str:
    return f"{{{{choice:{','.join(options)}}}}}"


def test_every_choice_comes_before_the_mix() -> None:
    cities, sizes = ["Ulm", "Bonn", "Kiel", "Jena", "Trier"], ["s", "m"]
    webhooks = [
        {
            "path": "/orders/{{choice:north,south,east}}",
            "share": 0.9,
            "sign": {"scheme": "none"},
            "payloads": [{"id": "{{uuid}}", "city": choice_of(cities), "size": choice_of(sizes)}],
        },
        {"path": "/refunds", "share": 0.1, "sign": {"scheme": "none"}, "payloads": [{"id": "{{uuid}}"}]},
    ]
    target = Target.model_validate({"path": ".", "start": "true", "webhooks": webhooks})
    source = EveryChoice(Traffic(target, Path(), 7), FIRST)
    given = [*source.next_requests(4, 0.0), *source.next_requests(2, 0.0)]
    assert not source.through
    orders = [json.loads(one.body) for one in given if one.path != "/refunds"]
    assert len(orders) == 5 and len(given) == 6
    assert {order["city"] for order in orders} == set(cities)
    assert {order["size"] for order in orders} == set(sizes)
    assert {one.path for one in given} == {"/orders/north", "/orders/south", "/orders/east", "/refunds"}
    given += source.next_requests(8, 0.0)
    assert source.through
    assert len({json.loads(one.body)["id"] for one in given}) == len({one.id for one in given}) == 14


def test_a_traffic_that_chooses_nothing_is_through_at_once() -> None:
    of = traffic()
    source = EveryChoice(of, FIRST)
    kinds_of_it = {of.kind(number) for number in range(200)}
    first = source.next_requests(len(kinds_of_it) + 1, 0.0)
    assert source.through and len({one.id for one in first}) == len(first)
