"""The scores of a run: both sides, and the share of signatures that were judged rightly."""

from __future__ import annotations

from pathlib import Path

from swarm.analysis.index import build_index
from swarm.analysis.source import SourceTree
from swarm.coordinator.scoring import Look, score_run, validated
from swarm.coordinator.state import RunState
from swarm.core.report import PlantedFault
from swarm.probes.probe import ProbeResult


def look(tmp_path: Path, *results: ProbeResult) -> Look:
    (tmp_path / "app.py").write_text("x = 1\n", encoding="utf-8")
    return Look(build_index(SourceTree.load(tmp_path)), (), results)


def test_both_areas_are_scored_and_each_names_its_own_faults(tmp_path: Path) -> None:
    state = RunState()
    before = look(tmp_path, ProbeResult("C01", "failed", "the log holds email", ""))
    after = look(tmp_path, ProbeResult("C01", "passed", "none", ""))
    score_run(state, before, after, [PlantedFault("log-body", 2, 2), PlantedFault("sql", 3, 3)])
    assert state.compliance_score.before == 0.0
    assert state.compliance_score.after is not None and state.compliance_score.after > 0.0
    assert [fault.name for fault in state.compliance_score.planted] == ["log-body"]
    assert [fault.name for fault in state.security_score.planted] == ["sql"]


def test_signatures_judged_rightly() -> None:
    results = [
        ProbeResult("W01", "passed", "", "", validated=(3, 3)),
        ProbeResult("W02", "failed", "", "", validated=(5, 7)),
    ]
    assert validated(results) == 0.8
    assert validated([ProbeResult("W01", "skipped", "", "")]) is None
