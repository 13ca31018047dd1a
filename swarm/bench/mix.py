"""Chooses requests so that a short measurement holds every kind in proportion, each time with fresh ids.

Twenty requests of a mix of ten kinds, left to chance, lack some of them and hold others thrice.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator

from swarm.target.traffic import Traffic

_LOOKED_AT = 400
_SEARCHED = 200_000


class Mix:
    """The kinds of a target's traffic in proportion; `first_number` begins a stretch that nobody else sends."""

    def __init__(self, traffic: Traffic, first_number: int) -> None:
        self._traffic = traffic
        # in the order of their first appearance, which the seed decides: no kind is first by its name
        self._shares = Counter(traffic.kind(number) for number in range(_LOOKED_AT))
        self._weights = dict.fromkeys(self._shares, 0)
        self._fresh = {kind: self._numbers_of(kind, first_number) for kind in self._shares}

    def next_numbers(self, count: int) -> tuple[int, ...]:
        """Numbers of `count` requests never given before; the kinds go on where the last call ended."""
        return tuple(next(self._fresh[self._next_kind()]) for _ in range(count))

    def _next_kind(self) -> tuple[int, int]:
        """Smooth weighted round robin: each kind by its share, spread evenly."""
        for kind, share in self._shares.items():
            self._weights[kind] += share
        chosen = max(self._weights, key=lambda kind: self._weights[kind])
        self._weights[chosen] -= self._shares.total()
        return chosen

    def _numbers_of(self, kind: tuple[int, int], first_number: int) -> Iterator[int]:
        for number in itertools.count(first_number):
            if self._traffic.kind(number) == kind or number > first_number + _SEARCHED:
                yield number
