from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any, ClassVar

import pytest

from swarm.agents.charters import full_charter
from swarm.agents.conversation.budget import RunBudget
from swarm.agents.conversation.loop import LoopLimits
from swarm.agents.conversation.surroundings import Candidate
from swarm.agents.specialist import run_specialist
from swarm.config.schema import Specialist
from swarm.core.chat import Conversation, ModelFailed, Turn
from swarm.core.events import AgentFinished, AgentStarted, FindingReported, ToolFinished, ToolStarted
from swarm.core.findings import Finding
from swarm.models.playbook import PlaybookModel, Step
from swarm.models.prices import load_prices
from swarm.tools.registry import all_tools, tools_for
from swarm.tools.tool import Answer, Tool
from swarm.tools.workbench import Workbench
from tests.fakes import FakeClock, FakeModel, FakeSink, calls, finding, says, surroundings, workbench

SLOW = finding("slow", mendable=True)
ODD = finding("odd", line=7, mendable=False)
PROVEN = finding("proven", line=9, confidence="proven")
FAST = LoopLimits(first_wait_s=0.01)


class Scan(Tool):
    name = "scan"
    group = "Performance-Analysis"
    description = "scans"
    given: ClassVar[tuple[Finding, ...]] = (SLOW, ODD, PROVEN)

    async def run(self, arguments: Any, bench: Workbench) -> Answer:
        from swarm.tools.digests import findings_answer

        return findings_answer(self.given, brought=self.given)


class Nap(Tool):
    name = "nap"
    group = "Error-Analysis"
    description = "takes its time"

    async def run(self, arguments: Any, bench: Workbench) -> Answer:
        async with bench.lease.working():
            await asyncio.sleep(0.15)
        return Answer("{}")


TOOLS = (Scan(), Nap())
ONE = Specialist(tools=["Performance-Analysis"], description="make it fast", focus="speed", max_turns=8)
PLAYBOOK = Candidate(PlaybookModel({"scan": Step(0), "nap": Step(1)}), "playbook")


@pytest.fixture
def bench(tmp_path: Path) -> Workbench:
    (tmp_path / "app.py").write_text("a\nb\nc\n")
    return workbench(tmp_path)


async def test_the_playbook_reports_everything_and_wants_every_possible_fix(bench: Workbench):
    sink = FakeSink()
    result = await run_specialist("perf", ONE, [PLAYBOOK], surroundings(bench, emit=sink), tools=TOOLS)
    assert {f.id for f in result.findings} == {SLOW.id, ODD.id, PROVEN.id}
    assert all(f.agent == "perf" for f in result.findings)
    assert result.fixes == (SLOW.id,)
    info = result.info
    assert (info.status, info.model, info.provider, info.tokens_are) == ("done", "playbook", "offline", "estimated")
    assert (info.findings, info.cost_usd, info.tool_calls, info.focus) == (3, 0.0, 2, "speed")
    assert [name for name, _, _ in info.tool_spans] == ["scan"]
    assert "no free-form edits" in result.notes
    assert len(sink.of(FindingReported)) == 3
    assert [type(event) for event in (sink.events[0], sink.events[-1])] == [AgentStarted, AgentFinished]


async def test_a_specialist_gets_the_tools_that_it_names_and_no_others(bench: Workbench):
    model = FakeModel(calls(("nap", {})), calls(("submit", {"finding_ids": []})))
    await run_specialist("perf", ONE, [Candidate(model, "m")], surroundings(bench), tools=TOOLS)
    assert {spec.name for spec in model.specs} == {"scan", "read_artifact", "submit"}
    refused = model.seen[1].messages[-1].blocks[0]
    assert refused.is_error and "no tool 'nap'" in refused.content
    system = model.seen[0].system
    assert "make it fast" in system and "Focus: speed" in system and "${" not in system


