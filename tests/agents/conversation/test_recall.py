"""A run that is cut off at any record of its journal goes on: nothing is paid, run or reported a second time."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from swarm.agents.conversation.loop import LoopLimits
from swarm.agents.conversation.recall import Recall
from swarm.agents.conversation.records import result_record
from swarm.agents.conversation.surroundings import Candidate
from swarm.agents.specialist import SpecialistResult, run_specialist
from swarm.config.schema import Specialist
from swarm.console.journal import NAME, FileJournal, read_journal
from swarm.core.chat import (
    Conversation,
    ModelFailed,
    Opaque,
    Text,
    ToolCall,
    ToolResult,
    ToolSpec,
    Turn,
    TurnLimits,
    Usage,
)
from swarm.core.chat_codec import turn_of, turn_record
from swarm.core.errors import UsageError
from swarm.tools.tool import Answer, Arguments, Tool
from tests.fakes import finding, surroundings, workbench

SECRET = "hunter2-of-the-target"
TOOLS = ("alpha", "beta", "gamma")
CHARTER = Specialist(tools=["Read"])
PRIMARY, SECOND = "claude-opus-5-5", "claude-sonnet-5-5"


class Look(Tool):
    """Finds one thing; counts how often it ran."""

    group = "Read"
    description = "looks"
    arguments = Arguments

    def __init__(self, name: str, ran: list[str]) -> None:
        self.name, self._ran = name, ran  # type: ignore[misc]

    async def run(self, arguments: Any, bench: Any) -> Answer:
        self._ran.append(self.name)
        found = finding(f"rule-of-{self.name}", mendable=True, evidence=f"key = {SECRET}", measured_ms=12.5)
        return Answer(f"{self.name} saw {SECRET}", (found,))


class Scripted:
    """A pure function of the conversation, as a model with no chance in it; counts the turns that were paid."""

    provider = "anthropic"

    def __init__(self, paid: list[str], *, fails_at: int | None = None) -> None:
        self._paid, self._fails_at = paid, fails_at

    async def next_turn(self, conversation: Conversation, tools: list[ToolSpec], limits: TurnLimits) -> Turn:
        said = sum(message.role == "assistant" for message in conversation.messages)
        if said == self._fails_at:
            raise ModelFailed("retired", retryable=False)
        self._paid.append(f"{conversation.model} {said}")
        usage = Usage(100, 10, 5, 7)
        if said == 0:
            thought = Opaque({"type": "thinking", "thinking": "hm", "signature": "s"})
            both = (ToolCall("c1", "alpha", {}), ToolCall("c2", "beta", {}), ToolCall("c3", "nothing", {}))
            return Turn((thought, *both), "tool_use", usage, conversation.model)
        if said == 1:
            return Turn((Text("let me see"),), "end_turn", usage, conversation.model)
        if said == 2:
            return Turn(
                (ToolCall("c4", "gamma", {}), ToolCall("c5", "submit", {})), "tool_use", usage, conversation.model
            )
        ids = [finding(f"rule-of-{name}").id for name in TOOLS]
        wanted = {"finding_ids": ids, "fixes": ids[:2], "notes": "done"}
        return Turn((ToolCall("c6", "submit", wanted),), "tool_use", usage, conversation.model)

    async def count_tokens(self, conversation: Conversation, tools: list[ToolSpec]) -> int | None:
        return None

    async def close(self) -> None:
        pass


class Attempt:
    """One process's worth of a specialist, over the journal in `folder`."""

    def __init__(self, folder: Path, root: Path, *, primary_fails: bool) -> None:
        self.paid: list[str] = []
        self.ran: list[str] = []
        self.folder, self.root = folder, root
        first = Scripted(self.paid, fails_at=1 if primary_fails else None)
        self.candidates = (Candidate(first, PRIMARY), Candidate(Scripted(self.paid), SECOND))

    def run(self) -> SpecialistResult:
        return asyncio.run(self._run())

    async def _run(self) -> SpecialistResult:
        def mask(text: str) -> str:
            return text.replace(SECRET, "«masked»")

        recall = Recall(read_journal(self.folder)) if (self.folder / NAME).exists() else Recall()
        bench = workbench(self.root)
        for found, agent in recall.findings:
            bench.findings.add(found, agent)
        journal = FileJournal(self.folder, mask)
        try:
            around = surroundings(bench, journal=journal, mask=mask, recall=recall)
            tools = [Look(name, self.ran) for name in TOOLS]
            return await run_specialist(
                "a", CHARTER, self.candidates, around, tools=tools, limits=LoopLimits(first_wait_s=0)
            )
        finally:
            journal.close()


def shape(result: SpecialistResult) -> Any:
    """All of a result but times and the words of evidence, which the journal holds masked."""
    info = result.info
    tokens = (info.turns, info.tool_calls, info.input_tokens, info.output_tokens, info.cache_read_tokens)
    places = sorted((f.id, f.rule, f.agent, f.measured_ms, f.mendable) for f in result.findings)
    return places, result.fixes, result.notes, info.model, info.status, tokens


