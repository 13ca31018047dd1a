"""What caches say of themselves: samples read from Prometheus' text, hits over tiers, times of the slowest."""

from __future__ import annotations

import pytest

from swarm.bench.scrape import cache_figures, read_samples, since

TEXT = """\
# HELP cache_requests_total Reads.
# TYPE cache_requests_total counter
cache_requests_total{kind="flow",tier="memory",result="hit"} 80
cache_requests_total{kind="flow",tier="memory",result="miss"} 20
cache_requests_total{kind="flow",tier="redis",result="hit"} 10
cache_requests_total{kind="flow",tier="redis",result="miss"} 10
cache_requests_total{kind="a \\"quoted\\" one",tier="memory",result="miss"} 5
cache_operation_seconds_sum{kind="flow",tier="memory"} 0.001
cache_operation_seconds_count{kind="flow",tier="memory"} 100
cache_operation_seconds_sum{kind="flow",tier="redis"} 0.02
cache_operation_seconds_count{kind="flow",tier="redis"} 20
http_requests 3 1700000000
broken{ 4
"""


def test_a_read_is_asked_once_and_a_hit_of_any_tier_counts() -> None:
    figures = cache_figures(read_samples(TEXT))
    assert figures is not None
    assert {(one.kind, one.hits, one.asked) for one in figures.kinds} == {
        ("flow", 90, 100),
        ('a \\"quoted\\" one', 0, 5),
    }
    assert figures.hit_rate == pytest.approx(90 / 105)
    assert figures.slowest_operation_ms == pytest.approx(1.0)
    assert dict(figures.operation_ms)["memory"] == pytest.approx(0.01)


def test_only_what_was_counted_meanwhile_counts() -> None:
    before = read_samples(TEXT)
    later = read_samples(TEXT.replace('tier="memory",result="hit"} 80', 'tier="memory",result="hit"} 180'))
    figures = cache_figures(since(before, later))
    assert figures is not None
    assert figures.hit_rate == 1.0
    assert cache_figures(since(before, before)).hit_rate is None  # type: ignore[union-attr]


def test_a_service_without_caches_has_no_figures() -> None:
    assert cache_figures(None) is None
    assert cache_figures(read_samples("http_requests 3\n")) is None
    assert read_samples("<html>no metrics</html>") == {}
