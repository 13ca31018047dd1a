"""Numbers out of samples: summaries by nearest rank, ratios with a bootstrap interval over slices.

Pure: chance comes in as a seed.
"""

from __future__ import annotations

import math
import random
import statistics
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Literal

from swarm.core.metrics import Ratio, Summary

Statistic = Literal["p50", "p95", "mean"]

# Two-sided 95 % points of Student's t by degrees of freedom: a handful of slices knows less than it seems.
_T95 = {1: 12.706, 2: 4.303, 3: 3.182, 4: 2.776, 5: 2.571, 6: 2.447, 7: 2.365, 8: 2.306, 9: 2.262, 10: 2.228,
        12: 2.179, 14: 2.145, 16: 2.120, 18: 2.101, 20: 2.086, 24: 2.064, 30: 2.042}  # fmt: skip


def percentile(ordered: Sequence[float], percent: float) -> float:
    """The nearest-rank percentile of values in ascending order; ValueError where there are none."""
    if not ordered:
        raise ValueError("no samples, so no percentile")
    rank = math.ceil(percent / 100.0 * len(ordered))
    return ordered[min(len(ordered), max(1, rank)) - 1]


def summarize(values: Sequence[float]) -> Summary:
    """The distribution of `values`; ValueError where there are none."""
    ordered = sorted(values)
    if not ordered:
        raise ValueError("no samples to summarize")
    return Summary(
        n=len(ordered),
        mean=math.fsum(ordered) / len(ordered),
        p50=percentile(ordered, 50),
        p90=percentile(ordered, 90),
        p95=percentile(ordered, 95),
        p99=percentile(ordered, 99),
        max=ordered[-1],
    )


def _statistic(name: Statistic) -> Callable[[list[float]], float]:
    match name:
        case "p50":
            return lambda values: percentile(sorted(values), 50)
        case "p95":
            return lambda values: percentile(sorted(values), 95)
        case _:
            return lambda values: math.fsum(values) / len(values)


def _standard_errors(slices: int, free: int | None = None) -> float:
    """Half an interval in standard errors; the bootstrap underrates the variance of few slices by (n-1)/n.

    Degrees of freedom are as many as slices on the smaller side: between "spreads differ" (n-1) and "alike"
    (2n-2); simulated false alarms stay under 5 %.
    """
    degrees = slices if free is None else free
    t95 = next(t for df, t in sorted(_T95.items(), reverse=True) if df <= degrees)
    return math.sqrt(slices / (slices - 1)) * t95


def bootstrap_ratio(
    before_slices: Sequence[Sequence[float]],
    after_slices: Sequence[Sequence[float]],
    statistic: Statistic,
    seed: int,
    rounds: int = 2000,
) -> Ratio:
    """after / before of a statistic over pooled samples, with a 95 % interval.

    Slices are drawn with replacement, not single requests: requests of one slice are not independent. The
    interval is Student's t times the bootstrap's standard error of log(ratio): honest with few slices too.
    Empty slices are left out; ValueError where fewer than two are left on a side.
    """
    before = [list(values) for values in before_slices if values]
    after = [list(values) for values in after_slices if values]
    if min(len(before), len(after)) < 2:
        raise ValueError("an interval takes at least two slices with samples on each side")
    measure, chance = _statistic(statistic), random.Random(seed)

    def resampled(slices: list[list[float]]) -> float:
        return measure([value for part in chance.choices(slices, k=len(slices)) for value in part])

    value = _log_ratio(measure(_pooled(before)), measure(_pooled(after)))
    logs = [_log_ratio(resampled(before), resampled(after)) for _ in range(rounds)]
    half = statistics.stdev(logs) * _standard_errors(min(len(before), len(after)))
    return Ratio(math.exp(value), (math.exp(value - half), math.exp(value + half)))


def paired_ratio(
    pairs: int, measure: Callable[[Sequence[int]], tuple[float, float]], seed: int, rounds: int = 2000
) -> Ratio:
    """`bootstrap_ratio` for measurements in pairs, the nth of each side made under the same conditions.

    `measure` gives (before, after) from the pairs of some numbers, in which one may stand several times. Pairs
    are drawn with replacement, so what made one pair slow is in both sides of each draw and cancels.
    ValueError with fewer than two pairs.
    """
    if pairs < 2:
        raise ValueError("an interval takes at least two pairs of slices with samples on each side")
    chance = random.Random(seed)
    value = _log_ratio(*measure(range(pairs)))
    logs = [_log_ratio(*measure(chance.choices(range(pairs), k=pairs))) for _ in range(rounds)]
    half = statistics.stdev(logs) * _standard_errors(pairs, free=pairs - 1)
    return Ratio(math.exp(value), (math.exp(value - half), math.exp(value + half)))


def paired_slices_ratio(
    before_slices: Sequence[Sequence[float]], after_slices: Sequence[Sequence[float]], statistic: Statistic, seed: int
) -> Ratio:
    """`paired_ratio` of a statistic over pooled samples; a pair with an empty side is left out."""
    pairs = [(list(b), list(a)) for b, a in zip(before_slices, after_slices, strict=False) if b and a]
    of = _statistic(statistic)

    def measure(drawn: Sequence[int]) -> tuple[float, float]:
        sides = [[value for number in drawn for value in pairs[number][side]] for side in (0, 1)]
        return of(sides[0]), of(sides[1])

    return paired_ratio(len(pairs), measure, seed)


@dataclass(frozen=True, slots=True)
class Pair:
    """One request sent to both sides. `kind` tells requests that do the same work, `round` those sent together."""

    kind: Hashable
    round: int
    before: float
    after: float


def kinds_ratio(pairs: Sequence[Pair]) -> Ratio:
    """after / before of the means, with a 95 % interval that the mix of kinds does not widen.

    A change may help some kinds of request and not others. That is no noise: only what requests of one kind differ
    among themselves is. Their deviations are summed by round, since requests of a round disturb each other; the
    interval is Student's t times the standard error that this gives, with two degrees of freedom fewer than rounds.
    ValueError with fewer than three rounds, or with no kind that came twice.
    """
    changes: dict[Hashable, list[float]] = {}
    for pair in pairs:
        changes.setdefault(pair.kind, []).append(pair.after - pair.before)
    usual = {kind: math.fsum(several) / len(several) for kind, several in changes.items()}
    apart: dict[int, float] = {}
    for pair in pairs:
        apart[pair.round] = apart.get(pair.round, 0.0) + pair.after - pair.before - usual[pair.kind]
    count, rounds, spare = len(pairs), len(apart), len(pairs) - len(usual)
    if rounds < 3 or spare <= 0:
        raise ValueError("an interval takes at least three rounds, and kinds that came more than once")
    before = math.fsum(pair.before for pair in pairs) / count
    variance = math.fsum(x * x for x in apart.values()) / count**2 * rounds / (rounds - 1) * count / spare
    value = math.fsum(pair.after for pair in pairs) / count / before
    half = _standard_errors(rounds, free=rounds - 2) / math.sqrt(rounds / (rounds - 1)) * math.sqrt(variance) / before
    return Ratio(value, (max(0.0, value - half), value + half))


def _pooled(slices: list[list[float]]) -> list[float]:
    return [value for part in slices for value in part]


def _log_ratio(before: float, after: float) -> float:
    floor = 1e-9  # a clock that stood still must not divide by zero
    return math.log(max(after, floor) / max(before, floor))
