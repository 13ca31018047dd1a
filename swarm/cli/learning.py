"""What the runs beside a run's folder have in common with it: files that are drawn from all of them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from pathlib import Path

from swarm.cli.run_folders import run_folders
from swarm.core.errors import SwarmError
from swarm.core.report import Report
from swarm.reporting import across_runs
from swarm.reporting.folder import load_report, write_file
from swarm.reporting.formats import reusable


def learned(report: Report, folder: Path) -> dict[str, str]:
    """Files by name: the patterns across the runs, and the swarm that they suggest. None for a first run."""
    earlier = earlier_runs(report, folder)
    common = across_runs.render([*earlier, report])
    if not common:
        return {}
    return {across_runs.FILENAME: common, reusable.FILENAME: reusable.render(report, earlier)}


def learn_again(report: Report, folder: Path) -> list[str]:
    """Write the files anew: runs may have come or gone. The names of those written; none where that cannot be."""
    written = []
    with contextlib.suppress(OSError):
        for name, text in learned(report, folder).items():
            write_file(folder, name, text)
            written.append(name)
    return written


def earlier_runs(report: Report, folder: Path) -> list[Report]:
    """The newest reports beside this run's folder that are of its target and swarm, the oldest first."""
    before = (other for other in run_folders(folder.parent) if other.name < folder.name)
    return runs_of(before, report.run.target, report.run.swarm)


def runs_of(folders: Iterable[Path], target: str, swarm: str) -> list[Report]:
    """The first reports in `folders` that are of this target and swarm, the last of them first."""
    found: list[Report] = []
    for folder in folders:
        if len(found) == across_runs.MOST_RUNS - 1:
            break
        with contextlib.suppress(SwarmError, ValueError, KeyError, TypeError):  # of another version, or torn
            one = load_report(folder)
            if (one.run.target, one.run.swarm) == (target, swarm):
                found.append(one)
    return found[::-1]
