"""Budgets are held before a call: no number of agents at once passes one, and what was not taken comes back."""

from __future__ import annotations

import asyncio
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from swarm.agents.conversation.budget import LEAST_OUTPUT, Hold, Limits, Refused, RunBudget, Spent
from swarm.agents.conversation.loop import LoopLimits, Outcome, converse
from swarm.agents.conversation.recall import Recall
from swarm.agents.conversation.surroundings import Candidate
from swarm.agents.specialist import run_specialist
from swarm.config.schema import Share, Specialist
from swarm.core.chat import (
    Conversation,
    Message,
    ModelFailed,
    Text,
    ToolCall,
    ToolResult,
    ToolSpec,
    Turn,
    TurnLimits,
    Usage,
)
from swarm.core.chat_codec import turn_record
from swarm.models.estimate import conversation_tokens
from swarm.models.prices import load_prices
from tests.agents.samples import Echo, done
from tests.fakes import FakeClock, FakeJournal, FakeModel, calls, surroundings, workbench

MODEL = "claude-sonnet-5-5"
START = (Message("user", (Text("Begin."),)),)


def purse(clock: FakeClock | None = None, **limits: Any) -> RunBudget:
    return RunBudget(clock or FakeClock(), load_prices(), Limits(**limits))


async def held(budget: RunBudget, input_tokens: int = 1_000, output_tokens: int = 8_000) -> Hold:
    hold = await budget.reserve("anthropic", MODEL, input_tokens, output_tokens)
    assert isinstance(hold, Hold), hold
    return hold


async def test_counts_what_all_agents_spend():
    budget = purse(usd=1.0, tokens=10_000, seconds=60)
    assert budget.charge("anthropic", "sonnet", Usage(1_000, 100, 500, 400)) == pytest.approx(0.00405)
    assert budget.charge("offline", "playbook", Usage(5_000, 1)) == 0.0
    assert (budget.spent.tokens, budget.spent.turns) == (7_001, 2)
    assert budget.exceeded() is None
    budget.charge("anthropic", "opus", Usage(2_000, 999))
    assert "10000 tokens" in str(budget.exceeded())
    assert isinstance(await budget.reserve("offline", "playbook", 0, 1), Refused)


async def test_a_deadline_passes_and_dollars_run_out():
    clock = FakeClock()
    late = purse(clock, seconds=60)
    assert late.remaining_s == 60
    assert isinstance(await late.reserve("offline", "playbook", 10, 10), Hold)
    clock.advance(61)
    assert late.remaining_s == 0.0
    assert "60 s" in str(late.exceeded())
    poor = purse(usd=0.001)
    poor.charge("anthropic", "opus", Usage(0, 100))
    assert "$0.001" in str(poor.exceeded())


async def test_a_model_without_a_price_is_named_and_its_tokens_are_bounded():
    budget = purse(usd=1, tokens=5_000)
    assert budget.charge("anthropic", "qwen3:8b", Usage(10, 10)) is None
    assert budget.exceeded() is None
    assert "qwen3:8b" in budget.notes[0]
    hold = await budget.reserve("anthropic", "qwen3:8b", 1_000, 8_000)
    assert isinstance(hold, Hold) and hold.output_tokens == 5_000 - 20 - 1_000


async def test_an_answer_is_made_shorter_where_that_still_makes_sense_and_refused_where_not():
    # sonnet: the input at 2.5 a million (written to the cache), the output at 10
    budget = purse(usd=0.05)
    hold = await held(budget)
    assert hold.output_tokens == 4_750 and hold.usd == pytest.approx(0.05)
    budget.settle(hold, Usage(1_000, 3_700))
    refused = await budget.reserve("anthropic", MODEL, 1_000, 8_000)
    assert isinstance(refused, Refused)
    assert refused.reason == "the budget of $0.05 has no room for a further turn ($0.039 spent)"
    assert budget.ended_by == refused.reason


async def test_room_that_others_hold_is_waited_for():
    budget = purse(tokens=20_000)
    first, second = await held(budget), await held(budget)
    waiting = asyncio.ensure_future(held(budget))
    await asyncio.sleep(0)
    assert not waiting.done()
    budget.settle(first, Usage(900, 100))
    third = await asyncio.wait_for(waiting, 1)
    assert third.output_tokens == 8_000
    budget.settle(second, Usage(900, 8_000))
    budget.settle(third, Usage(900, 7_000))
    assert (await held(budget)).output_tokens == 20_000 - 1_000 - 8_900 - 7_900 - 1_000
    assert isinstance(await budget.reserve("anthropic", MODEL, 2_000, 8_000), Refused)  # whatever comes back


