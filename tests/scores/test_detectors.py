"""What detectors are worth: no more than they showed in code that they met for the first time, and no less today."""

from __future__ import annotations

from pathlib import Path

import pytest

from swarm.analysis.bandit_scan import bandit_findings, join
from swarm.analysis.dataflow.settled import unsettled
from swarm.analysis.index import build_index
from swarm.analysis.source import SourceTree
from swarm.rules.scan import scan
from swarm.scores.looking import rules_by_fault
from swarm.scores.registry import DETECTORS

CORPUS = Path(__file__).parents[1] / "corpus" / "detectors"
# Found and all holes, falsely reported and all twins: in the corpus as first met, and planted in five services.
FIRST_MET = {
    "compare": ((19, 20, 0, 20), (10, 10, 0, 10)),
    "tls": ((11, 12, 0, 12), (10, 10, 0, 10)),
}
# The same of public services (FastAPI, Flask, Starlette; 20 the first time, 17 the second) that neither the detectors
# nor who wrote them had met. A net of names alone, which knows nothing of the detectors, took the candidates: every
# literal that is called a secret or looks like one; every call of a client of another system; every handler of any
# error whose text says nothing of raising or logging. They were drawn by chance, at most so many of one service, and
# labelled by reading before the detectors saw them; what reading could not decide is left out. A secret that stands
# at several places of one service counts once, as found where most of them are. What the first round showed was
# mended before the second, which other services made. The planted shapes are not counted: they are easier.
PUBLIC = {
    "secret": ((10, 14, 4, 610), (13, 20, 5, 729)),
    "timeout": ((50, 54, 0, 199),),
    "swallow": ((20, 27, 6, 91), (15, 20, 1, 60)),
}
# what the corpus showed of these before: no less today
FLOOR = {"secret": (8, 15, 1, 15), "timeout": (8, 12, 1, 12), "swallow": (6, 13, 0, 13)}


def counted(path: Path, folder: Path) -> tuple[int, int, int, int]:
    """A block that begins with `# hole` or `# twin` counts as hit where a finding of its class lies in it."""
    text = path.read_text(encoding="utf-8")
    (folder / "app.py").write_text(text, encoding="utf-8")
    index = build_index(SourceTree.load(folder))
    findings = unsettled(index, join(scan(index), bandit_findings(folder, ("app.py",))))
    lines = [finding.line for finding in findings if finding.rule in rules_by_fault()[path.stem]]
    marks = [(n, line[2:]) for n, line in enumerate(text.splitlines(), 1) if line in ("# hole", "# twin")]
    ends = [n for n, _ in marks[1:]] + [len(text)]
    hits = [(kind, any(first < line < end for line in lines)) for (first, kind), end in zip(marks, ends, strict=True)]
    holes, twins = ([hit for kind, hit in hits if kind == wanted] for wanted in ("hole", "twin"))
    return sum(holes), len(holes), sum(twins), len(twins)


@pytest.mark.parametrize("name", [*FIRST_MET, *FLOOR])
def test_a_detector_sees_what_it_saw_when_it_met_this_code_first(name: str, tmp_path: Path) -> None:
    found, holes, false, twins = counted(CORPUS / "first_met" / f"{name}.txt", tmp_path)
    first = FIRST_MET[name][0] if name in FIRST_MET else FLOOR[name]
    assert (holes, twins) == (first[1], first[3])
    assert found >= first[0]
    assert false <= first[2]


@pytest.mark.parametrize("name", ["secret", "tls", "timeout"])
def test_it_sees_all_that_it_was_tuned_on(name: str, tmp_path: Path) -> None:
    found, holes, false, _ = counted(CORPUS / "tuned_on" / f"{name}.txt", tmp_path)
    assert (found, false) == (holes, 0)


@pytest.mark.parametrize("name", [*FIRST_MET, *PUBLIC])
def test_its_worth_is_what_was_measured(name: str) -> None:
    found, holes, false, twins = (sum(column) for column in zip(*(FIRST_MET | PUBLIC)[name], strict=True))
    measured = (found + 1) / (holes + 2) - (false + 1) / (twins + 2)
    assert measured - 0.011 < DETECTORS[name] <= measured + 1e-9
