"""What the loop expects of a Model, asked of both adapters: the Messages API (a strict local server) and playbook."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from swarm.agents.casting import cast
from swarm.agents.conversation.budget import Limits, RunBudget
from swarm.agents.conversation.loop import LoopLimits, converse
from swarm.agents.conversation.surroundings import Candidate
from swarm.agents.specialist import run_specialist
from swarm.config.schema import Specialist
from swarm.core.chat import Conversation, Message, Text, ToolCall, ToolResult, TurnLimits
from swarm.core.ports import Model
from swarm.models.anthropic import AnthropicModel
from swarm.models.playbook import PlaybookModel, Step
from swarm.models.prices import load_prices
from tests.agents.samples import Echo, done
from tests.fakes import FakeClock, FakeJournal, finding, surroundings, workbench
from tests.strict_server import Break, Refuse, Say, StrictServer, text, thinking, tool_use

START = Conversation("a", "claude-sonnet-5-5", "charter", (Message("user", (Text("go"),)),))


def _second(body: dict[str, Any]) -> Say:
    """Answers as the playbook does: by what the results say."""
    return Say([text("All seen."), tool_use("t9", "submit", {"answer": 42})], "tool_use")


@asynccontextmanager
async def model_of(kind: str) -> AsyncIterator[tuple[Model, StrictServer | None]]:
    if kind == "playbook":
        # Its submission has other fields than this closing call takes: it must cope with the refusal.
        yield PlaybookModel({"echo": Step(0, {"words": "x"})}), None
        return
    first = Say([thinking("hm"), tool_use("t1", "echo", {"words": "a"}), tool_use("t2", "echo", {"words": "fail"})],
                "tool_use")  # fmt: skip
    server = StrictServer(first, _second)
    async with server.running():
        model = AnthropicModel(server.environ())
        yield model, server
        await model.close()


@pytest.mark.parametrize("kind", ["anthropic", "playbook"])
async def test_a_whole_conversation_through_the_loop(kind: str, tmp_path: Path):
    async with model_of(kind) as (model, server):
        outcome = await converse(model, START, [Echo()], done(), surroundings(workbench(tmp_path)))
    assert outcome.ending == ("submitted" if kind == "anthropic" else "end_turn")
    assert outcome.tally.turns >= 2
    assert outcome.tally.usage.estimated is (kind == "playbook")
    assert outcome.tally.usage.input_tokens > 0 and outcome.tally.usage.output_tokens > 0
    asked = [b.id for m in outcome.conversation.messages for b in m.blocks if isinstance(b, ToolCall)]
    told = [b.call_id for m in outcome.conversation.messages for b in m.blocks if isinstance(b, ToolResult)]
    assert asked == told and len(set(asked)) == len(asked)
    if server is not None:
        assert server.mistakes == []
        assert len(server.requests) == 2


@pytest.mark.parametrize("kind", ["anthropic", "playbook"])
async def test_a_count_is_what_a_turn_reads_or_none(kind: str):
    specs = [Echo().spec(), done().spec()]
    async with model_of(kind) as (model, _):
        counted = await model.count_tokens(START, specs)
        turn = await model.next_turn(START, specs, TurnLimits(deadline_s=10))
    assert counted is None or counted == turn.usage.context_tokens


@pytest.mark.parametrize("kind", ["anthropic", "playbook"])
async def test_a_turn_names_only_tools_that_it_was_given(kind: str, tmp_path: Path):
    async with model_of(kind) as (model, _):
        turn = await model.next_turn(START, [Echo().spec(), done().spec()], TurnLimits(deadline_s=10))
    assert {call.name for call in turn.tool_calls} <= {"echo", "submit"}
    assert turn.stop_reason == "tool_use"
    assert turn.model


@pytest.mark.parametrize("kind", ["anthropic", "playbook"])
async def test_closing_twice_is_harmless_and_it_can_be_cancelled(kind: str):
    async with model_of(kind) as (model, _):
        task = asyncio.create_task(model.next_turn(START, [Echo().spec()], TurnLimits(deadline_s=10)))
        await asyncio.sleep(0)
        task.cancel()
        [ended] = await asyncio.gather(task, return_exceptions=True)
        await model.close()
        await model.close()
    assert isinstance(ended, asyncio.CancelledError) or kind == "playbook", "the playbook has nothing to wait for"


async def test_the_loop_gets_through_a_bad_day_of_the_provider(tmp_path: Path):
    good = Say([tool_use("t1", "submit", {"answer": 42})], "tool_use")
    cut = Say([text("I will"), tool_use("h", "echo", {"words": "long" * 20})], "max_tokens", cut_json=True)
    script = [
        Refuse(529, "overloaded_error"), Break("drop"), cut, Break("end"), Break("error"),
        Say([tool_use("t0", "echo", {"words": "x"})], "tool_use"),
        Refuse(429, "rate_limit_error", {"retry-after": "0.05"}), good,
    ]  # fmt: skip
    server, journal = StrictServer(*script), FakeJournal()
    async with server.running():
        model = AnthropicModel(server.environ())
        around = surroundings(workbench(tmp_path), journal=journal)
        outcome = await converse(model, START, [Echo()], done(), around, LoopLimits(first_wait_s=0.01))
        await model.close()
    assert server.mistakes == []
    assert outcome.ending == "submitted"
    assert len(journal.of("model_failed")) == 5
    assert outcome.tally.turns == 3


async def test_a_specialist_with_the_real_tools_over_the_messages_api(tmp_path: Path):
    (tmp_path / "app.py").write_text("import time\n\nasync def hook():\n    time.sleep(1)\n")
    slow = finding("blocking-in-async", line=4, end_line=4, mendable=True)
    bench = workbench(tmp_path, scans={"performance": [slow]})

    def submit(body: dict[str, Any]) -> Say:
        results = [block["content"] for block in body["messages"][-1]["content"]]
        assert slow.id in results[0] and "4:     time.sleep(1)" in results[1]
        assert body["messages"][-1]["content"][2]["is_error"] is True
        return Say(
            [tool_use("s", "submit", {"finding_ids": [slow.id], "fixes": [slow.id], "notes": "sure"})], "tool_use"
        )

    look = Say(
        [
            thinking("where?"),
            tool_use("a", "find_performance_problems", {}),
            tool_use("b", "read_file", {"file": "app.py"}),
            tool_use("c", "read_file", {"file": "../../etc/passwd"}),
        ],
        "tool_use",
        {
            "input_tokens": 2000,
            "output_tokens": 100,
            "cache_read_input_tokens": 0,
            "cache_creation_input_tokens": 900,
        },
    )
    server = StrictServer(look, submit)
    prices = load_prices()
    around = surroundings(bench, budget=RunBudget(FakeClock(), prices, Limits(usd=1.0)))
    async with server.running():
        model = AnthropicModel(server.environ())
        candidates = cast("sonnet", {}, prices, provider=model, playbook=None)
        charter = Specialist(tools=["Read", "Performance-Analysis"])
        result = await run_specialist("perf", charter, candidates, around)
        await model.close()
    assert server.mistakes == []
    assert {tool["name"] for tool in server.requests[0]["tools"]} == {
        "list_files", "read_file", "search_code", "propose_edit", "find_performance_problems", "measure_waterfall",
        "profile_requests", "measure_load", "sweep_concurrency", "read_artifact", "submit",
    }  # fmt: skip
    assert (result.info.status, result.fixes) == ("done", (slow.id,))
    assert result.info.tokens_are == "reported"
    assert result.info.cost_usd == pytest.approx((2020 * 2 + 107 * 10 + 900 * 2.5) / 1e6)
    assert result.info.peak_context_tokens == 3000


async def test_a_retired_model_hands_over_to_the_next_of_its_chain_which_begins_afresh(tmp_path: Path):
    def second(body: dict[str, Any]) -> Say:
        assert body["model"] == "claude-sonnet-5-5"
        assert len(body["messages"]) == 1  # nothing of the other model's, thoughts least of all
        return Say([tool_use("t1", "submit", {"finding_ids": []})], "tool_use")

    thought = Say([thinking("hm"), tool_use("t0", "list_files", {})], "tool_use")
    server = StrictServer(thought, Refuse(404, "not_found_error"), second)
    async with server.running():
        model = AnthropicModel(server.environ())
        candidates = [Candidate(model, "claude-opus-4-5"), Candidate(model, "claude-sonnet-5-5")]
        result = await run_specialist(
            "api", Specialist(tools=["Read"]), candidates, surroundings(workbench(tmp_path))
        )
        await model.close()
    assert server.mistakes == []
    assert (result.info.status, result.info.model) == ("degraded", "claude-sonnet-5-5")
    assert "claude-opus-4-5: HTTP 404" in result.info.note
