from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from swarm.agents.conversation.recall import Recall
from swarm.agents.conversation.toolbox import Toolbox
from swarm.analysis.source import SourceTree
from swarm.core.chat import ToolCall, ToolResult
from swarm.tools.proposal_store import MOST_OF_AN_AGENT
from swarm.tools.writing.propose_edit import ProposeEdit
from tests.fakes import FakeJournal, FakeWorkbench, finding, surroundings, workbench

APP = "import httpx\n\n\ndef load(url):\n    first = httpx.get(url)\n    return first or httpx.get(url)\n"
KNOWN = finding("missing-timeout", file="app.py", line=5, anchor="httpx.get(url)")
WHY = "Nothing that a caller sees changes by it."
PROBLEM = {"title": "Asked twice", "category": "api", "severity": "low", "file": "app.py", "line": 6,
           "evidence": "first or", "recommendation": "Ask once."}  # fmt: skip


@pytest.fixture
def bench(tmp_path: Path) -> FakeWorkbench:
    (tmp_path / "app.py").write_text(APP)
    (tmp_path / "dos.py").write_bytes(b"a = 1\r\nb = 2\r\n")
    made = workbench(tmp_path)
    made.index = SimpleNamespace(tree=SourceTree.load(tmp_path), routes=())  # type: ignore[assignment]
    made.findings.add(KNOWN, "api")
    return made


async def propose(
    bench: FakeWorkbench, *edits: dict[str, Any], journal: FakeJournal | None = None, **more: Any
) -> ToolResult:
    given = {"title": "Ask with a timeout", "why": WHY, "edits": list(edits), **more}
    if "problem" not in given:
        given.setdefault("finding_id", KNOWN.id)
    box = Toolbox("api", [ProposeEdit()], surroundings(bench, journal=journal or FakeJournal()), "claude-x")
    (result,) = await box.answer([ToolCall("c1", "propose_edit", given)], 1)
    return result


FIRST = {"file": "app.py", "old": "first = httpx.get(url)", "new": "first = httpx.get(url, timeout=5)"}


async def test_a_proposal_is_kept_with_who_wrote_it_and_nothing_is_written(bench: FakeWorkbench, tmp_path: Path):
    journal = FakeJournal()
    result = await propose(bench, FIRST, {"file": "limits.py", "new": "LIMIT = 5\n"}, journal=journal)
    assert not result.is_error, result.content
    (kept,) = bench.proposals.all()
    assert (kept.finding, kept.agent, kept.model) == (KNOWN.id, "api", "claude-x")
    assert [(c.path, c.before) for c in kept.changes] == [("app.py", APP), ("limits.py", None)]
    assert kept.changes[0].after == APP.replace(FIRST["old"], FIRST["new"])
    assert (tmp_path / "app.py").read_text() == APP and not (tmp_path / "limits.py").exists()
    assert journal.of("result")[0]["proposals"][0]["model"] == "claude-x"


async def test_edits_of_one_file_follow_each_other_and_a_second_proposal_takes_the_firsts_place(bench: FakeWorkbench):
    again = {"file": "app.py", "old": "timeout=5", "new": "timeout=9"}
    assert not (await propose(bench, FIRST, again)).is_error
    assert "timeout=9" in (bench.proposals.all()[0].changes[0].after or "")
    assert not (await propose(bench, FIRST)).is_error
    assert len(bench.proposals.all()) == 1 and "timeout=5" in (bench.proposals.all()[0].changes[0].after or "")


async def test_a_problem_of_its_own_becomes_a_finding(bench: FakeWorkbench):
    result = await propose(bench, FIRST, problem=PROBLEM)
    assert not result.is_error, result.content
    (kept,) = bench.proposals.all()
    found = bench.findings.get(kept.finding)
    assert found is not None and (found.rule, found.agent, found.mendable) == ("reviewed", "api", False)


