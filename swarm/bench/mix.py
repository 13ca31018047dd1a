"""Chooses requests so that every slice of a measurement holds the same mix of kinds, each time with fresh ids.

A slice of three requests differs from the next by which kinds of event chance put into it, far more than a
patch changes either. With the same kinds in each slice only the measurement's own noise is left.
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
        self._fresh = {kind: self._numbers_of(kind, first_number) for kind in self._shares}

    def next_numbers(self, count: int) -> tuple[int, ...]:
        """Numbers of `count` requests never given before; the kinds are the same at every call with this count."""
        return tuple(next(self._fresh[kind]) for kind in self._order(count))

    def _order(self, count: int) -> list[tuple[int, int]]:
        """Smooth weighted round robin: each kind by its share, spread evenly."""
        total = sum(self._shares.values())
        weights = dict.fromkeys(self._shares, 0)
        order = []
        for _ in range(count):
            for kind in weights:
                weights[kind] += self._shares[kind]
            chosen = max(weights, key=lambda kind: weights[kind])
            weights[chosen] -= total
            order.append(chosen)
        return order

    def _numbers_of(self, kind: tuple[int, int], first_number: int) -> Iterator[int]:
        for number in itertools.count(first_number):
            if self._traffic.kind(number) == kind or number > first_number + _SEARCHED:
                yield number
