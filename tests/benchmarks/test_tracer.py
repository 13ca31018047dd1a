"""What the tracer costs the service that it looks into: under 5 % of the median."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from swarm.bench.waterfall import TRACER_FILES
from tests.bench.conftest import Starter

ROUNDS = 30
MOST_RATIO = 1.05


@pytest.mark.parametrize("path", ["/steady", "/hook"])
def test_tracing_costs_less_than_five_percent_of_the_median(
    tmp_path: Path, tell: Callable[[str], None], path: str
) -> None:
    """Two servers of one app, with the tracer and without, asked in turn: waits alone, and twelve spans a request."""
    starter = Starter(tmp_path)
    try:
        stub = starter.start("fastapi", name="stub")
        plain = starter.start("fastapi", name="plain", stub=stub.base_url)
        traced = starter.start("fastapi", name="traced", stub=stub.base_url, inject=TRACER_FILES)
        took: dict[str, list[float]] = {plain.base_url: [], traced.base_url: []}
        with httpx.Client(trust_env=False) as client:
            for round_ in range(ROUNDS + 3):
                for url in sorted(took, reverse=bool(round_ % 2)):
                    began_s = time.perf_counter()
                    assert client.post(url + path, json={}).status_code == 200
                    if round_ >= 3:
                        took[url].append(time.perf_counter() - began_s)
        ratio = statistics.median(took[traced.base_url]) / statistics.median(took[plain.base_url])
    finally:
        starter.stop()
    tell(f"tracer on {path}: p50 {1000 * statistics.median(took[traced.base_url]):.1f} ms traced, ratio {ratio:.3f}")
    assert ratio < MOST_RATIO
