"""Statistics: percentiles by nearest rank; A against A is no change, a true gain is found."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence

import pytest

from swarm.bench.statistics import (
    Pair,
    bootstrap_ratio,
    kinds_ratio,
    paired_ratio,
    paired_slices_ratio,
    percentile,
    summarize,
)


def simulated_slices(chance: random.Random, slices: int, samples: int, median_ms: float) -> list[list[float]]:
    """Latencies that are right-skewed, with a mood of its own for each slice: requests are not independent."""
    result = []
    for _ in range(slices):
        mood = chance.gauss(1.0, 0.03)
        result.append([median_ms * mood * math.exp(chance.gauss(0.0, 0.15)) for _ in range(samples)])
    return result


def test_percentiles_are_by_nearest_rank() -> None:
    values = [float(n) for n in range(1, 21)]
    assert [percentile(values, p) for p in (5, 50, 95, 99, 100)] == [1, 10, 19, 20, 20]
    summary = summarize([3.0, 1.0, 2.0])
    assert (summary.n, summary.mean, summary.p50, summary.p99, summary.max) == (3, 2.0, 2.0, 3.0, 3.0)


def test_nothing_measured_is_an_error_and_not_a_zero() -> None:
    with pytest.raises(ValueError):
        summarize([])
    with pytest.raises(ValueError):
        bootstrap_ratio([[1.0]], [[1.0], [2.0]], "p50", seed=1)


@pytest.mark.parametrize(("statistic", "slices"), [("p50", 4), ("p95", 4), ("p95", 8), ("mean", 3)])
def test_a_against_a_is_no_change(statistic: str, slices: int) -> None:
    chance = random.Random(f"{statistic}{slices}")
    runs = 200
    alarms = 0
    for seed in range(runs):
        before = simulated_slices(chance, slices, 25, 100.0)
        after = simulated_slices(chance, slices, 25, 100.0)
        alarms += bootstrap_ratio(before, after, statistic, seed, rounds=100).change != "no change"  # type: ignore[arg-type]
    assert alarms / runs <= 0.05


def test_a_true_gain_of_a_fifth_is_found() -> None:
    chance = random.Random(7)
    runs, found, covered = 60, 0, 0
    for seed in range(runs):
        before = simulated_slices(chance, 5, 30, 100.0)
        after = simulated_slices(chance, 5, 30, 80.0)
        ratio = bootstrap_ratio(before, after, "p50", seed, rounds=300)
        found += ratio.change == "better"
        covered += ratio.ci95[0] <= 0.8 <= ratio.ci95[1]
    assert found / runs >= 0.95
    assert covered / runs >= 0.9


def test_the_same_seed_gives_the_same_interval() -> None:
    chance = random.Random(3)
    before, after = simulated_slices(chance, 4, 20, 90.0), simulated_slices(chance, 4, 20, 70.0)
    assert bootstrap_ratio(before, after, "p95", 5) == bootstrap_ratio(before, after, "p95", 5)
    assert bootstrap_ratio(before, after, "mean", 5) != bootstrap_ratio(before, after, "mean", 6)


def in_pairs(chance: random.Random, pairs: int, change: float) -> tuple[list[list[float]], list[list[float]]]:
    """Slices in pairs: the load of the machine makes both of a pair slow, and differs much from pair to pair."""
    before, after = [], []
    for _ in range(pairs):
        shared = math.exp(chance.gauss(0.0, 0.4))
        before.append([100 * shared * chance.gauss(1.0, 0.02) for _ in range(10)])
        after.append([100 * change * shared * chance.gauss(1.0, 0.02) for _ in range(10)])
    return before, after


def test_what_both_sides_of_a_pair_share_cancels() -> None:
    before, after = in_pairs(random.Random(11), 6, 0.9)
    paired = paired_slices_ratio(before, after, "mean", seed=1)
    assert paired.value == pytest.approx(0.9, abs=0.01)
    assert paired.change == "better" and paired.ci95[0] <= 0.9 <= paired.ci95[1]
    # pairing is what finds it: with the same slices drawn apart, the machine's moods hide a tenth
    apart = bootstrap_ratio(before, after, "mean", seed=1)
    assert apart.value == pytest.approx(paired.value) and apart.change == "no change"


def test_pairs_of_the_same_are_no_change() -> None:
    chance = random.Random(12)
    alarms = sum(
        paired_slices_ratio(*in_pairs(chance, 5, 1.0), "p50", seed).change != "no change" for seed in range(20)
    )
    assert alarms <= 1


def test_a_pair_with_an_empty_side_is_left_out() -> None:
    before, after = [[10.0], [1.0], [10.0], []], [[20.0], [], [20.0], [7.0]]
    ratio = paired_slices_ratio(before, after, "mean", seed=1)
    assert ratio.value == pytest.approx(2.0) and ratio.ci95 == pytest.approx((2.0, 2.0))
    with pytest.raises(ValueError, match="at least two pairs"):
        paired_slices_ratio(before[:2], after[:2], "mean", seed=1)
    # a side that is longer has no pair for its last slices
    assert paired_slices_ratio(before, [*after, [99.0]], "mean", seed=1) == ratio


def test_paired_ratio_hands_out_numbers_of_pairs_and_takes_both_sides() -> None:
    drawn: list[tuple[int, ...]] = []

    def measure(numbers: Sequence[int]) -> tuple[float, float]:
        drawn.append(tuple(numbers))
        return 4.0, 3.0

    ratio = paired_ratio(3, measure, seed=5, rounds=50)
    assert ratio.value == pytest.approx(0.75) and ratio.ci95 == pytest.approx((0.75, 0.75))
    assert drawn[0] == (0, 1, 2) and len(drawn) == 51
    assert all(len(numbers) == 3 and set(numbers) <= {0, 1, 2} for numbers in drawn)
    assert any(len(set(numbers)) < 3 for numbers in drawn), "pairs are drawn with replacement"
    for pairs in (0, 1):
        with pytest.raises(ValueError):
            paired_ratio(pairs, measure, seed=5)


def kinds_of_requests(chance: random.Random, gains: dict[int, float], noise: float = 25.0) -> list[Pair]:
    """Six rounds of four requests of ten kinds that take 300 to 1300 ms; some kinds gain a share of it."""
    pairs = []
    for number in range(24):
        kind = number % 10
        before = 300.0 + 100.0 * kind
        after = before * (1.0 - gains.get(kind, 0.0))
        pairs.append(Pair(kind, number // 4, before + chance.gauss(0, noise), after + chance.gauss(0, noise)))
    return pairs


def test_a_gain_of_some_kinds_of_request_shows_though_others_have_none() -> None:
    chance = random.Random(1)
    told = [kinds_ratio(kinds_of_requests(chance, {1: 0.2, 5: 0.2, 8: 0.2})).change for _ in range(200)]
    assert told.count("better") >= 160
    assert told.count("worse") == 0


def test_kinds_that_are_alike_are_told_apart_no_more_often_than_an_interval_may() -> None:
    chance = random.Random(2)
    told = [kinds_ratio(kinds_of_requests(chance, {}, noise=120.0)).change for _ in range(1500)]
    assert sum(change != "no change" for change in told) / len(told) <= 0.05


def test_too_few_rounds_or_kinds_that_never_repeat_give_no_ratio() -> None:
    pairs = kinds_of_requests(random.Random(3), {})
    with pytest.raises(ValueError, match="three rounds"):
        kinds_ratio(pairs[:8])
    with pytest.raises(ValueError, match="more than once"):
        kinds_ratio(pairs[:10])
