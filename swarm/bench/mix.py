"""Chooses requests so that a short measurement holds every kind in proportion, each time with fresh ids.

Twenty requests of a mix of ten kinds, left to chance, lack some of them and hold others thrice.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator

from swarm.target.traffic import Kind, Traffic, WebhookRequest

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

    def next_requests(self, count: int, now_s: float) -> tuple[WebhookRequest, ...]:
        """The same as requests; `now_s` is Unix time."""
        return tuple(self._traffic.request(number, now_s) for number in self.next_numbers(count))

    def _next_kind(self) -> Kind:
        """Smooth weighted round robin: each kind by its share, spread evenly."""
        for kind, share in self._shares.items():
            self._weights[kind] += share
        chosen = max(self._weights, key=lambda kind: self._weights[kind])
        self._weights[chosen] -= self._shares.total()
        return chosen

    def _numbers_of(self, kind: Kind, first_number: int) -> Iterator[int]:
        for number in itertools.count(first_number):
            if self._traffic.kind(number) == kind or number > first_number + _SEARCHED:
                yield number


class EveryChoice:
    """Requests of all kinds until each value has come that payloads choose among, then those of the mix.

    What repeats in operation has come before: a service that keeps answers has them. Left to chance, a hundred
    requests of ten kinds lack a third of these values.
    """

    def __init__(self, traffic: Traffic, first_number: int) -> None:
        kinds = dict.fromkeys(traffic.kind(number) for number in range(_LOOKED_AT))
        turns = {kind: traffic.turns(kind) for kind in kinds}
        self._traffic = traffic
        self._due = ((kind, turn) for turn in range(max(turns.values())) for kind in kinds if turn < turns[kind])
        self._numbers = itertools.count(first_number)
        self._mix = Mix(traffic, first_number + _SEARCHED)
        self.through = False

    def next_requests(self, count: int, now_s: float) -> tuple[WebhookRequest, ...]:
        """`count` requests never given before; `through` says whether every value has been in one."""
        due = list(itertools.islice(self._due, count))
        self.through = len(due) < count
        chosen = [self._traffic.request_in_turn(*one, next(self._numbers), now_s) for one in due]
        return (*chosen, *self._mix.next_requests(count - len(due), now_s))