@pytest.mark.parametrize("primary_fails", [False, True], ids=["one-model", "second-takes-over"])
@pytest.mark.parametrize("torn", [False, True], ids=["between-records", "inside-a-record"])
def test_a_run_that_is_cut_at_any_record_goes_on(tmp_path: Path, primary_fails: bool, torn: bool):
    whole = Attempt(tmp_path / "whole", tmp_path, primary_fails=primary_fails)
    expected = whole.run()
    assert whole.ran.count("gamma") == 1 and len(whole.paid) == (5 if primary_fails else 4)
    lines = (tmp_path / "whole" / NAME).read_bytes().splitlines(keepends=True)
    kinds = [record["kind"] for record in read_journal(tmp_path / "whole")]
    assert len(lines) > 10
    for cut in range(len(lines) + 1):
        folder = tmp_path / f"cut-{cut}"
        folder.mkdir()
        tail = lines[cut][: len(lines[cut]) // 2] if torn and cut < len(lines) else b""
        (folder / NAME).write_bytes(b"".join(lines[:cut]) + tail)
        again = Attempt(folder, tmp_path, primary_fails=primary_fails)
        result = again.run()
        assert shape(result) == shape(expected), f"cut after {cut} records"
        assert len(again.paid) == len(whole.paid) - kinds[:cut].count("turn"), f"cut after {cut} records"
        results = [record for record in read_journal(folder) if record["kind"] == "result"]
        finished = {(record["turn"], record["result"]["call_id"]) for record in results}
        # each of a conversation's calls has one result in the journal, whichever attempt it is of
        assert len(results) == kinds.count("result") and len(finished) >= 6
        once_more = Attempt(folder, tmp_path, primary_fails=primary_fails)
        assert shape(once_more.run()) == shape(expected)
        assert once_more.paid == [] and once_more.ran == []


def test_what_is_not_there_is_run_and_only_that(tmp_path: Path):
    Attempt(tmp_path / "whole", tmp_path, primary_fails=False).run()
    lines = (tmp_path / "whole" / NAME).read_bytes().splitlines(keepends=True)
    kept = [line for line in lines[2:] if b'"result"' in line and b'"turn": 1' in line and b'"c2"' not in line]
    (tmp_path / "cut").mkdir()
    (tmp_path / "cut" / NAME).write_bytes(b"".join([*lines[:2], *kept]))
    again = Attempt(tmp_path / "cut", tmp_path, primary_fails=False)
    again.run()
    assert again.ran == ["beta", "gamma"]


def test_another_charter_takes_nothing_from_the_journal(tmp_path: Path):
    Attempt(tmp_path / "whole", tmp_path, primary_fails=False).run()
    records = read_journal(tmp_path / "whole")
    next(r for r in records if r["kind"] == "conversation")["system"] = "another charter"
    beginning = {key: value for key, value in read_journal(tmp_path / "whole")[0].items() if key != "kind"}
    assert Recall(records).conversation("a", beginning).beginning is None
    assert len(Recall(read_journal(tmp_path / "whole")).conversation("a", beginning).turns) == 4


def test_a_thinking_block_that_would_be_masked_is_left_out_and_not_sent_back_broken():
    turn = Turn((Opaque({"thinking": SECRET}), Opaque({"thinking": "fine"}), Text("x")), "end_turn", Usage(1), "m")
    back = turn_of(turn_record("a", 1, turn, lambda text: text.replace(SECRET, "«masked»")))
    assert back.blocks == (Opaque({"thinking": "fine"}), Text("x"))


def test_two_swarms_never_go_on_with_one_run(tmp_path: Path):
    first = FileJournal(tmp_path / "run", str)
    with pytest.raises(UsageError, match="still running"):
        FileJournal(tmp_path / "run", str)
    first.close()
    FileJournal(tmp_path / "run", str).close()


def test_a_finding_whose_id_the_mask_has_changed_is_looked_for_again():
    found = finding(anchor=f"connect({SECRET!r})")

    def mask(text: str) -> str:
        return text.replace(SECRET, "«masked»")

    record = result_record("a", 1, ToolResult("c", "seen"), [found, finding("other")], mask)
    began = {"kind": "conversation", "agent": "a"}
    assert Recall([began, {"kind": "result", **record}]).findings == []
    plain = result_record("a", 1, ToolResult("c", "seen"), [found, finding("other")], str)
    assert [one.id for one, _ in Recall([began, {"kind": "result", **plain}]).findings] == list(plain["finding_ids"])


def test_half_characters_come_through_the_journal(tmp_path: Path):
    journal = FileJournal(tmp_path / "run", str)
    journal.append("result", {"agent": "a", "text": "a name \udcff of a file, and 🦊"})
    journal.close()
    (record,) = read_journal(tmp_path / "run")
    assert record["text"] == "a name \udcff of a file, and 🦊"