async def test_line_ends_of_a_file_are_kept(bench: FakeWorkbench):
    assert not (await propose(bench, {"file": "dos.py", "old": "a = 1\nb = 2\n", "new": "a = 1\nb = 3\n"})).is_error
    assert bench.proposals.all()[0].changes[0].after == "a = 1\r\nb = 3\r\n"


@pytest.mark.parametrize(
    ("edits", "more", "words"),
    [
        ([{**FIRST, "old": "second = httpx"}], {}, "does not stand there"),
        ([{**FIRST, "old": ""}], {}, "does not stand there"),
        ([{**FIRST, "old": "httpx.get(url)"}], {}, "stands there 2 times"),
        ([{**FIRST, "old": "5: first"}], {}, "without line numbers"),
        ([{"file": "app.py", "new": "x"}], {}, "is there already"),
        ([{**FIRST, "file": "other.py"}], {}, "no source file"),
        ([{**FIRST, "file": "../other.py"}], {}, "no source file"),
        ([{"file": "../../tmp/evil.py", "new": "x = 1\n"}], {}, "leads out"),
        ([{"file": "tests/test_x.py", "new": "x = 1\n"}], {}, "protected"),
        ([{**FIRST, "new": "first = eval(url)"}], {}, "calls eval"),
        ([{**FIRST, "new": FIRST["old"]}], {}, "it changes nothing"),
        ([FIRST], {"finding_id": "0123456789"}, "no such finding"),
        ([FIRST], {"finding_id": None}, "either finding_id or problem"),
        ([FIRST], {"problem": {**PROBLEM, "line": 99}}, "has 6 lines"),
        ([FIRST], {"why": "because"}, "why: String should have at least"),
        ([], {}, "edits: List should have at least"),
        ([FIRST] * 13, {}, "edits: List should have at most"),
    ],
)
async def test_what_is_wrong_is_told(
    bench: FakeWorkbench, edits: list[dict[str, Any]], more: dict[str, Any], words: str
):
    result = await propose(bench, *edits, **more)
    assert result.is_error and words in result.content
    assert bench.proposals.all() == ()


async def test_no_way_leads_through_a_link(bench: FakeWorkbench, tmp_path: Path):
    outside = tmp_path.parent / f"{tmp_path.name}-outside"
    outside.mkdir()
    (tmp_path / "linked").symlink_to(outside)
    (tmp_path / "app.py").unlink()
    (tmp_path / "app.py").symlink_to(outside / "app.py")
    through = await propose(bench, FIRST)
    assert through.is_error and "goes through a link" in through.content
    new = await propose(bench, {"file": "linked/new.py", "new": "x = 1\n"})
    assert new.is_error
    assert list(outside.iterdir()) == []


async def test_an_agents_proposals_are_bounded(bench: FakeWorkbench):
    for number in range(MOST_OF_AN_AGENT):
        assert not (await propose(bench, FIRST, problem={**PROBLEM, "title": f"Problem {number}"})).is_error
    more = await propose(bench, FIRST, problem={**PROBLEM, "title": "One more"})
    assert more.is_error and "no more are taken" in more.content
    assert not (await propose(bench, FIRST, problem={**PROBLEM, "title": "Problem 3"})).is_error
    assert len(bench.proposals.all()) == MOST_OF_AN_AGENT


async def test_a_resumed_run_has_the_proposals_of_its_journal(bench: FakeWorkbench):
    journal = FakeJournal()
    await propose(bench, FIRST, problem=PROBLEM, journal=journal)
    await propose(bench, FIRST, journal=journal)
    beginning = {"kind": "conversation", "agent": "api", "model": "claude-x", "system": "", "messages": []}
    recall = Recall([beginning, *({"kind": kind, **record} for kind, record in journal.records)])
    assert tuple(recall.proposals) == bench.proposals.all()
    assert [finding.rule for finding, _ in recall.findings] == ["reviewed"]
