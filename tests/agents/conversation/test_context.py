"""What a model is shown of long results, how it asks for more, and what leaves a conversation once it has served."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from swarm.agents.conversation.artifacts import Artifacts, ReadArtifact, as_lines, outline
from swarm.agents.conversation.clearing import Clearing, clear
from swarm.agents.conversation.loop import LoopLimits, Outcome, converse
from swarm.agents.conversation.recall import Recall
from swarm.agents.conversation.surroundings import Candidate
from swarm.agents.specialist import run_specialist
from swarm.config.schema import Specialist
from swarm.core.chat import Conversation, Message, Opaque, Text, ToolCall, ToolResult, Turn, Usage
from swarm.core.errors import ToolFailed
from swarm.core.findings import Finding
from swarm.models.anthropic import AnthropicModel
from swarm.models.playbook import PlaybookModel, Step
from swarm.models.untrusted import unmark
from swarm.tools.digests import findings_answer
from swarm.tools.tool import SHOWN_CHARS, Answer, Arguments, Tool, as_json
from tests.agents.samples import done
from tests.fakes import FakeJournal, FakeModel, calls, finding, surroundings, workbench
from tests.strict_server import Say, StrictServer, thinking, tool_use

START = Conversation("a", "m", "s", (Message("user", (Text("go"),)),))
SUBMIT = ("submit", {"answer": 42})


class Numbers(Tool):
    """Gives a long list."""

    name = "numbers"
    group = "Read"
    description = "gives numbers"
    arguments = Arguments
    rows = 400

    async def run(self, arguments: Any, bench: Any) -> Answer:
        return Answer(
            as_json({"rows": [{"n": n, "words": f"row {n} hunter2"} for n in range(self.rows)], "unit": "ms"})
        )


class Scan(Tool):
    """Gives many findings."""

    name = "scan"
    group = "Read"
    description = "finds"
    arguments = Arguments

    def __init__(self, given: tuple[Finding, ...]) -> None:
        self.given = given

    async def run(self, arguments: Any, bench: Any) -> Answer:
        return findings_answer(self.given, brought=self.given)


class Part(Tool):
    """One of many long parts."""

    name = "part"
    group = "Read"
    description = "gives a part"

    class Which(Arguments):
        n: int

    arguments = Which

    async def run(self, arguments: Any, bench: Any) -> Answer:
        return Answer(f"part {arguments.n}: " + "words of it. " * 300)


def results(conversation: Conversation) -> list[ToolResult]:
    return [b for m in conversation.messages for b in m.blocks if isinstance(b, ToolResult)]


async def test_a_long_result_is_shown_in_short_and_read_in_ranges(tmp_path: Path) -> None:
    asked: list[str] = []

    def read(conversation: Conversation) -> Turn:
        (result,) = results(conversation)
        assert len(result.content) < SHOWN_CHARS
        told = json.loads(unmark(result.content))
        assert told["shape"] == {"rows": "list of 400", "unit": "text of 2 characters"}
        assert told["head"][0] == "rows (400):" and '"n":0' in told["head"][1]
        handle = told["artifact"]["handle"]
        asked.append(handle)
        return calls(
            ("read_artifact", {"handle": handle, "first_line": 300, "last_line": 302}),
            ("read_artifact", {"handle": handle, "containing": "ROW 399"}),
            ("read_artifact", {"handle": "r0000000000"}),
            first=5,
        )

    model = FakeModel(calls(("numbers", {})), read, calls(SUBMIT, first=9))
    around = surroundings(workbench(tmp_path), mask=lambda text: text.replace("hunter2", "***"))
    outcome = await converse(model, START, [Numbers(), ReadArtifact(around.artifacts)], done(), around)
    assert outcome.ending == "submitted" and asked
    _, ranged, found, wrong, _ = results(outcome.conversation)
    assert [line.split(":")[0] for line in unmark(ranged.content).splitlines()[1:]] == ["300", "301", "302"]
    assert '"n":298' in ranged.content and '"n":399' in found.content
    assert wrong.is_error and "no artifact" in wrong.content
    assert "hunter2" not in repr(outcome.conversation)
    assert outcome.toolbox.artifacts == 1


async def test_short_results_stay_as_they_are(tmp_path: Path) -> None:
    few = Numbers()
    few.rows = 5
    model = FakeModel(calls(("numbers", {})), calls(SUBMIT, first=9))
    around = surroundings(workbench(tmp_path))
    outcome = await converse(model, START, [few], done(), around)
    assert json.loads(unmark(results(outcome.conversation)[0].content))["rows"][4]["n"] == 4
    assert len(around.artifacts) == 0


def test_ranges_of_json_are_items_and_of_text_lines() -> None:
    assert as_lines('{"hits":["a","b"],"log":"x\\ny","n":1}') == (
        "hits (2):", '  "a"', '  "b"', "log:", "  x", "  y", "n: 1",
    )  # fmt: skip
    assert as_lines("[1,2]") == ("1", "2")
    assert as_lines("{broken\nx") == ("{broken", "x")
    assert as_lines("") == ("",)
    assert len(as_json(outline("x" * 100_000))) < SHOWN_CHARS


def test_a_handle_is_the_same_in_every_run() -> None:
    one, other = Artifacts(), Artifacts()
    assert one.keep("some text") == other.keep("some text") != other.keep("another")
    with pytest.raises(ToolFailed):
        one.lines("r123")


# --- clearing


def parts_model(turns: int) -> FakeModel:
    return FakeModel(*[calls(("part", {"n": n}), first=n) for n in range(1, turns + 1)], calls(SUBMIT, first=99))


async def talk_of_parts(tmp_path: Path, rule: Clearing, turns: int = 12) -> tuple[Outcome, FakeModel]:
    model = parts_model(turns)
    limits = LoopLimits(max_turns=40, clearing=rule)
    outcome = await converse(model, START, [Part()], done(), surroundings(workbench(tmp_path)), limits)
    assert outcome.ending == "submitted"
    return outcome, model


async def test_results_that_have_served_leave_the_conversation_in_pairs(tmp_path: Path) -> None:
    outcome, model = await talk_of_parts(tmp_path, Clearing(over_tokens=5, keep_turns=2, least_tokens=2_000))
    last = model.seen[-1].messages
    assert [m.role for m in last] == ["user", *["assistant", "user"] * 12]
    asked = [b.id for m in last for b in m.blocks if isinstance(b, ToolCall)]
    assert [r.call_id for r in results(model.seen[-1])] == asked
    shown, whole = results(model.seen[-1]), results(outcome.conversation)
    assert len(shown[0].content) < 300 and shown[-2:] == whole[-3:-1]
    assert outcome.tally.cleared >= 8
    # the whole of it is kept for whoever counts, and can be asked for again
    assert all(len(r.content) > 3_000 for r in results(outcome.conversation)[:-1])


async def test_it_is_cleared_seldom_so_that_the_cache_lasts(tmp_path: Path) -> None:
    """Between two clearings each request begins with all of the one before it."""
    _, model = await talk_of_parts(tmp_path, Clearing(over_tokens=5, keep_turns=2, least_tokens=3_000))
    kept = [after.messages[: len(before.messages)] == before.messages for before, after in pairwise(model.seen)]
    assert 1 <= kept.count(False) <= 4


@pytest.mark.parametrize("rule", [Clearing(over_tokens=0), Clearing(over_tokens=10_000_000)])
async def test_a_small_context_is_left_alone(tmp_path: Path, rule: Clearing) -> None:
    outcome, model = await talk_of_parts(tmp_path, rule)
    assert outcome.tally.cleared == 0
    assert model.seen[-1].messages == outcome.conversation.messages[:-2]


def test_words_thoughts_calls_and_errors_are_never_touched() -> None:
    thought = Opaque({"type": "thinking", "thinking": "hm", "signature": "s"})
    said = Message("assistant", (thought, Text("look"), ToolCall("1", "part", {}), ToolCall("2", "part", {})))
    told = Message(
        "user", (ToolResult("1", "x" * 9000, served="y"), ToolResult("2", "no" * 900, True), Text("go on"))
    )
    done_ = clear([*START.messages, said, told, said, told, said, told], Clearing(1, 1, 1))
    assert done_ is not None and done_.results == 2
    assert done_.messages[1] is said and done_.messages[-1] is told
    assert done_.messages[2].blocks == (ToolResult("1", "y"), *told.blocks[1:])
    assert clear([*START.messages, said, told], Clearing(1, 1, 1)) is None


async def test_no_finding_is_lost_to_clearing(tmp_path: Path) -> None:
    """The playbook submits from its conversation alone: what was cleared still names every finding."""
    many = tuple(finding(f"rule-{n % 9}", line=n, evidence="e" * 150, mendable=n % 2 == 0) for n in range(1, 120))
    charter = {"scan": Step(0), **{f"part{n}": Step(n, {"n": n}) for n in range(1, 9)}}
    parts = [type(f"Part{n}", (Part,), {"name": f"part{n}"})() for n in range(1, 9)]
    limits = LoopLimits(clearing=Clearing(over_tokens=3_000, least_tokens=1_000))
    around = surroundings(workbench(tmp_path))
    result = await run_specialist(
        "a", Specialist(tools=["Read"]), [Candidate(PlaybookModel(charter), "playbook")], around,
        tools=[Scan(many), *parts], limits=limits,
    )  # fmt: skip
    assert {f.id for f in result.findings} == {f.id for f in many}
    assert set(result.fixes) == {f.id for f in many if f.mendable}
    assert result.info.cleared > 3 and result.info.status == "done"


async def test_what_is_cleared_goes_through_the_strict_server_with_thoughts_in_between(tmp_path: Path) -> None:
    said = [
        Say(
            [thinking(f"step {n}"), tool_use(f"a{n}", "part", {"n": n}), tool_use(f"b{n}", "part", {"n": -n})],
            "tool_use",
        )
        for n in range(1, 9)
    ]
    server = StrictServer(*said, Say([tool_use("z", "submit", {"answer": 42})], "tool_use"))
    async with server.running():
        model = AnthropicModel(server.environ())
        limits = LoopLimits(clearing=Clearing(over_tokens=20, keep_turns=1, least_tokens=2_000))
        outcome = await converse(model, START, [Part()], done(), surroundings(workbench(tmp_path)), limits)
        await model.close()
    assert (server.mistakes, outcome.ending) == ([], "submitted")
    first = server.requests[-1]["messages"][2]["content"]
    assert [block["tool_use_id"] for block in first] == ["a1", "b1"]
    assert all("read_artifact" in block["content"] and len(block["content"]) < 300 for block in first)
    assert server.requests[-1]["messages"][1]["content"][0] == thinking("step 1")
    prefixes = {json.dumps([body["system"], body["tools"]]) for body in server.requests}
    assert len(prefixes) == 1
    marks = [json.dumps(body).count('"cache_control"') for body in server.requests]
    assert marks[0] == 3 and set(marks[1:]) == {4}


# --- resume


async def test_artifacts_and_clearing_come_back_from_the_journal(tmp_path: Path) -> None:
    """A resumed conversation is shown the very same words, and its handles still lead somewhere."""
    rule = LoopLimits(max_turns=40, clearing=Clearing(over_tokens=5, keep_turns=1, least_tokens=1_000))

    async def run(recall: Recall, journal: FakeJournal, *steps: Any) -> tuple[Outcome, FakeModel, Artifacts]:
        around = surroundings(workbench(tmp_path), journal=journal, recall=recall)
        model = FakeModel(*steps)
        tools = [Numbers(), Part(), ReadArtifact(around.artifacts)]
        told = recall.conversation("a", {"agent": "a"})
        return await converse(model, START, tools, done(), around, rule, told), model, around.artifacts

    script = [calls(("numbers", {})), *[calls(("part", {"n": n}), first=10 + n) for n in range(8)]]
    whole_journal = FakeJournal()
    _, whole, artifacts = await run(Recall(), whole_journal, *script, calls(SUBMIT, first=99))
    records = [{"kind": "conversation", "agent": "a"}]
    records += [{"kind": kind, **record} for kind, record in json.loads(json.dumps(whole_journal.records))]
    cut = next(n for n, r in enumerate(records) if r["kind"] == "result" and r["turn"] == 6)
    recall = Recall(records[: cut + 1])
    outcome, again, restored = await run(recall, FakeJournal(), *script[6:], calls(SUBMIT, first=99))
    assert outcome.ending == "submitted"
    assert [c.messages for c in again.seen] == [c.messages for c in whole.seen[6:]]
    handle = json.loads(unmark(results(outcome.conversation)[0].content))["artifact"]["handle"]
    assert restored.lines(handle) == artifacts.lines(handle)
    assert outcome.toolbox.artifacts == 1 and outcome.tally.usage == Usage(100, 50)
