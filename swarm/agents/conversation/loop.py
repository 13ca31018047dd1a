"""One conversation: a model's turns and the answers to its calls, until it submits or a bound is reached."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal

from pydantic import BaseModel

from swarm.agents.conversation.asking import Asking, Patience, turn_failed, turn_finished
from swarm.agents.conversation.budget import Refused
from swarm.agents.conversation.clearing import Clearing
from swarm.agents.conversation.closing import Closing, validated
from swarm.agents.conversation.history import History
from swarm.agents.conversation.recall import Told
from swarm.agents.conversation.records import result_record
from swarm.agents.conversation.surroundings import Surroundings
from swarm.agents.conversation.toolbox import Toolbox
from swarm.core.chat import (
    Conversation,
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
from swarm.core.errors import ToolFailed
from swarm.core.ports import Model
from swarm.models.estimate import beginning_bound
from swarm.tools.tool import Tool

Ending = Literal[
    "submitted", "end_turn", "turns", "budget", "refusal", "context", "stuck", "wrong_submission", "model_failed",
    "cut_off",
]  # fmt: skip

_CUT_OFF = "(cut off)"
_GO_ON = (
    "Your turn was cut off at the output limit, and no tool of it was run. "
    "Go on from here in smaller steps: fewer calls at once, less text."
)
_LAST_TURNS = 2


@dataclass(frozen=True, slots=True)
class LoopLimits:
    """Bounds of one conversation.

    `attempts` at one turn; `nudges` after turns that neither call a tool nor submit; `pauses` that are sent back
    one after another; `refused_repeats` of one and the same call; a provider that asks to wait longer than
    `longest_wait_s` has failed.
    """

    max_turns: int = 24
    turn: TurnLimits = field(default_factory=TurnLimits)
    clearing: Clearing = Clearing()
    attempts: int = 5
    nudges: int = 2
    pauses: int = 4
    refused_repeats: int = 4
    longest_wait_s: float = 60.0  # limits of a provider are by the minute
    first_wait_s: float = 0.5


@dataclass(slots=True)
class Tally:
    """What a conversation used; `cleared` results left it. `cost_usd` is None where a turn's price is not known."""

    turns: int = 0
    tool_calls: int = 0
    usage: Usage = field(default_factory=Usage)
    peak_context_tokens: int = 0
    cleared: int = 0
    cost_usd: float | None = 0.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a conversation ended; `submission` is there where it ended by submitting.

    `conversation` is all of it, `specs` the tools that it had, the closing call last.
    """

    ending: Ending
    submission: BaseModel | None
    conversation: Conversation
    tally: Tally
    toolbox: Toolbox
    specs: tuple[ToolSpec, ...]
    text: str = ""
    note: str = ""


async def converse(
    model: Model,
    conversation: Conversation,
    tools: Sequence[Tool],
    closing: Closing,
    around: Surroundings,
    limits: LoopLimits | None = None,
    told: Told | None = None,
    cut: Callable[[Outcome], None] = lambda outcome: None,
) -> Outcome:
    """Talk until the model submits, stops, fails, or a bound is reached; each of these is an Outcome.

    Every turn and every result is journaled before it is used; what `told` holds of an earlier attempt at this
    conversation is gone through first, without asking or running anything. Raises only for cancellation and bugs;
    before it is cancelled, `cut` is handed what there is.
    """
    talk = _Talk(model, conversation, tools, closing, around, limits or LoopLimits(), told or Told())
    try:
        return await talk.run()
    except asyncio.CancelledError:
        cut(talk.outcome("cut_off", note="cut off"))
        raise


class _Talk:
    def __init__(
        self,
        model: Model,
        conversation: Conversation,
        tools: Sequence[Tool],
        closing: Closing,
        around: Surroundings,
        limits: LoopLimits,
        told: Told,
    ) -> None:
        self._told, self._model, self._closing = told, model, closing
        self._agent, self._model_id = conversation.agent, conversation.model
        self._around, self._limits = around, limits
        self._toolbox = Toolbox(conversation.agent, tools, around, conversation.model)
        self._specs: tuple[ToolSpec, ...] = (*(tool.spec() for tool in tools), closing.spec())
        self._history = History(conversation, beginning_bound(conversation, self._specs))
        patience = Patience(limits.attempts, limits.first_wait_s, limits.longest_wait_s)
        self._asking = Asking(model, around, limits.turn, patience, self._count)
        self._tally = Tally()
        self._nudges = self._pauses = self._wrong = 0
        self._text = ""

    async def run(self) -> Outcome:
        if self._told.broken != Usage():
            cost = self._charged(self._told.broken, turns=0)
            self._around.emit(turn_failed(self._agent, "before it was cut off", None, self._told.broken, cost))
        for most in self._told.unheard:
            self._around.budget.unheard(self._agent, self._model.provider, self._model_id, *most)
        while True:
            if self._tally.turns >= self._limits.max_turns:
                return self.outcome("turns", note=f"{self._limits.max_turns} turns were not enough")
            try:
                turn = await self._turn()
            except ModelFailed as error:
                return self.outcome("model_failed", note=str(error))
            if isinstance(turn, Refused):
                return self.outcome("budget", note=turn.reason)
            outcome = await self._take(turn)
            if outcome is not None:
                return outcome

    def outcome(self, ending: Ending, submission: BaseModel | None = None, note: str = "") -> Outcome:
        """All of it, ended so."""
        return Outcome(
            ending, submission, self._history.whole, self._tally, self._toolbox, self._specs, self._text, note
        )

    async def _take(self, turn: Turn) -> Outcome | None:
        """Do what the turn asks; an Outcome where the conversation is over."""
        self._text = turn.text or self._text
        match turn.stop_reason:
            case "refusal":
                return self.outcome("refusal", note=f"the model refused{f' ({turn.why})' if turn.why else ''}")
            case "model_context_window_exceeded":
                return self.outcome("context", note="the conversation outgrew the model's window")
            case "max_tokens":
                # A call may be there in half: none of them is run, nor kept.
                kept = tuple(block for block in turn.blocks if not isinstance(block, ToolCall))
                has_text = any(isinstance(block, Text) for block in kept)
                self._history.answered(kept if has_text else (*kept, Text(_CUT_OFF)))
                return self._nudge(_GO_ON)
            case _ if turn.tool_calls:
                return await self._answer(turn)
            case "pause_turn" if turn.blocks and self._pauses < self._limits.pauses:
                self._pauses += 1
                self._history.answered(turn.blocks)
                return None
            case _:
                if turn.text.strip():
                    self._history.answered(turn.blocks)
                return self._nudge(f"Nothing was handed over: call {self._closing.name} to end, or go on.")

    async def _answer(self, turn: Turn) -> Outcome | None:
        calls = turn.tool_calls
        self._history.answered(turn.blocks)
        self._tally.tool_calls += len(calls)
        closings = [call for call in calls if call.name == self._closing.name]
        try:
            wanted = [call for call in calls if call not in closings]
            results = list(await self._toolbox.answer(wanted, self._tally.turns, self._told.results))
        except asyncio.CancelledError:
            record = {"agent": self._agent, "turn": self._tally.turns}
            self._around.journal.append("cancelled", record)  # what has no result by now is run when it is resumed
            raise
        submission: BaseModel | None = None
        for call in closings:
            result, parsed = self._submit(call)
            results.append(result)
            submission = submission or parsed
        self._nudges = self._pauses = 0
        self._history.told(*results, *self._reminder())
        self._history.clear(self._limits.clearing)
        self._tally.cleared = self._history.cleared
        if submission is not None:
            return self.outcome("submitted", submission)
        self._wrong += bool(closings)
        if self._wrong > self._closing.repairs:
            return self.outcome("wrong_submission", note=f"{self._closing.name} was wrong {self._wrong} times")
        if self._toolbox.refused_repeats > self._limits.refused_repeats:
            return self.outcome("stuck", note="the model made the same call over and over")
        return None

    def _submit(self, call: ToolCall) -> tuple[ToolResult, BaseModel | None]:
        told = self._told.results.get((self._tally.turns, call.id))
        if told is not None:
            taken = None if told.result.is_error else validated(self._closing.arguments, call.arguments)
            return told.result, taken
        try:
            result, parsed = ToolResult(call.id, "accepted"), self._closing.parse(call.arguments)
        except ToolFailed as error:
            result, parsed = ToolResult(call.id, str(error), True), None
        record = result_record(self._agent, self._tally.turns, result, (), self._around.mask)
        self._around.journal.append("result", record)
        return result, parsed

    def _reminder(self) -> tuple[Text, ...]:
        left, held = self._limits.max_turns - self._tally.turns, self._history.context_tokens
        if left <= _LAST_TURNS:
            return (Text(f"{left} turns are left: call {self._closing.name} now with what you have."),)
        if self._around.budget.one_more(self._model.provider, self._model_id, held):
            return (Text(f"The budget is nearly spent: call {self._closing.name} now with what you have."),)
        return ()

    def _nudge(self, words: str) -> Outcome | None:
        self._nudges += 1
        if self._nudges > self._limits.nudges:
            return self.outcome("end_turn", note="the model stopped without submitting")
        self._history.told(Text(words))
        return None

    async def _turn(self) -> Turn | Refused:
        told = self._told.turns.popleft() if self._told.turns else None
        if told is None and self._told.failed is not None:
            raise ModelFailed(self._told.failed, retryable=False)
        began_s = self._around.since_start_s()
        if told is not None:
            turn, cost = told, self._charged(told.usage)
        else:
            asked = await self._asking.turn(self._history.shown, self._specs, self._history.most_tokens)
            if isinstance(asked, Refused):
                return asked
            turn, cost = asked.turn, asked.cost_usd
        agent, tally, usage = self._agent, self._tally, turn.usage
        tally.turns += 1
        held = usage.context_tokens + usage.output_tokens
        self._history.took(held)
        tally.peak_context_tokens = max(tally.peak_context_tokens, held)
        if told is None:
            self._around.journal.append("turn", turn_record(agent, tally.turns, turn, self._around.mask))
        took_s = self._around.since_start_s() - began_s
        self._around.emit(turn_finished(agent, tally.turns, usage, cost, took_s))
        return turn

    def _charged(self, usage: Usage, turns: int = 1) -> float | None:
        """Count what an earlier attempt at this run has paid for."""
        cost = self._around.budget.charge(self._model.provider, self._model_id, usage, turns=turns)
        self._count(usage, cost)
        return cost

    def _count(self, usage: Usage, cost: float | None) -> None:
        tally = self._tally
        tally.usage = tally.usage + usage
        known = tally.cost_usd is not None and cost is not None
        tally.cost_usd = (tally.cost_usd or 0.0) + (cost or 0.0) if known else None
