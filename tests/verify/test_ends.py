"""The two ends side by side: what is told of them."""

from __future__ import annotations

from swarm.bench.watched import Whole
from swarm.verify.ends import latency_bound_ms


def test_an_answer_may_take_twice_as_long_as_one_alone_and_a_second_always() -> None:
    slow = [Whole(n, 200, True, 900.0 + n, 1000.0) for n in range(15)]
    failed = Whole(99, 500, False, 30_000.0, 30_000.0)
    assert latency_bound_ms([*slow, failed]) == 1800.0
    assert latency_bound_ms([Whole(1, 200, True, 4.0, 5.0)]) == latency_bound_ms([failed]) == 1000.0