async def test_turns_of_the_run_are_bounded_and_an_attempt_that_failed_is_none():
    budget = purse(turns=2)
    first = await held(budget)
    second = await held(budget)
    budget.settle(first, Usage(), turns=0)
    third = await held(budget)
    budget.settle(second, Usage(1))
    budget.settle(third, Usage(1))
    refused = await budget.reserve("offline", "playbook", 1, 1)
    assert isinstance(refused, Refused) and "2 turns" in refused.reason


async def test_an_agents_share_bounds_it_and_not_the_others():
    budget = purse(tokens=100_000)
    share = budget.within("api", Limits(tokens=5_000))
    hold = await held(share)
    assert hold.output_tokens == 4_000
    share.settle(hold, Usage(1_000, 3_500))
    assert (share.spent.tokens, budget.spent.tokens) == (4_500, 4_500)
    refused = await share.reserve("anthropic", MODEL, 1_000, 8_000)
    assert isinstance(refused, Refused) and refused.reason.startswith("api's budget of 5000 tokens")
    assert budget.ended_by == refused.reason
    assert budget.within("api", Limits(tokens=5_000)) is share  # one purse: a second piece of work has what is left
    assert (await held(budget)).output_tokens == 8_000


async def test_an_agents_seconds_count_from_the_beginning_of_its_work():
    clock = FakeClock()
    budget = purse(clock, seconds=60)
    clock.advance(50)
    share = budget.within("api", Limits(seconds=5))
    assert share.remaining_s == 5 and budget.remaining_s == 10
    clock.advance(4.8)
    refused = await share.reserve("offline", "playbook", 1, 1)
    assert isinstance(refused, Refused) and refused.reason == "api's deadline of 5 s has passed"
    assert isinstance(await budget.reserve("offline", "playbook", 1, 1), Hold)
    clock.advance(1)
    assert budget.within("api", Limits(seconds=5)).remaining_s == pytest.approx(4.2)  # the run's own comes first


class Greedy:
    """Takes all that it may: the whole input is new, the answer as long as allowed; chance says how long it takes."""

    provider = "anthropic"

    def __init__(self, chance: random.Random, turns: int, *, fails: float = 0.0) -> None:
        self._chance, self._turns, self._fails = chance, turns, fails
        self.asked = self.at_once = self.most_at_once = 0
        self.outputs: list[int] = []

    async def next_turn(self, conversation: Conversation, tools: list[ToolSpec], limits: TurnLimits) -> Turn:
        self.asked += 1
        self.outputs.append(limits.max_output_tokens)
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        await asyncio.sleep(self._chance.random() / 500)
        self.at_once -= 1
        share = self._chance.choice([0.01, 0.3, 1.0])
        taken = Usage(0, int(limits.max_output_tokens * share), 0, conversation_tokens(conversation, tools))
        if self._chance.random() < self._fails:
            raise ModelFailed("broke off", retryable=True, usage=taken)
        said = sum(message.role == "assistant" for message in conversation.messages)
        call = (
            ToolCall(f"c{said}", "submit", {"answer": 42}) if said == self._turns
            else ToolCall(f"c{said}", "echo", {"words": "x" * 3_000 + str(said)})
        )  # fmt: skip
        return Turn((call,), "tool_use", taken, MODEL)

    async def count_tokens(self, conversation: Conversation, tools: list[ToolSpec]) -> int | None:
        return conversation_tokens(conversation, tools)

    async def close(self) -> None:
        pass


async def together(budget: RunBudget, model: Greedy, tmp_path: Path, agents: int = 12) -> list[Outcome]:
    async def one(number: int) -> Outcome:
        around = surroundings(workbench(tmp_path), budget=budget)
        start = Conversation(f"agent-{number}", MODEL, "You look.", START)
        return await converse(model, start, [Echo()], done(), around, LoopLimits(max_turns=30, first_wait_s=0))

    return list(await asyncio.wait_for(asyncio.gather(*map(one, range(agents))), 20))


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("limits", [Limits(tokens=60_000), Limits(usd=0.3), Limits(turns=17)], ids=str)
async def test_agents_at_once_never_pass_a_budget_together(tmp_path: Path, limits: Limits, seed: int):
    budget = RunBudget(FakeClock(), load_prices(), limits)
    model = Greedy(random.Random(seed), 8, fails=0.2)
    outcomes = await together(budget, model, tmp_path)
    spent = budget.spent
    assert spent.tokens <= (limits.tokens or spent.tokens)
    assert spent.usd <= (limits.usd or spent.usd)
    assert spent.turns <= (limits.turns or spent.turns)
    assert {one.ending for one in outcomes} <= {"submitted", "budget", "model_failed"}
    assert any(one.ending == "budget" for one in outcomes) and budget.ended_by
    assert sum(one.tally.usage.context_tokens + one.tally.usage.output_tokens for one in outcomes) == spent.tokens
    # the budget is used: what is left has no room for one more turn of the last one's size
    if limits.tokens:
        assert spent.tokens > 0.6 * limits.tokens
    assert min(model.outputs) >= LEAST_OUTPUT


