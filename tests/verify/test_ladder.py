"""How rungs are judged: a gain must show, a check may cost a few milliseconds, and nothing shows by chance."""

from __future__ import annotations

import functools
import math
import random
from types import SimpleNamespace
from typing import Any, cast

import pytest

from swarm.bench.bursts import SIZE, Burst, Sides, Slice, waves_of
from swarm.bench.statistics import paired_ratio
from swarm.verify import ladder
from swarm.verify.ladder import ALONE, BURSTS, Rung, judge_rung
from swarm.verify.standing import Tree

RUNS = 600
KINDS = 10
CALLS = (5, 4, 4, 3, 3, 3, 2, 2, 1, 1)  # of each kind
MOST = 0.05


def rung(*, gains: bool = True) -> Rung:
    return Rung("rung 1", cast("Any", None), (), gains)


def side(
    chance: random.Random, shared: list[float], size: int, answer: float, whole: float, cpu: float, calls: float = 1.0
) -> tuple[Slice, ...]:
    """One tree's slices of requests: a mood shared by all trees of a slice, and a smaller one of its own."""
    slices: list[Slice] = []
    for mood in shared:
        own = mood * chance.gauss(1.0, 0.03)
        latencies = tuple(answer * own * math.exp(chance.gauss(0.0, 0.04)) for _ in range(size))
        kinds = tuple((len(slices) * size + place) % KINDS for place in range(size))
        made = sum(CALLS[kind] for kind in kinds) * calls / size
        slices.append(Slice(latencies, kinds, cpu * chance.gauss(1.0, 0.05), whole * own, made))
    return tuple(slices)


def judged(chance: random.Random, *, answer: float = 1.0, whole: float = 1.0, cpu: float = 1.0, calls: float = 1.0,
           gains: bool = True, base_ms: float = 500.0) -> Any:  # fmt: skip
    pairings = []
    for slices, size in ((BURSTS, SIZE), (ALONE * SIZE, 1)):
        shared = [chance.gauss(1.0, 0.2) for _ in range(slices)]  # they differ by their kinds of request
        below = side(chance, shared, size, base_ms, base_ms * 1.1, 60.0)
        here = side(chance, shared, size, base_ms * answer, base_ms * 1.1 * whole, 60.0 * cpu, calls)
        pairings.append((below, here))
    return judge_rung(rung(gains=gains), Sides(*pairings), seed=7)


def test_a_against_a_is_no_gain(monkeypatch: pytest.MonkeyPatch) -> None:
    # an interval is as wide on average from 100 draws as from 2,000
    monkeypatch.setattr("swarm.bench.bursts.paired_ratio", functools.partial(paired_ratio, rounds=100))
    chance = random.Random("a against a")
    alarms = sum(judged(chance).result.passed for _ in range(RUNS)) / RUNS
    assert alarms <= MOST, f"{alarms:.1%} of trees that are alike are told as gains"


@pytest.mark.parametrize(
    ("change", "metric"),
    [
        ({"answer": 0.7, "whole": 0.7}, "webhook_latency_mean"),
        ({"answer": 0.02, "whole": 1.1}, "webhook_latency_mean"),
        ({"whole": 0.6}, "webhook_end_to_end_mean"),
        ({"cpu": 0.6}, "cpu_time_per_request"),
        ({"calls": 0.8}, "upstream_calls_per_request"),
    ],
)
def test_a_gain_is_told_by_what_it_is_one_of(change: dict[str, float], metric: str) -> None:
    told = judged(random.Random(1), **change)
    assert told.result.passed is True, told.result.detail
    assert told.effect.metric == metric


@pytest.mark.parametrize(
    "change",
    [{"answer": 1.4, "whole": 1.4, "cpu": 0.5}, {"whole": 1.4, "cpu": 0.5}, {"answer": 0.05, "whole": 2.0}],
)
def test_what_is_lost_elsewhere_is_no_gain(change: dict[str, float]) -> None:
    assert judged(random.Random(2), **change).result.passed is False


def test_a_check_may_cost_a_few_milliseconds_and_no_more() -> None:
    assert judged(random.Random(3), answer=1.6, whole=1.6, gains=False, base_ms=8.0).result.passed is True
    assert judged(random.Random(3), answer=1.6, whole=1.6, gains=False).result.passed is False


def test_servers_go_together_as_far_as_the_processor_has_room() -> None:
    busy, idle = Burst((), (), 1000.0, 900.0), Burst((), (), 1000.0, 50.0)
    assert waves_of({f"s{n}": busy for n in range(5)}, cores=2) == [
        ("s0", "s1"),
        ("s1", "s2"),
        ("s2", "s3"),
        ("s3", "s4"),
    ]
    assert waves_of({f"s{n}": idle for n in range(5)}, cores=2) == [("s0", "s1", "s2", "s3", "s4")]


@pytest.mark.parametrize("patched", [True, False])
async def test_a_patched_base_is_started_afresh(patched: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else it would take the bursts for repeated deliveries, and answer from what it has kept."""
    original, base = (SimpleNamespace(combined=lambda name=name: name) for name in ("original", "base"))
    asked: list[str] = []

    class Servers:
        lab = SimpleNamespace(original=original)

        async def keep(self, *trees: Tree) -> None:
            asked.append(f"keep {[tree.stack.combined() for tree in trees]}")

        async def run(self, trees: dict[str, Tree]) -> dict[str, str]:
            asked.append(f"run {[tree.stack.combined() for tree in trees.values()]}")
            return {}

    monkeypatch.setattr(ladder, "rungs", lambda *given, **named: ())
    standing: Any = Servers()
    assert await ladder.raised(standing, [], base=cast("Any", base) if patched else None) == ()
    assert asked == (["keep []", "run ['base']"] if patched else ["run ['original']"])


def test_a_quick_server_needs_its_share_only_as_long_as_its_burst_takes() -> None:
    slow, quick = Burst((), (), 1200.0, 240.0), Burst((), (), 400.0, 80.0)
    mixed = {"s0": slow, "s1": slow, "s2": slow, "s3": quick, "s4": quick, "s5": quick, "s6": quick}
    assert waves_of(mixed, cores=2) == [("s0", "s1", "s2", "s3", "s4", "s5"), ("s5", "s6")]


def test_none_of_those_that_keep_answers_gets_twice_the_requests() -> None:
    """It would have kept more than its neighbour."""
    busy = Burst((), (), 1000.0, 300.0)
    names = [f"s{number}" for number in range(8)]
    keeping = frozenset(names[3:])
    waves = waves_of(dict.fromkeys(names, busy), cores=2, keeping=keeping)
    assert waves == [("s0", "s1", "s2"), ("s2", *names[3:])]
    idle = Burst((), (), 1000.0, 50.0)
    assert waves_of(dict.fromkeys(names, idle), cores=2, keeping=keeping) == [tuple(names)]
