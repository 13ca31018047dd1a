"""Counters and times of requests, in Prometheus' text format."""

from __future__ import annotations

from collections import defaultdict

BUCKETS_S = (0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)


class Metrics:
    """Labels are the route's template, the method and the status: a handful of combinations."""

    def __init__(self) -> None:
        self._counts: dict[tuple[str, str, int], int] = defaultdict(int)
        self._buckets: dict[tuple[str, float], int] = defaultdict(int)
        self._sums: dict[str, float] = defaultdict(float)

    def observe(self, route: str, method: str, status: int, seconds: float) -> None:
        """Count one request."""
        self._counts[route, method, status] += 1
        self._sums[route] += seconds
        for bound in (*BUCKETS_S, float("inf")):
            if seconds <= bound:
                self._buckets[route, bound] += 1

    def render(self) -> str:
        """The text that Prometheus reads."""
        lines = ["# TYPE http_requests_total counter"]
        for (route, method, status), count in sorted(self._counts.items()):
            lines.append(f'http_requests_total{{route="{route}",method="{method}",status="{status}"}} {count}')
        lines.append("# TYPE http_request_duration_seconds histogram")
        for (route, bound), count in sorted(self._buckets.items()):
            edge = "+Inf" if bound == float("inf") else f"{bound:g}"
            lines.append(f'http_request_duration_seconds_bucket{{route="{route}",le="{edge}"}} {count}')
        for route, total in sorted(self._sums.items()):
            count = self._buckets[route, float("inf")]
            lines.append(f'http_request_duration_seconds_sum{{route="{route}"}} {total:.6f}')
            lines.append(f'http_request_duration_seconds_count{{route="{route}"}} {count}')
        return "\n".join(lines) + "\n"