class RandomLetters(Greedy):
    """The dearest text that there is: each byte of it is a token, and nobody counts them beforehand."""

    async def next_turn(self, conversation: Conversation, tools: list[ToolSpec], limits: TurnLimits) -> Turn:
        turn = await super().next_turn(conversation, tools, limits)
        told = sum(len(block.content) for message in conversation.messages for block in message.blocks
                   if isinstance(block, ToolResult))  # fmt: skip
        return replace(turn, usage=Usage(300 + told, turn.usage.output_tokens))

    async def count_tokens(self, conversation: Conversation, tools: list[ToolSpec]) -> int | None:
        return None


@pytest.mark.parametrize("seed", range(4))
async def test_not_even_random_letters_pass_a_budget(tmp_path: Path, seed: int):
    budget, model = purse(tokens=80_000), RandomLetters(random.Random(seed), 8)
    outcomes = await together(budget, model, tmp_path, agents=4)
    assert 40_000 < budget.spent.tokens <= 80_000
    assert any(one.ending == "budget" for one in outcomes)


async def test_where_the_bound_does_not_fit_the_provider_is_asked_for_its_count(tmp_path: Path):
    asked: list[int] = []

    class Counted(Greedy):
        async def count_tokens(self, conversation: Conversation, tools: list[ToolSpec]) -> int | None:
            asked.append(len(conversation.messages))
            return 700

    class Uncounted(Greedy):
        async def count_tokens(self, conversation: Conversation, tools: list[ToolSpec]) -> int | None:
            return None

    start = Conversation("a", MODEL, "Look well. " * 300, START)

    async def ended(model: Greedy, tokens: int) -> Outcome:
        around = surroundings(workbench(tmp_path), budget=purse(tokens=tokens))
        return await converse(model, start, [Echo()], done(), around, LoopLimits(first_wait_s=0))

    assert (await ended(Counted(random.Random(1), 0), 10_000)).ending == "submitted" and asked == [1]
    assert (await ended(Uncounted(random.Random(1), 0), 4_000)).ending == "budget"
    assert (await ended(Counted(random.Random(1), 0), 100_000)).ending == "submitted" and asked == [1]


async def test_a_budget_that_is_large_enough_slows_nobody_down(tmp_path: Path):
    budget, model = purse(tokens=10**7, usd=100.0), Greedy(random.Random(1), 3)
    outcomes = await together(budget, model, tmp_path)
    assert [one.ending for one in outcomes] == ["submitted"] * 12
    assert model.most_at_once == 12 and budget.ended_by is None


async def test_one_whose_call_is_cancelled_holds_nobody_up_and_may_have_taken_all(tmp_path: Path):
    budget = purse(tokens=30_000)
    asking, waiting = asyncio.ensure_future(_stuck(budget, tmp_path)), asyncio.ensure_future(held(budget, 15_000))
    await asyncio.sleep(0)
    assert budget.notes == () and not waiting.done()
    asking.cancel()
    assert (await asyncio.wait_for(waiting, 1)).output_tokens < 8_000 and asking.cancelled()
    assert budget.spent.tokens > 8_000
    (note,) = budget.notes
    assert "1 turn of a had no answer yet" in note and f"({budget.spent.tokens:,} tokens, $0.0" in note


async def test_a_call_that_nobody_heard_passes_no_limit_though_its_price_is_not_known():
    budget = purse(tokens=10_000, usd=1.0)
    share = budget.within("api", Limits(tokens=6_000))
    share.unheard("api", "anthropic", "made-up", 4_000, 2_000)
    assert share.exceeded() and not budget.exceeded()
    assert budget.spent == Spent(0.0, 6_000, 0.0, 0)
    assert "(6,000 tokens, cost unknown)" in budget.notes[-1]


async def _stuck(budget: RunBudget, tmp_path: Path) -> None:
    class Silent(Greedy):
        async def next_turn(self, conversation: Conversation, tools: list[ToolSpec], limits: TurnLimits) -> Turn:
            await asyncio.sleep(60)
            raise AssertionError

    around = surroundings(workbench(tmp_path), budget=budget)
    await converse(Silent(random.Random(), 1), Conversation("a", MODEL, "", START), [Echo()], done(), around)


