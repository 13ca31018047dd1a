"""How often a change is told between a thing and itself: at most once in twenty, in simulation by seed."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence

import pytest

from swarm.bench.statistics import bootstrap_ratio, paired_ratio, percentile
from swarm.core.metrics import Ratio

RUNS = 1500  # with fewer, chance alone lifts a true rate of 4 % over the limit too often
ROUNDS = 150
MOST = 0.05
Slices = list[list[float]]


def a_against_a(chance: random.Random, slices: int) -> tuple[Slices, Slices]:
    """Two sides of one service: skewed latencies, a mood shared by each pair, and a smaller one of each slice."""
    sides: tuple[Slices, Slices] = ([], [])
    for _ in range(slices):
        shared = chance.gauss(1.0, 0.05)
        for side in sides:
            own = chance.gauss(1.0, 0.02)
            side.append([100 * shared * own * math.exp(chance.gauss(0.0, 0.15)) for _ in range(20)])
    return sides


def p95(values: Sequence[float]) -> float:
    return percentile(sorted(values), 95)


def paired(before: Slices, after: Slices, seed: int) -> Ratio:
    def measure(drawn: Sequence[int]) -> tuple[float, float]:
        first, second = ([value for n in drawn for value in side[n]] for side in (before, after))
        return p95(first), p95(second)

    return paired_ratio(len(before), measure, seed, rounds=ROUNDS)


def unpaired(before: Slices, after: Slices, seed: int) -> Ratio:
    return bootstrap_ratio(before, after, "p95", seed, rounds=ROUNDS)


@pytest.mark.parametrize("slices", [4, 8])
@pytest.mark.parametrize("method", [paired, unpaired], ids=["paired_ratio", "bootstrap_ratio"])
def test_a_against_a(
    method: Callable[[Slices, Slices, int], Ratio], slices: int, tell: Callable[[str], None]
) -> None:
    chance = random.Random(f"{slices} slices")
    ratios = [method(*a_against_a(chance, slices), seed) for seed in range(RUNS)]
    alarms = sum(ratio.change != "no change" for ratio in ratios) / RUNS
    beside_1 = sum(not ratio.ci95[0] <= 1 <= ratio.ci95[1] for ratio in ratios) / RUNS
    name = "paired_ratio" if method is paired else "bootstrap_ratio"
    tell(
        f"A against A, {name} of p95, {slices} slices a side: false alarms {alarms:.1%} "
        f"(intervals without 1: {beside_1:.1%}) of {RUNS} / {MOST:.0%} allowed: ratio {alarms / MOST:.2f}"
    )
    assert alarms <= MOST
