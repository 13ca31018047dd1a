"""Two services without a fault that we know of: what the rules say of them above "low" is a false alarm."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from swarm.analysis.bandit_scan import bandit_findings, join
from swarm.analysis.index import build_index
from swarm.analysis.source import SourceTree
from swarm.core.findings import severity_rank
from swarm.rules.scan import scan

TARGETS = Path(__file__).parent.parent / "targets"
WELL_KEPT = ("tidewatch", "mill_ledger")


@pytest.mark.parametrize("name", WELL_KEPT)
def test_no_false_alarm_above_low(name: str) -> None:
    root = TARGETS / name
    tree = SourceTree.load(root)
    index = build_index(tree)
    assert index.routes and not tree.unparsed
    findings = join(scan(index), bandit_findings(root, tuple(tree.modules)))
    alarms = [f for f in findings if severity_rank(f.severity) < severity_rank("low")]
    assert [f"{f.severity} {f.rule} {f.file}:{f.line} {f.evidence}" for f in alarms] == []


@pytest.mark.parametrize("name", WELL_KEPT)
def test_its_own_tests_pass(name: str) -> None:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests"]
    done = subprocess.run(command, cwd=TARGETS / name, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout[-2000:]
