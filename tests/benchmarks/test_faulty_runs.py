"""Runs of a small swarm with faults by chance: none hangs, none loses a reported finding, each ends as it is defined.
A second series is killed at any record and goes on: nothing is asked, paid or run a second time.

SWARM_FAULTY_RUNS=500 makes the long series; seeds make each run the same wherever and how often it is made.
"""

from __future__ import annotations

import os
import statistics
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.faulty_swarm import EXIT_CODES, Ended, OneRun, cut_and_resumed, leave_out_measuring, many_runs, one_run

RUNS = int(os.environ.get("SWARM_FAULTY_RUNS", "25"))
AT_ONCE = 5
HANGS_AFTER_S = 90.0


@pytest.mark.parametrize("kind", [one_run, cut_and_resumed], ids=["bad-days", "cut-and-resumed"])
async def test_no_run_hangs_or_loses_a_finding(
    kind: OneRun, tmp_path: Path, tell: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    leave_out_measuring(monkeypatch)
    ended = await many_runs(kind, range(RUNS), tmp_path, at_once=AT_ONCE, hangs_after_s=HANGS_AFTER_S)
    (tmp_path / "ended.txt").write_text("\n".join(map(str, ended)))
    tell(f"{kind.__name__}: {told(ended)}")
    assert [one for one in ended if one.code not in EXIT_CODES] == []
    assert [one for one in ended if one.lost] == []
    assert sum(one.faults for one in ended) > RUNS / 2 and sum(one.reported for one in ended) > RUNS


def told(ended: list[Ended]) -> str:
    """A series in one line."""
    codes = Counter(one.code for one in ended)
    took = sorted(one.seconds for one in ended)
    return (
        f"{len(ended)} runs, {sum(one.faults for one in ended)} faults thrown, "
        f"{sum(one.reported for one in ended)} findings reported, {sum(len(one.lost) for one in ended)} lost, "
        f"{sum(one.accepted for one in ended)} patches accepted; exit codes "
        f"{', '.join(f'{code}: {count}' for code, count in sorted(codes.items(), key=str))}; "
        f"{statistics.median(took):.1f} s a run in the middle, {took[-1]:.1f} s at most, {AT_ONCE} side by side"
    )
