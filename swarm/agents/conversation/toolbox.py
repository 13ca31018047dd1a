"""Answers the tool calls of one turn: all at the same time, each exactly once, each within bounds."""

from __future__ import annotations

import asyncio
import json
import traceback
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from swarm.agents.conversation.artifacts import Shown, shown
from swarm.agents.conversation.closing import validated
from swarm.agents.conversation.recall import ToldResult
from swarm.agents.conversation.records import result_record
from swarm.agents.conversation.surroundings import Surroundings
from swarm.core.chat import ToolCall, ToolResult
from swarm.core.chat_codec import masked
from swarm.core.errors import TargetError, ToolFailed
from swarm.core.events import FindingReported, ToolFinished, ToolStarted
from swarm.models.untrusted import mark
from swarm.tools.digests import place
from swarm.tools.tool import Answer, Tool, capped

CALLS_AT_ONCE = 12
SAME_CALL_TIMES = 3
_DETAIL_CHARS = 80


class Toolbox:
    """The tools of one agent, and what came of them.

    `finding_ids` are the findings that its calls brought to light, in order; `spans` are (tool, start,
    end) in seconds since the run began; `refused_repeats` counts calls that were refused as the same one over and
    over; `broken` names tools that failed by a bug of ours; `artifacts` counts results that were shown in short.
    """

    def __init__(self, agent: str, tools: Sequence[Tool], around: Surroundings, model: str = "") -> None:
        self._agent, self._around, self._model = agent, around, model
        self._tools = {tool.name: tool for tool in tools}
        self._same: Counter[str] = Counter()
        self.finding_ids: dict[str, None] = {}
        self.spans: list[tuple[str, float, float]] = []
        self.refused_repeats = 0
        self.broken: list[str] = []
        self.artifacts = 0

    async def answer(
        self, calls: Sequence[ToolCall], turn: int = 0, told: Mapping[tuple[int, str], ToldResult] | None = None
    ) -> tuple[ToolResult, ...]:
        """One result for each call of the turn, in their order; those that `told` holds are not run again.

        Each is journaled as soon as it is there, so that a run which is killed meanwhile runs the others alone.
        """
        known = told or {}
        allowed, surplus = calls[:CALLS_AT_ONCE], calls[CALLS_AT_ONCE:]
        repeated = {call.id: self._count(call) for call in allowed}
        async with asyncio.TaskGroup() as group:
            tasks = [
                group.create_task(self._answer_one(call, turn, known.get((turn, call.id)), repeated[call.id]))
                for call in allowed
            ]
        late = f"not run: at most {CALLS_AT_ONCE} calls a turn; ask again"
        return (*(task.result() for task in tasks), *(ToolResult(call.id, late, True) for call in surplus))

    async def _answer_one(self, call: ToolCall, turn: int, told: ToldResult | None, repeated: bool) -> ToolResult:
        if told is not None:
            self.finding_ids.update(dict.fromkeys(told.finding_ids))
            self.artifacts += told.shortened
            return told.result
        around = self._around
        detail = _short(masked(call.arguments, around.mask))
        around.emit(ToolStarted(self._agent, call.name, detail))
        began_s = around.since_start_s()
        answer, told_now = Answer(""), Shown("")
        try:
            if repeated:
                raise ToolFailed("this very call was answered several times; use its answer, or call submit")
            answer = self._signed(await self._run(call))
            told_now = shown(answer, self._tools[call.name], around.artifacts, around.mask)
            result, summary = self._result(call, told_now), around.mask(_summary(answer))
        except ToolFailed as error:
            summary = capped(around.mask(str(error)), 2_000)
            result = ToolResult(call.id, summary, True)
        record = result_record(self._agent, turn, result, answer.findings, around.mask, answer.proposals)
        if told_now.handle:
            record["artifact"] = {"handle": told_now.handle, "text": told_now.text}
            self.artifacts += told_now.text is not None
        around.journal.append("result", record)
        self._keep(answer)
        ended_s = around.since_start_s()
        self.spans.append((call.name, round(began_s, 3), round(ended_s, 3)))
        around.emit(
            ToolFinished(self._agent, call.name, ended_s - began_s, not result.is_error, summary[:_DETAIL_CHARS])
        )
        return result

    def _result(self, call: ToolCall, told: Shown) -> ToolResult:
        if not self._tools[call.name].untrusted:
            return ToolResult(call.id, told.content, served=told.served)
        return ToolResult(call.id, mark(told.content), served=mark(told.served) if told.served else "")

    def _count(self, call: ToolCall) -> bool:
        """Whether this very call was made too often."""
        key = f"{call.name} {json.dumps(call.arguments, sort_keys=True, default=str)}"
        self._same[key] += 1
        repeated = self._same[key] > SAME_CALL_TIMES
        self.refused_repeats += repeated
        return repeated

    async def _run(self, call: ToolCall) -> Answer:
        tool = self._tools.get(call.name)
        if tool is None:
            raise ToolFailed(f"there is no tool {call.name!r}; there are: {', '.join(sorted(self._tools))}")
        arguments = validated(tool.arguments, call.arguments)
        remaining_s = self._around.budget.remaining_s
        deadline_s = tool.deadline_s if remaining_s is None else min(tool.deadline_s, max(0.1, remaining_s))
        try:
            async with asyncio.timeout(deadline_s):
                return await tool.run(arguments, self._around.bench)
        except TimeoutError:
            raise ToolFailed(f"not done within {deadline_s:.0f} s; go on without it") from None
        except TargetError as error:
            raise ToolFailed(f"the service: {error}") from error
        except ToolFailed:
            raise
        except (Exception, SystemExit) as error:
            self.broken.append(f"{call.name}: {type(error).__name__}")
            record = {"agent": self._agent, "tool": call.name, "traceback": traceback.format_exc()}
            self._around.journal.append("bug", masked(record, self._around.mask))
            raise ToolFailed(f"{call.name} broke ({type(error).__name__}); go on without it") from error

    def _signed(self, answer: Answer) -> Answer:
        """Its proposals with who wrote them. Raises ToolFailed where no more are taken."""
        for proposal in answer.proposals:
            self._around.bench.proposals.check(self._agent, proposal.finding)
        own = tuple(replace(one, agent=self._agent, model=self._model) for one in answer.proposals)
        return replace(answer, proposals=own)

    def _keep(self, answer: Answer) -> None:
        for proposal in answer.proposals:
            self._around.bench.proposals.add(proposal)
        store = self._around.bench.findings
        for finding in answer.findings:
            self.finding_ids[finding.id] = None
            if store.add(finding, self._agent):
                self._around.emit(
                    FindingReported(
                        self._agent, finding.id, finding.rule, finding.severity, finding.title, place(finding)
                    )
                )


def _short(arguments: Any) -> str:
    if not arguments:
        return ""
    return json.dumps(arguments, ensure_ascii=False, default=str)[:_DETAIL_CHARS]


def _summary(answer: Answer) -> str:
    if answer.findings:
        return f"{len(answer.findings)} findings"
    return " ".join(answer.text[: _DETAIL_CHARS * 2].split())
