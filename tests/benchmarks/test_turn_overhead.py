"""What our loop adds around a model, beside a loop by hand over the SDK, in one run; flat as histories grow."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
AGENTS, TURNS, ROUNDS = 64, 10, 3
LONG = 40
MOST_RATIO, MOST_GROWTH = 0.8, 1.5


@pytest.fixture
def url() -> Iterator[str]:
    server = subprocess.Popen(
        [sys.executable, "-m", "tests.benchmarks.fake_api"], stdout=subprocess.PIPE, text=True, cwd=ROOT
    )
    try:
        assert server.stdout is not None
        yield f"http://127.0.0.1:{server.stdout.readline().split()[1]}"
    finally:
        server.terminate()
        server.wait(10)


def cpu_ms(row: str, url: str, agents: int, turns: int) -> float:
    """In a process of its own, warmed up."""
    words = [sys.executable, "-m", "tests.benchmarks.turn_loops", row, url, str(agents), str(turns)]
    done = subprocess.run(words, capture_output=True, text=True, timeout=120, check=True, cwd=ROOT)
    return float(json.loads(done.stdout.splitlines()[-1])["cpu_ms"])


def test_a_turn_costs_no_more_than_over_the_bare_sdk(url: str, tell: Callable[[str], None]) -> None:
    ours, bare = [], []
    for _ in range(ROUNDS):  # alternating, so that a busy moment meets both
        ours.append(cpu_ms("ours", url, AGENTS, TURNS))
        bare.append(cpu_ms("bare", url, AGENTS, TURNS))
    ratio = statistics.median(mine / other for mine, other in zip(ours, bare, strict=True))
    tell(
        f"a turn with {AGENTS} agents: ours {statistics.median(ours):.2f} ms of CPU (journal, budgets, events on) "
        f"/ bare SDK {statistics.median(bare):.2f} ms: ratio {ratio:.2f}"
    )
    assert ratio <= MOST_RATIO


def test_a_turn_costs_the_same_late_in_a_long_conversation(url: str, tell: Callable[[str], None]) -> None:
    short = [cpu_ms("ours", url, 8, TURNS) for _ in range(ROUNDS)]
    long = [cpu_ms("ours", url, 8, LONG) for _ in range(ROUNDS)]
    ratio = min(long) / min(short)
    tell(
        f"a turn of ours: {min(long):.2f} ms over {LONG} turns / {min(short):.2f} ms over {TURNS}: ratio {ratio:.2f}"
    )
    assert ratio <= MOST_GROWTH
