"""Empirical distributions for charts: ECDF points, their band, percentiles with intervals. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Percentile:
    """A percentile by nearest rank with the 95 % interval of its order statistics (samples taken as independent)."""

    q: float
    value: float
    low: float
    high: float


def finite(samples: Sequence[float]) -> tuple[float, ...]:
    """The finite positive samples, sorted: a log axis holds no others."""
    return tuple(sorted(s for s in samples if math.isfinite(s) and s > 0))


def percentile(ordered: Sequence[float], q: float) -> Percentile:
    """Percentile `q` (0 to 1) of sorted samples, of which there is at least one."""
    n = len(ordered)
    spread = 1.96 * math.sqrt(n * q * (1 - q))

    def at(rank: float) -> float:
        return ordered[min(n, max(1, math.ceil(rank))) - 1]

    return Percentile(q, at(n * q), at(n * q - spread), at(n * q + spread + 1))


def ecdf(ordered: Sequence[float], points: int = 200) -> tuple[tuple[float, float], ...]:
    """(value, share of samples up to it) at `points` even ranks, the first and the last sample among them."""
    n = len(ordered)
    if n == 0:
        return ()
    ranks = sorted({1, n, *(max(1, round(n * k / points)) for k in range(1, points + 1))})
    return tuple((ordered[rank - 1], rank / n) for rank in ranks)


def band(n: int) -> float:
    """Half width of the 95 % band around an ECDF of n independent samples (Dvoretzky, Kiefer, Wolfowitz)."""
    return math.sqrt(math.log(2 / 0.05) / (2 * n)) if n else 1.0