async def test_a_failed_model_hands_over_to_the_playbook_and_the_report_says_so(bench: Workbench):
    broken = FakeModel(calls(("scan", {})), ModelFailed("HTTP 401: bad key", retryable=False), provider="anthropic")
    result = await run_specialist(
        "perf", ONE, [Candidate(broken, "claude"), PLAYBOOK], surroundings(bench), tools=TOOLS, limits=FAST
    )
    assert result.info.status == "degraded"
    assert result.info.model == "playbook"
    assert "HTTP 401" in result.info.note
    assert result.fixes == (SLOW.id,)
    assert result.info.turns == 3


async def test_without_a_fallback_a_dead_model_is_a_failed_agent(bench: Workbench):
    dead = Candidate(FakeModel(ModelFailed("no key", retryable=False)), "claude")
    result = await run_specialist("perf", ONE, [dead], surroundings(bench), tools=TOOLS)
    assert result.info.status == "failed"
    assert result.findings == () and result.fixes == ()
    assert "no key" in result.info.note


async def test_ending_without_a_submission_keeps_what_was_found(bench: Workbench):
    model = FakeModel(calls(("scan", {})), says("bye"), says("bye"), says("bye"))
    result = await run_specialist("perf", ONE, [Candidate(model, "m")], surroundings(bench), tools=TOOLS)
    assert result.info.status == "degraded"
    assert result.fixes == (SLOW.id,)
    assert len(result.findings) == 3


async def test_what_a_model_leaves_out_is_disputed_and_stays_but_not_what_was_proven(bench: Workbench):
    new = {"title": "A lock is held too long", "category": "performance", "severity": "low", "file": "app.py",
           "line": 2, "evidence": "b", "recommendation": "hold it shorter"}  # fmt: skip
    submission = {"finding_ids": [SLOW.id], "fixes": [SLOW.id], "new_findings": [new], "notes": "read it all"}
    model = FakeModel(calls(("scan", {})), calls(("submit", submission), first=9))
    result = await run_specialist("perf", ONE, [Candidate(model, "m")], surroundings(bench), tools=TOOLS)
    assert {f.rule for f in result.findings} == {"slow", "odd", "proven", "reviewed"}
    assert result.disputed == {ODD.id}
    assert result.info.status == "done"
    assert "1 findings of the rules are called wrong" in result.notes


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"finding_ids": ["0123456789"]}, "no such finding"),
        ({"fixes": [ODD.id]}, "no rule can mend"),
        ({"new_findings": [{"file": "../x.py", "line": 1}]}, "leads out"),
        ({"new_findings": [{"file": "app.py", "line": 99}]}, "has 3 lines"),
        ({"new_findings": [{"file": "nowhere.py", "line": 1}]}, "does not exist"),
    ],
)
async def test_a_submission_is_checked(bench: Workbench, change: dict[str, Any], words: str):
    rest = {"title": "A title", "category": "api", "severity": "low", "evidence": "", "recommendation": "mend it"}
    wrong = {"finding_ids": [], **change}
    if "new_findings" in wrong:
        wrong["new_findings"] = [{**rest, **item} for item in wrong["new_findings"]]
    good = calls(("submit", {"finding_ids": []}), first=20)
    model = FakeModel(calls(("scan", {})), calls(("submit", wrong), first=9), good)
    await run_specialist("perf", ONE, [Candidate(model, "m")], surroundings(bench), tools=TOOLS)
    told = model.seen[2].messages[-1].blocks[0]
    assert told.is_error and words in told.content


async def test_all_mistakes_of_a_submission_are_told_at_once_and_a_second_wrong_one_ends_it(bench: Workbench):
    new = {"title": "A title", "category": "api", "severity": "low", "evidence": "", "recommendation": "mend it",
           "file": "nowhere.py", "line": 1}  # fmt: skip
    wrong = {"finding_ids": ["0123456789"], "fixes": [ODD.id], "new_findings": [new]}
    again = [calls(("submit", wrong), first=n) for n in (9, 10)]
    model = FakeModel(calls(("scan", {})), *again)
    result = await run_specialist("perf", ONE, [Candidate(model, "m")], surroundings(bench), tools=TOOLS)
    told = model.seen[2].messages[-1].blocks[0].content
    assert all(words in told for words in ("no such finding", "no rule can mend", "does not exist"))
    assert result.info.status == "degraded" and result.info.turns == 3
    assert "submit was wrong 2 times" in result.notes and result.findings  # what its tools found stays


