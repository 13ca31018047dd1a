"""Statistics: percentiles by nearest rank; A against A is no change, a true gain is found."""

from __future__ import annotations

import math
import random

import pytest

from swarm.bench.statistics import bootstrap_ratio, percentile, summarize


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