async def test_an_agent_near_the_end_of_its_budget_is_told_to_submit(tmp_path: Path):
    def last(conversation: Conversation) -> Turn:
        assert "The budget is nearly spent: call submit now" in str(conversation.messages[-1])
        return calls(("submit", {"answer": 42}))

    class Counting(Greedy):
        async def next_turn(self, conversation: Conversation, tools: list[ToolSpec], limits: TurnLimits) -> Turn:
            if len(conversation.messages) == 1:
                return Turn((ToolCall("c", "echo", {}),), "tool_use", Usage(1_500, 1_000), MODEL)
            return last(conversation)

    around = surroundings(workbench(tmp_path), budget=purse(tokens=9_000))
    start = Conversation("a", MODEL, "", START)
    outcome = await converse(Counting(random.Random(), 1), start, [Echo()], done(), around)
    assert outcome.ending == "submitted"


async def test_a_broken_turn_is_paid_for_and_journaled(tmp_path: Path):
    class Breaks(Greedy):
        async def next_turn(self, conversation: Conversation, tools: list[ToolSpec], limits: TurnLimits) -> Turn:
            self.asked += 1
            if self.asked == 1:
                raise ModelFailed("dropped", retryable=True, usage=Usage(700, 30))
            return calls(("submit", {"answer": 42}))

    budget, journal = purse(), FakeJournal()
    around = surroundings(workbench(tmp_path), budget=budget, journal=journal)
    start = Conversation("a", MODEL, "", START)
    outcome = await converse(Breaks(random.Random(), 1), start, [Echo()], done(), around, LoopLimits(first_wait_s=0))
    assert (outcome.ending, outcome.tally.turns) == ("submitted", 1)
    assert budget.spent.tokens == 700 + 30 + 15
    assert outcome.tally.usage.input_tokens == 710
    assert journal.of("model_failed")[0]["usage"]["input_tokens"] == 700


async def test_a_specialist_has_the_share_that_agents_yaml_gives_it(tmp_path: Path):
    budget, model = purse(tokens=10**6), Greedy(random.Random(3), 9)
    charter = Specialist(tools=["Read"], budget=Share(usd=None, tokens=8_000, seconds=None))
    around = surroundings(workbench(tmp_path), budget=budget)
    result = await run_specialist("api", charter, [Candidate(model, MODEL)], around, tools=[Echo()])
    assert result.info.status == "degraded" and "api's budget of 8000 tokens" in result.info.note
    assert 0 < budget.spent.tokens <= 8_000 and budget.ended_by


@pytest.mark.parametrize(
    ("heard", "lost"), [((), 1), (("turn",), 0), (("model_failed", "asked"), 1), (("asked",), 2)]
)
async def test_what_was_asked_and_not_heard_before_a_kill_is_told(tmp_path: Path, heard: tuple[str, ...], lost: int):
    beginning = {"agent": "a", "model": MODEL}
    asked = {"agent": "a", "most": {"input_tokens": 700, "output_tokens": 300}}
    turn = turn_record("a", 1, calls(("echo", {})), str)
    told = {"asked": asked, "turn": turn, "model_failed": {"agent": "a"}}
    records = [{"kind": "conversation", **beginning}, {"kind": "asked", **asked}]
    recall = Recall([*records, *({"kind": kind, **told[kind]} for kind in heard)])
    budget = purse()
    around = surroundings(workbench(tmp_path), budget=budget)
    model = FakeModel(calls(("submit", {"answer": 42}), first=9), provider="anthropic")
    start = Conversation("a", MODEL, "", START)
    outcome = await converse(model, start, [Echo()], done(), around, told=recall.conversation("a", beginning))
    assert outcome.ending == "submitted"
    assert budget.spent.tokens == 1_000 * lost + 15 * outcome.tally.turns
    assert outcome.tally.usage.input_tokens == 10 * outcome.tally.turns  # no sum holds what was never told
    assert len(budget.notes) == bool(lost)
    assert not lost or f"{lost} turn" in budget.notes[0]


async def test_what_broke_off_before_a_run_was_cut_off_is_still_paid(tmp_path: Path):
    beginning = {"agent": "a", "model": MODEL}
    usage = {"input_tokens": 700, "output_tokens": 30}
    recall = Recall([{"kind": "conversation", **beginning}, {"kind": "model_failed", "agent": "a", "usage": usage}])
    budget = purse()
    around = surroundings(workbench(tmp_path), budget=budget)
    model = FakeModel(calls(("submit", {"answer": 42})), provider="anthropic")
    told = recall.conversation("a", beginning)
    outcome = await converse(model, Conversation("a", MODEL, "", START), [Echo()], done(), around, told=told)
    assert (outcome.ending, outcome.tally.turns) == ("submitted", 1)
    assert budget.spent.tokens == 730 + 15 and outcome.tally.usage.input_tokens == 710
