"""Which findings are closed without a patch of their own, and which stay open."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from swarm.analysis.index import Index, build_index
from swarm.analysis.source import SourceTree
from swarm.coordinator.closing import closed_on_the_way
from swarm.core.findings import Finding
from swarm.core.patches import Patch
from swarm.core.report import Score, ScoreCheck
from swarm.probes.probe import Outcome, ProbeResult
from swarm.rules.registry import all_rules
from swarm.verify.candidate import Stack, Unbuilt
from swarm.verify.fixes import Fix
from swarm.verify.judging import Judgement
from swarm.verify.verifier import Proven

RULES = {rule.id: rule for rule in all_rules()}
WAITS = "import requests\n\n\ndef ask(url):\n    return requests.get(url)\n"
PATCH = Patch("001-r-a", "t", "r", "api", (), "a", "", ())
PROBED = Finding("probe-W05", "security", "critical", "proven", "t", "", 0, 0, "", "", anchor="W05 POST /hook")
CHECK = ScoreCheck("W05", "t", "live", 1.0, 0.0, 1.0, "", "failed", "proven")


def indexed(text: str) -> Index:
    with TemporaryDirectory() as folder:
        (Path(folder) / "a.py").write_text(text)
        return build_index(SourceTree.load(Path(folder)))


def settled(text: str, *findings: Finding) -> Proven:
    index = indexed(text)
    fix = Fix("missing-timeout", "api", "a.py", tuple(finding.id for finding in findings), "api")
    return Proven(Stack((), (PATCH,), index), None, (), (Unbuilt(fix, "nothing is left to mend"),))


def waiting() -> Finding:
    index = indexed(WAITS)
    return next(iter(RULES["missing-timeout"].find(index)))


@pytest.mark.parametrize(
    ("text", "status"), [(WAITS, "open"), (WAITS.replace("get(url)", "get(url, timeout=3)"), "patched")]
)
def test_what_an_earlier_patch_mended_is_closed_where_its_rule_finds_it_no_more(text: str, status: str) -> None:
    finding = waiting()
    assert [one.status for one in closed_on_the_way([finding], settled(text, finding), (), RULES)] == [status]
    assert closed_on_the_way([finding], None, (), RULES) == (finding,), "nothing was accepted"


@pytest.mark.parametrize(
    ("check", "status"),
    [
        (CHECK, "patched"),
        (replace(CHECK, after=0.0, after_state="failed"), "open"),
        (replace(CHECK, after=0.0, after_state="not run"), "open"),
        (replace(CHECK, id="W06"), "open"),
    ],
)
def test_what_a_probe_shows_no_more_is_closed(check: ScoreCheck, status: str) -> None:
    found = closed_on_the_way([PROBED], settled(""), [Score(0.0, 1.0, (check,))], RULES)
    assert [(one.status, one.patch) for one in found] == [(status, None)]
    rejected = replace(PROBED, status="rejected", patch="002")
    assert closed_on_the_way([rejected], settled(""), [Score(0.0, 1.0, (check,))], RULES) == (rejected,)


@pytest.mark.parametrize(
    ("outcomes", "scored", "status"),
    [
        (("passed", "passed"), False, "patched"),
        (("passed", "failed"), False, "open"),
        (("passed", "skipped"), False, "open"),
        (("passed",), True, "open"),  # a score has the last word on what it counts
    ],
)
def test_what_a_probe_beside_the_scores_shows_no_more_is_closed(
    outcomes: tuple[Outcome, ...], scored: bool, status: str
) -> None:
    probes = tuple(ProbeResult("W05", outcome, "", "t") for outcome in outcomes)
    whole = replace(settled(""), judgement=Judgement((), probes=probes))
    scores = [Score(0.0, 1.0, (replace(CHECK, after=0.0, after_state="failed"),))] if scored else []
    assert [one.status for one in closed_on_the_way([PROBED], whole, scores, RULES)] == [status]