async def test_specialists_run_in_parallel(bench: Workbench):
    """Their spans overlap, and the wall time is far below the sum of what each took."""
    sink, clock = FakeSink(), FakeClock(live=True)
    around = surroundings(bench, emit=sink, clock=clock)
    napping = Specialist(tools=["Error-Analysis"])
    results = await asyncio.gather(
        *(run_specialist(f"agent{n}", napping, [PLAYBOOK], around, tools=TOOLS) for n in range(4))
    )
    infos = [result.info for result in results]
    assert max(info.started_s for info in infos) < min(info.finished_s for info in infos)
    taken_s = sum(info.finished_s - info.started_s for info in infos)
    wall_s = max(info.finished_s for info in infos) - min(info.started_s for info in infos)
    assert taken_s > 4 * 0.15
    assert wall_s < 0.75 * taken_s, "a busy machine makes both longer"
    kinds = [type(event) for event in sink.events if isinstance(event, (ToolStarted, ToolFinished))]
    assert kinds[:4] == [ToolStarted] * 4


async def test_one_that_fails_does_not_take_the_others_down(bench: Workbench):
    dead = Candidate(FakeModel(ModelFailed("gone", retryable=False)), "claude")
    around = surroundings(bench)
    bad, good = await asyncio.gather(
        run_specialist("bad", ONE, [dead], around, tools=TOOLS),
        run_specialist("good", ONE, [PLAYBOOK], around, tools=TOOLS),
    )
    assert (bad.info.status, good.info.status) == ("failed", "done")


async def test_what_one_did_that_is_cut_off_is_told(bench: Workbench):
    asked = asyncio.Event()

    class Silent(FakeModel):
        async def next_turn(self, conversation: Conversation, tools: Any, limits: Any) -> Turn:
            if len(conversation.messages) > 1:
                asked.set()
                await asyncio.sleep(60)
            return await super().next_turn(conversation, tools, limits)

    sink, budget = FakeSink(), RunBudget(FakeClock(), load_prices())
    around = surroundings(bench, clock=FakeClock(live=True), budget=budget, emit=sink)
    model = Silent(calls(("scan", {})), provider="anthropic")
    task = asyncio.create_task(
        run_specialist("perf", ONE, [Candidate(model, "claude-sonnet-5-5")], around, tools=TOOLS, limits=FAST)
    )
    await asked.wait()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert task.cancelled()
    (told,) = around.cut_off
    assert (told.name, told.status, told.note, told.turns, told.tool_calls) == ("perf", "degraded", "cut off", 1, 1)
    assert (told.input_tokens, told.findings, [span[0] for span in told.tool_spans]) == (10, 3, ["scan"])
    assert told.cost_usd is not None and told.cost_usd > 0
    (ended,) = sink.of(AgentFinished)
    assert (ended.agent, ended.status, ended.note) == ("perf", "degraded", "cut off")
    assert "1 turn of perf had no answer yet" in around.budget.notes[0]


def test_the_four_specialists_of_the_seed_each_get_a_charter_to_walk():
    groups = {
        "performance": ["Bash", "Read", "Performance-Analysis", "API-Testing"],
        "security": ["Read", "Security-Scanners", "API-Testing", "Compliance-Tools"],
        "api": ["Read", "API-Testing", "Error-Analysis", "Bash"],
        "monitoring": ["Bash", "Monitoring-Tools", "Alerting-Setup"],
    }
    charter = full_charter()
    for category, names in groups.items():
        walked = {tool.name for tool in tools_for(names) if tool.name in charter}
        assert any(category in name or name == "find_monitoring_gaps" for name in walked), walked
    assert len({tool.name for tool in all_tools()}) == len(all_tools())
